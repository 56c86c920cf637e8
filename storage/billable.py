"""Reading what a bill run needs of a chunk of accounts, in one snapshot: terms, usage, open parks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from domain.invoices import Payer
from domain.periods import Anchor, Interval, Unit, start_of_day
from domain.rating import Discount, Item, SubscriptionTerms, Usage, UsageKey
from domain.subscriptions import State
from storage.copying import id_array
from storage.database import PgConnection


@dataclass(slots=True)
class Billable:
    """An account with its due subscriptions; `billing_day` is its own local date."""

    payer: Payer
    zone: str
    billing_day: date
    subscriptions: list[SubscriptionTerms]


class Target(NamedTuple):
    """Up to when a run bills: a local date for every account, or an instant from which each account's local
    date derives. Just one of the two is set. `now`: when the run bills, which says what days have passed for an
    account; without it the run is one of the very day that it bills up to."""

    day: date | None
    instant: datetime | None
    now: datetime | None = None

    def sql_day(self) -> str:
        """The SQL expression of an account's billing day; the account is `a`, the parameter `target`."""
        if self.day is not None:
            return "%(target)s::date"
        return "(%(target)s::timestamptz at time zone a.time_zone)::date"

    @property
    def parameter(self) -> date | datetime:
        """What goes with `sql_day` as `target`."""
        value = self.day or self.instant
        if value is None:
            raise ValueError("a target is a day or an instant")
        return value


# An expired subscription may still owe its last days, when the calendar was written down before the run came.
BILLED_STATES = "('draft', 'trialing', 'active', 'past_due', 'expired')"

_UNITS = {unit.value: unit for unit in Unit}
_STATES = {state.value: state for state in State}


# All that rating and the built-in tax depend on, in the order in which `DueAccount.billable` takes it apart.
_TERMS = """
    i.plan_code, i.plan_version, i.quantity, i.price_override, i.starts_on, i.ends_on, i.phase_shift, s.status,
    s.starts_on, s.trial_ends_on, s.anchor_on, s.anchor_day, s.interval_unit, s.interval_count, s.ends_on,
    s.charged_through, s.arrears_through, s.next_bill_on, a.mode, a.currency, a.tax_region, a.tax_exempt,
    a.payment_terms_days, a.time_zone, {day}
"""
_DISCOUNT = "code, percent, amount, starts_on, ends_on"
_IDS = "a.id::text, s.id::text, s.version, i.id::text"
_ACCOUNT, _SUBSCRIPTION, _VERSION, _ITEM, _SHAPE = range(5)


class Due(NamedTuple):
    """An account with due subscriptions, by ids: each subscription with its version, and the items, both in order.

    `shape` is everything that rating and the built-in tax depend on, as the database sends it, ids left out: accounts
    of one shape owe the same. None for an account of several subscriptions, which are rare enough to be rated one by
    one.
    """

    id: str
    subscriptions: list[tuple[str, int]]
    item_ids: list[str]
    shape: bytes | None


class DueAccount(NamedTuple):
    """The terms of an account with due subscriptions, as rows: an item each, in the order of subscriptions and
    items."""

    id: str
    rows: list[tuple[Any, ...]]
    discounts: dict[str, list[tuple[Any, ...]]]

    def plans(self) -> list[tuple[str, int, str]]:
        """(plan, version, currency) of each item."""
        return [(row[4], row[5], row[23]) for row in self.rows]

    def billable(self) -> Billable:
        """The account as rating takes it."""
        first = self.rows[0]
        payer = Payer(first[_ACCOUNT], *first[22:27])
        account = Billable(payer, first[27], first[28], [])
        terms: SubscriptionTerms | None = None
        for row in self.rows:
            if terms is None or terms.id != row[_SUBSCRIPTION]:
                terms = SubscriptionTerms(
                    row[_SUBSCRIPTION],
                    row[_VERSION],
                    _STATES[row[11]],
                    row[12],
                    row[13],
                    Anchor(row[14], row[15]),
                    Interval(_UNITS[row[16]], row[17]),
                    row[18],
                    row[19],
                    row[20],
                    row[21],
                    [],
                    [Discount(*found) for found in self.discounts.get(row[_SUBSCRIPTION], ())],
                )
                account.subscriptions.append(terms)
            if row[_ITEM] is not None:
                terms.items.append(Item(row[_ITEM], *row[4:11]))
        return account


def load_due(connection: PgConnection, accounts: Sequence[str], target: Target) -> list[Due]:
    """The accounts of `accounts` that have something due, in order of id. Two statements: call it in a snapshot."""
    rows = _due_rows(connection, accounts, target, f"record_send(row({_TERMS.format(day=target.sql_day())}))")
    discounts = _discounts(connection, rows, f"record_send(row({_DISCOUNT}))")
    found: list[Due] = []
    last: Due | None = None
    for account_id, subscription, version, item, terms in rows:
        if last is None or last.id != account_id:
            if subscription in discounts:
                terms = b"".join((terms, *(said for (said,) in discounts[subscription])))
            last = Due(account_id, [(subscription, version)], [item], terms)
            found.append(last)
            continue
        # Each part says how long it is, so that no two lists of parts read the same.
        shape = last.shape and last.shape + terms
        if last.subscriptions[-1][0] != subscription:
            last.subscriptions.append((subscription, version))
            shape = None
        last.item_ids.append(item)
        last = found[-1] = last._replace(shape=shape)
    return found


