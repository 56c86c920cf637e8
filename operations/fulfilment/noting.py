"""Writing down which licences and parcels an account shall have, in the transaction that made it so."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from itertools import chain
from typing import Any

from domain.account.follow_ups import plan_of
from domain.account.state import AccountState, Subscription
from domain.delivered import Delivered
from domain.entitlements import Given, Grant, SourceKind
from domain.fulfilment import STANDING, Entry, Source, Told, Wanted, Wish, is_issue, wanted
from domain.periods import start_of_day
from operations.calls.withdrawing import withdraw
from operations.tariffs import Tariff
from storage.database import PgConnection
from storage.fulfilments import (
    FulfilmentRow,
    change_fulfilment,
    fulfilments_of,
    insert_fulfilment,
    paid_purchases,
)

NOT_CONNECTED = "not connected"
MISSED = "missed"


def delivers(account: AccountState, tariff: Tariff, purchases: Sequence[Given]) -> bool:
    """Whether plans of the account, those that it bought once with them, deliver content or parcels."""
    if not tariff.delivered:
        return False
    plans = chain(
        (each.plan for each in purchases),
        (item.plan for each in account.subscriptions.values() for item in each.terms.items),
        (plan for each in account.subscriptions.values() for _, plan in each.entitled),
    )
    return any(plan in tariff.delivered for plan in plans)


def note_fulfilment(
    connection: PgConnection,
    tariff: Tariff,
    account: AccountState,
    at: datetime,
    granted: Sequence[Grant],
    purchases: Sequence[Given],
) -> None:
    """Write down the licences and parcels that the account shall have at the instant `at`, and wish away those that it
    shall have no more. Its row has to be locked, and what it was `granted` and its `purchases` written."""
    rows = fulfilments_of(connection, account.id)
    at = max(at, start_of_day(account.today, account.zone))
    seen: set[str] = set()
    for source in _sources(connection, tariff, account, at, granted, purchases):
        known = [entry_of(row) for row in rows if row.source_id == source.id]
        for each in wanted(source, known, account.zone, account.today, at):
            row = _row_of(rows, each)
            if row is None:
                _begin(connection, account, each, at)
            else:
                seen.add(row.id)
                _keep(connection, row, each, at)
    for row in rows:
        if row.id not in seen and row.wish == Wish.GIVEN and not _is_history(row, account):
            _end(connection, row, at)


def entry_of(row: FulfilmentRow) -> Entry:
    """The row as the rules take it."""
    elsewhere = row.sent_to is not None and row.sent_to != row.digest
    return Entry(
        row.source_id,
        row.capability,
        row.item,
        row.number,
        row.wish,
        row.told,
        row.until,
        row.given_until,
        row.changeable_until,
        row.due_at,
        row.call_id is not None,
        elsewhere,
    )


def recall(connection: PgConnection, row: FulfilmentRow, at: datetime) -> bool:
    """Take back the call of an entry that surely was not applied, so that it can be asked for otherwise; whether it
    could be."""
    if row.call_id is None or not withdraw(connection, row.call_id):
        return False
    changes = {"call_id": None, "step": None, "next_at": at, "attempt": row.attempt + 1, "outcome": None}
    change_fulfilment(connection, row.id, changes)
    return True


def _sources(
    connection: PgConnection,
    tariff: Tariff,
    account: AccountState,
    at: datetime,
    granted: Sequence[Grant],
    purchases: Sequence[Given],
) -> Iterator[Source]:
    read = {
        grant.source_id
        for grant in granted
        if grant.source_kind is SourceKind.SUBSCRIPTION
        and grant.starts_at <= at
        and (grant.ends_at is None or at < grant.ends_at)
    }
    for subscription in account.subscriptions.values():
        if subscription.terms.id in read:
            delivered, copies = _of_subscription(subscription, tariff, account.today)
            if delivered.content or delivered.shipping:
                stops = tuple((each.wished.start, each.wished.until) for each in subscription.stops)
                yield Source(
                    "subscription",
                    subscription.terms.id,
                    delivered,
                    subscription.terms.starts_on,
                    _billed_until(subscription),
                    subscription.terms.ends_on,
                    copies,
                    stops,
                )
    for bought in paid_purchases(connection, account.id) if purchases else ():
        if bought.plan in tariff.delivered:
            yield Source(
                "purchase",
                bought.id,
                tariff.delivered[bought.plan],
                bought.bought_on,
                None,
                copies=bought.quantity,
            )


def _of_subscription(subscription: Subscription, tariff: Tariff, today: date) -> tuple[Delivered, int]:
    """What its plan and add-ons of the day deliver, and how many copies of the plan it has."""
    running = [
        item
        for item in subscription.terms.items
        if item.starts_on <= today and (item.ends_on is None or today < item.ends_on)
    ]
    read_by = plan_of(subscription, today)
    plans = dict.fromkeys([*([read_by] if read_by else []), *(item.plan for item in running)])
    delivered = [tariff.delivered[plan] for plan in plans if plan in tariff.delivered]
    content = {each.id: each for one in delivered for each in one.content}
    shipping = {each.sku: each for one in delivered for each in one.shipping}
    copies = int(running[0].quantity) if running else 1
    return Delivered(tuple(content.values()), tuple(shipping.values())), max(copies, 1)


def _billed_until(subscription: Subscription) -> date:
    """How far the subscription is billed, or its trial lasts; what is billed in arrears, to its next bill."""
    terms = subscription.terms
    ends = [terms.charged_through, terms.trial_ends_on, terms.next_bill_on]
    return max(each for each in ends if each is not None)


def _row_of(rows: Sequence[FulfilmentRow], each: Wanted) -> FulfilmentRow | None:
    key = (each.source.id, each.capability, each.item, each.number)
    return next((r for r in rows if (r.source_id, r.capability, r.item, r.number) == key), None)


def _begin(connection: PgConnection, account: AccountState, each: Wanted, at: datetime) -> None:
    standing = each.number == STANDING
    insert_fulfilment(
        connection,
        {
            "mode": account.mode,
            "account_id": account.id,
            "source_kind": each.source.kind,
            "source_id": each.source.id,
            "capability": each.capability.value,
            "item": each.item,
            "number": each.number,
            "wish": Wish.ENDED.value if each.missed else Wish.GIVEN.value,
            "told": Told.ENDED.value if each.missed else Told.NOTHING.value,
            "terms": each.terms,
            "until": each.until,
            "due_at": each.due_at,
            "changeable_until": each.changeable_until,
            "next_at": None if each.missed else each.due_at if standing else at,
            "outcome": MISSED if each.missed else "standing order" if standing else NOT_CONNECTED,
        },
    )


def _keep(connection: PgConnection, row: FulfilmentRow, each: Wanted, at: datetime) -> None:
    """The entry goes on: a licence perhaps longer than before, a standing order with its next issue."""
    changes: dict[str, Any] = {}
    if row.wish != Wish.GIVEN and row.told != Told.ENDED:
        changes |= {"wish": Wish.GIVEN.value, "next_at": at}
    if each.until is not None and (row.until is None or each.until > row.until):
        changes |= {"until": each.until, "next_at": at}
    if each.number == STANDING and (row.due_at != each.due_at or row.wish != Wish.GIVEN):
        changes |= {"due_at": each.due_at, "next_at": each.due_at, "outcome": "standing order"}
    if row.told == Told.NOTHING and row.call_id is None and row.terms != each.terms:
        changes["terms"] = each.terms
    if changes:
        change_fulfilment(connection, row.id, changes)


def _end(connection: PgConnection, row: FulfilmentRow, at: datetime) -> None:
    changes: dict[str, Any]
    if row.number == STANDING:
        changes = {"wish": Wish.ENDED.value, "next_at": None, "outcome": "ended"}
    else:
        changes = {"wish": Wish.ENDED.value, "next_at": at}
    change_fulfilment(connection, row.id, changes)
    if row.told == Told.NOTHING:
        recall(connection, row, at)


def _is_history(row: FulfilmentRow, account: AccountState) -> bool:
    """Whether it is a past issue, which stays as it was."""
    return is_issue(row.number) and row.number < account.today.toordinal()
