"""Recording what was used: each record decided alone, written once by the caller's key, all in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from uuid_utils import uuid7

from domain.metered_items import item_charged_by
from domain.money import MoneyError
from domain.periods import local_date
from domain.price_book import PriceBook
from storage.database import PgConnection
from storage.sight import Sight
from storage.usage_records import (
    KnownUsage,
    Metered,
    NewUsage,
    find_metered,
    insert_usage,
    known_usage,
    lock_last_bill,
)

AHEAD = timedelta(hours=1)  # clocks differ
TEST_MODE = "test"


@dataclass(frozen=True)
class UsageOrder:
    """What was used: `quantity` units of `meter`, at the instant `at`. `key` names this one record."""

    subscription_id: str
    meter: str
    at: datetime
    quantity: Decimal
    key: str


class Recorded(StrEnum):
    """What became of a record: written now, there already, or refused."""

    RECORDED = "recorded"
    REPEATED = "repeated"
    REFUSED = "refused"


@dataclass(frozen=True)
class UsageOutcome:
    """What became of an order. `item_id`: the item that is charged for it. Where it is refused, `kind` is
    machine-readable, and `message` and `remedy` say why and what to do."""

    result: Recorded
    item_id: str | None = None
    kind: str | None = None
    message: str | None = None
    remedy: str | None = None


def record_usage(
    connection: PgConnection, book: PriceBook, sight: Sight, orders: Sequence[UsageOrder], now: datetime
) -> list[UsageOutcome]:
    """Write `orders` and answer what became of each, in their order. A record goes to the item that, on its day in the
    account's time zone, is charged by its meter. The same key again is the same record; with other content it is
    refused. What no bill could carry any more is refused."""
    subscriptions = find_metered(connection, sight, {order.subscription_id for order in orders})
    outcomes: list[UsageOutcome] = []
    ids: list[str | None] = []
    new: list[NewUsage] = []
    known = known_usage(connection, [(order.subscription_id, order.key) for order in orders])
    closing = lock_last_bill(connection, _closing(subscriptions.values(), now)) if subscriptions else {}
    for order in orders:
        subscription = subscriptions.get(order.subscription_id)
        repeated = known.get((order.subscription_id, order.key)) if subscription else None
        outcome = _again(order, repeated) if repeated else _decide(book, subscription, closing, order, now)
        record_id = None
        if outcome.result is Recorded.RECORDED and outcome.item_id is not None:
            record_id = str(uuid7())
            new.append(NewUsage(record_id, outcome.item_id, order.meter, order.at, order.quantity, order.key))
            known[order.subscription_id, order.key] = KnownUsage(
                outcome.item_id, order.meter, order.at, order.quantity
            )
        outcomes.append(outcome)
        ids.append(record_id)
    if not new:
        return outcomes
    written = insert_usage(connection, new)
    lost = [no for no, record_id in enumerate(ids) if record_id is not None and record_id not in written]
    if lost:  # somebody else wrote them meanwhile
        theirs = known_usage(connection, [(orders[no].subscription_id, orders[no].key) for no in lost])
        for no in lost:
            outcomes[no] = _again(orders[no], theirs[orders[no].subscription_id, orders[no].key])
    return outcomes


def _closing(subscriptions: Iterable[Metered], now: datetime) -> list[str]:
    """Those that have an end and may be having their last bill, or have had it. Accounts in test mode may live by a
    clock of their own."""
    return [
        each.id
        for each in subscriptions
        if each.ends_on is not None
        and (
            each.next_bill_on is None
            or each.mode == TEST_MODE
            or each.ends_on <= _day(each, now) + timedelta(days=1)
        )
    ]


def _decide(
    book: PriceBook,
    subscription: Metered | None,
    closing: Mapping[str, date | None],
    order: UsageOrder,
    now: datetime,
) -> UsageOutcome:
    if subscription is None:
        return _refused(
            "no_such_subscription",
            f"There is no subscription {order.subscription_id}.",
            "Check its id, and that it belongs to the mode and account of your key.",
        )
    if order.at > now + AHEAD and subscription.mode != TEST_MODE:
        return _refused(
            "in_the_future",
            "It lies in the future.",
            "Send it when it has happened; check the sender's clock.",
        )
    day = _day(subscription, order.at)
    try:
        item = item_charged_by(
            order.meter,
            day,
            subscription.items,
            subscription.ends_on,
            lambda item: book.version(item.plan, item.plan_version, subscription.currency),
        )
    except MoneyError as error:
        return _refused("no_price", f"It has no price: {error}.", "Complete the catalog, and send it again.")
    if item is None:
        return _refused(
            "not_metered",
            f"Nothing that the subscription has on {day} is charged by meter {order.meter!r}.",
            "Check the meter and the instant; GET the subscription for its items.",
        )
    if subscription.id in closing and closing[subscription.id] is None:
        return _refused(
            "too_late",
            f"The subscription ended on {subscription.ends_on}, and its last bill has been made.",
            "Charge it by an adjustment, or leave it.",
        )
    return UsageOutcome(Recorded.RECORDED, item.id)


def _again(order: UsageOrder, known: KnownUsage) -> UsageOutcome:
    if (order.meter, order.at, order.quantity) == (known.meter, known.at, known.quantity):
        return UsageOutcome(Recorded.REPEATED, known.item_id)
    return _refused(
        "usage_key_reused",
        "Another record has this key.",
        "Give each record a key of its own, and send a record again only as it was.",
    )


def _refused(kind: str, message: str, remedy: str) -> UsageOutcome:
    return UsageOutcome(Recorded.REFUSED, None, kind, message, remedy)


def _day(subscription: Metered, at: datetime) -> date:
    return local_date(at, ZoneInfo(subscription.zone))