def load_terms(connection: PgConnection, accounts: Sequence[str], target: Target) -> list[DueAccount]:
    """What `load_due` finds for `accounts`, with all their terms. Two statements: call it in the same snapshot."""
    rows = _due_rows(connection, accounts, target, _TERMS.format(day=target.sql_day()))
    discounts = _discounts(connection, rows, _DISCOUNT)
    found: dict[str, DueAccount] = {}
    for row in rows:
        account = found.get(row[_ACCOUNT])
        if account is None:
            found[row[_ACCOUNT]] = DueAccount(row[_ACCOUNT], [row], discounts)
        else:
            account.rows.append(row)
    return list(found.values())


def _due_rows(
    connection: PgConnection, accounts: Sequence[str], target: Target, terms: str
) -> list[tuple[Any, ...]]:
    """Ids, and `terms`, of each item of the due subscriptions of `accounts`."""
    if not accounts:
        return []
    day = target.sql_day()
    with connection.cursor(binary=True) as cursor:
        cursor.execute(
            f"""
            select {_IDS}, {terms}
            from subscription s join account a on a.id = s.account_id
                 left join subscription_item i on i.subscription_id = s.id
                      and coalesce(i.ends_on >= i.starts_on, true)
            where s.account_id = any(%(accounts)s::uuid[]) and a.id = any(%(accounts)s::uuid[])
              and s.next_bill_on <= {day} and s.status in {BILLED_STATES}
            order by s.account_id, s.id, i.id
            """.encode(),
            {"accounts": id_array(accounts), "target": target.parameter},
        )
        return cursor.fetchall()


def _discounts(
    connection: PgConnection, rows: Sequence[tuple[Any, ...]], terms: str
) -> dict[str, list[tuple[Any, ...]]]:
    """`terms` of the discounts of each subscription in `rows`, in their order."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    if not rows:
        return found
    with connection.cursor(binary=True) as cursor:
        cursor.execute(
            f"""
            select subscription_id::text, {terms} from subscription_discount
            where subscription_id = any(%s::uuid[]) order by subscription_id, position, id
            """.encode(),
            (id_array(dict.fromkeys(row[_SUBSCRIPTION] for row in rows)),),
        )
        for subscription, *said in cursor.fetchall():
            found.setdefault(subscription, []).append(tuple(said))
    return found


class UsageWindow(NamedTuple):
    """Usage of an item on a meter from local day `since` (None: all that came before) until `until`; `by_event` asks
    for the quantity of each record, too."""

    subscription: str
    item: str
    meter: str
    zone: str
    since: date | None
    until: date
    billed_until: date
    by_event: bool = False


def load_usage(
    connection: PgConnection, windows: Sequence[UsageWindow]
) -> Mapping[UsageKey, Decimal | Usage]:
    """What was used in each window and not yet billed, summed by the database; where a window asks for single events,
    they come in the order of their time.

    What an earlier invoice took is known by two marks on the subscription: the day it billed up to, and the
    transaction id below which every record was visible then. A record below both marks is billed; one that came
    late, or was still uncommitted, is above one of them and goes on the next invoice (law 8).
    """
    found: dict[UsageKey, Decimal | Usage] = {}
    summed = [window for window in windows if not window.by_event]
    for item, meter, until, quantity in _unbilled(connection, summed, "sum(u.quantity)"):
        found[item, meter, until] = quantity
    single = [window for window in windows if window.by_event]
    # Apart from the sums, because rows of a statement that has them ordered are all sorted.
    for item, meter, until, events in _unbilled(
        connection, single, "array_agg(u.quantity order by u.at, u.id)"
    ):
        found[item, meter, until] = Usage(sum(events, Decimal(0)), tuple(events))
    return found


def _unbilled(
    connection: PgConnection, windows: Sequence[UsageWindow], aggregate: str
) -> list[tuple[Any, ...]]:
    """(item, meter, end, `aggregate` of the records `u`) of each window that holds unbilled usage."""
    if not windows:
        return []
    zones = {window.zone: ZoneInfo(window.zone) for window in windows}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            select w.item::text, w.meter, w.until, {aggregate}
            from unnest(%s::uuid[], %s::uuid[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::date[],
                         %s::timestamptz[]) as w(subscription, item, meter, since_at, until_at, until, billed_at)
            join subscription s on s.id = w.subscription
            join usage_record u on u.item_id = w.item and u.meter_code = w.meter and u.at < w.until_at
            where (w.since_at is null or u.at >= w.since_at)
              and u.xid < pg_snapshot_xmin(pg_current_snapshot()) and u.billed_by is null
              and not (s.usage_seen is not null
                       and u.at < w.billed_at
                       and (u.epoch, u.xid) < (s.usage_epoch, s.usage_seen))
            group by 1, 2, 3
            """,
            (
                [window.subscription for window in windows],
                [window.item for window in windows],
                [window.meter for window in windows],
                [window.since and start_of_day(window.since, zones[window.zone]) for window in windows],
                [start_of_day(window.until, zones[window.zone]) for window in windows],
                [window.until for window in windows],
                [start_of_day(window.billed_until, zones[window.zone]) for window in windows],
            ),
        )
        return cursor.fetchall()


def usage_mark(connection: PgConnection) -> tuple[int, str]:
    """The epoch and transaction id below which this snapshot sees every usage record."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select (select column_default from information_schema.columns"
            " where table_schema = 'public' and table_name = 'usage_record' and column_name = 'epoch')::smallint,"
            " pg_snapshot_xmin(pg_current_snapshot())::text"
        )
        row = cursor.fetchone()
    if row is None:
        raise RuntimeError("the database did not answer")
    return row[0], row[1]


def parked_accounts(connection: PgConnection, accounts: Sequence[str]) -> set[str]:
    """Which of `accounts` have billing work parked in the open."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select account_id::text from parked where kind = 'bill-run' and resolved_at is null"
            " and account_id = any(%s::uuid[])",
            (id_array(accounts),),
        )
        return {row[0] for row in cursor}
