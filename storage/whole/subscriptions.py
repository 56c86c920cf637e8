"""Writing an account's subscriptions: rows, items, discounts and history, as far as they changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from uuid_utils import uuid7

from domain.account.dates import next_dated, recorded_status
from domain.account.state import AccountState, Subscription
from domain.periods import start_of_day
from domain.subscription_terms import Item
from domain.subscriptions import State
from storage.round_trip import TakesStatements, execute_each
from storage.whole.history import dump_subscription, dump_swap, subscription_history

_FIELDS = (
    "status",
    "starts_on",
    "trial_ends_on",
    "anchor_on",
    "anchor_day",
    "interval_unit",
    "interval_count",
    "ends_on",
    "charged_through",
    "arrears_through",
    "next_bill_on",
    "next_due",
    "term_end",
    "resumes_on",
    "later_on",
    "later",
    "canceled_on",
)
_ITEM_FIELDS = (
    "plan_code",
    "plan_version",
    "quantity",
    "price_override",
    "starts_on",
    "ends_on",
    "phase_shift",
    "replaces",
)


def write_subscription(
    connection: TakesStatements,
    account: AccountState,
    subscription: Subscription,
    before: Subscription | None,
    version: int,
) -> None:
    """The subscription as it is now, with `version`; `before` is how it was read, None for a new one."""
    terms = subscription.terms
    values = _values(account, subscription)
    if before is None:
        names = ", ".join(_FIELDS)
        # Not charged-through: what is bought may be billed before it is written.
        opening_on = terms.trial_ends_on or terms.starts_on
        connection.execute(
            f"insert into subscription (id, mode, account_id, external_key, opening_on, version, {names})"
            f" values (%s, %s, %s, %s, %s, %s{', %s' * len(_FIELDS)})".encode(),
            (terms.id, account.mode, account.id, subscription.name, opening_on, version, *values),
        )
    else:
        sets = ", ".join(f"{name} = %s" for name in _FIELDS)
        connection.execute(
            f"update subscription set version = %s, {sets} where id = %s".encode(),
            (version, *values, terms.id),
        )
    _items(connection, terms.id, terms.items, before.terms.items if before else ())
    _discounts(connection, subscription, before)
    history = subscription_history(subscription)
    if before is None or history != subscription_history(before):
        connection.execute(
            "insert into subscription_history (subscription_id, history) values (%s, %s::jsonb)"
            " on conflict (subscription_id) do update set history = excluded.history",
            (terms.id, dump_subscription(history)),
        )


def outdated(
    account: AccountState, subscription: Subscription, recorded: tuple[str, datetime | None]
) -> bool:
    """Whether its row, which has `recorded` as its state and as the instant at which that changes, does not say what
    the dates have brought about by today."""
    status, next_due = recorded
    now = recorded_status(account, subscription).value
    if status != now and (status, now) != (State.PAST_DUE, State.ACTIVE):
        return True
    return next_due is not None and next_due <= start_of_day(account.today, account.zone)


def _values(account: AccountState, subscription: Subscription) -> tuple[object, ...]:
    terms = subscription.terms
    dated = next_dated(account, subscription)
    later = subscription.later
    return (
        recorded_status(account, subscription).value,
        terms.starts_on,
        terms.trial_ends_on,
        terms.anchor.on,
        terms.anchor.day,
        terms.interval.unit.value,
        terms.interval.length,
        terms.ends_on,
        terms.charged_through,
        terms.arrears_through,
        terms.next_bill_on,
        dated and start_of_day(dated, account.zone),
        subscription.term_end,
        subscription.resumes_on,
        later and later[0],
        later and dump_swap(later[1]),
        subscription.canceled_on,
    )


def _items(
    connection: TakesStatements, subscription_id: str, items: Sequence[Item], before: Sequence[Item]
) -> None:
    known = {item.id: item for item in before}
    added = [item for item in items if item.id not in known]
    changed = [item for item in items if item.id in known and item != known[item.id]]
    kept = {item.id for item in items}
    dropped = [item for item in before if item.id not in kept]
    names = ", ".join(_ITEM_FIELDS)
    sets = ", ".join(f"{name} = %s" for name in _ITEM_FIELDS)
    execute_each(
        connection,
        f"insert into subscription_item (id, subscription_id, {names})"
        f" values (%s, %s{', %s' * len(_ITEM_FIELDS)})",
        [(item.id, subscription_id, *_item_values(item)) for item in added],
    )
    execute_each(
        connection,
        f"update subscription_item set {sets} where id = %s",
        [(*_item_values(item), item.id) for item in changed],
    )
    # A change that waited and was replaced by another: rows of items are never removed.
    execute_each(
        connection,
        "update subscription_item set ends_on = %s where id = %s",
        [(item.starts_on - timedelta(days=1), item.id) for item in dropped],
    )


def _item_values(item: Item) -> tuple[object, ...]:
    if item.starts_at is not None or item.ends_at is not None:
        raise ValueError("the books keep whole days: proration by the second can be simulated, not billed")
    return (
        item.plan,
        item.plan_version,
        item.quantity,
        item.price_override,
        item.starts_on,
        item.ends_on,
        item.phase_shift,
        item.replaces,
    )


def _discounts(connection: TakesStatements, subscription: Subscription, before: Subscription | None) -> None:
    now = list(subscription.terms.discounts)
    if before is not None and now == list(before.terms.discounts):
        return
    own = subscription.terms.id
    connection.execute("delete from subscription_discount where subscription_id = %s", (own,))
    execute_each(
        connection,
        "insert into subscription_discount (id, subscription_id, code, percent, amount, starts_on, ends_on,"
        " position) values (%s, %s, %s, %s, %s, %s, %s, %s)",
        [
            (str(uuid7()), own, each.code, each.percent, each.amount, each.starts_on, each.ends_on, place)
            for place, each in enumerate(now)
        ],
    )
