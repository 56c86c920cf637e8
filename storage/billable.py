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


# What one row of `load_due` is: ids and versions first, then all that rating depends on. Two accounts whose rows agree
# in `terms` and `discounts` owe the same.
_ACCOUNT, _SUBSCRIPTION, _VERSION, _ITEM = range(4)
_TERMS = 4


class DueAccount(NamedTuple):
    """An account with due subscriptions, as rows: an item each, in the order of subscriptions and items."""

    id: str
    rows: list[tuple[Any, ...]]
    discounts: dict[str, list[tuple[Any, ...]]]

    @property
    def item_ids(self) -> list[str]:
        """The items' ids in order."""
        return [row[_ITEM] for row in self.rows]

    def plans(self) -> list[tuple[str, int, str]]:
        """(plan, version, currency) of each item."""
        return [(row[4], row[5], row[22]) for row in self.rows]

    def subscriptions(self) -> list[tuple[str, int]]:
        """(id, version) of each subscription, once, in order."""
        if len(self.rows) == 1:
            return [(self.rows[0][_SUBSCRIPTION], self.rows[0][_VERSION])]
        return list(dict.fromkeys((row[_SUBSCRIPTION], row[_VERSION]) for row in self.rows))

    def shape(self) -> tuple[Any, ...] | None:
        """Everything that rating and the built-in tax depend on, ids left out; None for an account of several
        subscriptions, which are rare enough to be rated one by one."""
        rows = self.rows
        first = rows[0]
        subscription = first[_SUBSCRIPTION]
        if len(rows) == 1:
            terms = first[_TERMS:]
        elif rows[-1][_SUBSCRIPTION] == subscription:
            terms = tuple(row[_TERMS:] for row in rows)
        else:
            return None
        found = self.discounts.get(subscription)
        return (terms, tuple(found)) if found else (terms,)

    def billable(self) -> Billable:
        """The account as rating takes it."""
        first = self.rows[0]
        payer = Payer(first[_ACCOUNT], *first[21:26])
        account = Billable(payer, first[26], first[27], [])
        terms: SubscriptionTerms | None = None
        for row in self.rows:
            if terms is None or terms.id != row[_SUBSCRIPTION]:
                terms = SubscriptionTerms(
                    row[_SUBSCRIPTION],
                    row[_VERSION],
                    _STATES[row[10]],
                    row[11],
                    row[12],
                    Anchor(row[13], row[14]),
                    Interval(_UNITS[row[15]], row[16]),
                    row[17],
                    row[18],
                    row[19],
                    row[20],
                    [],
                    [Discount(*found) for found in self.discounts.get(row[_SUBSCRIPTION], ())],
                )
                account.subscriptions.append(terms)
            if row[_ITEM] is not None:
                terms.items.append(Item(row[_ITEM], row[4], row[5], row[6], row[7], row[8], row[9], row[28]))
        return account


def load_due(connection: PgConnection, accounts: Sequence[str], target: Target) -> list[DueAccount]:
    """The accounts of `accounts` that have something due, in order of id. Two statements: call it in a snapshot."""
    day = target.sql_day()
    found: dict[str, DueAccount] = {}
    discounts: dict[str, list[tuple[Any, ...]]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            select a.id::text, s.id::text, s.version, i.id::text, i.plan_code, i.plan_version, i.quantity,
                   i.price_override, i.starts_on, i.ends_on, s.status, s.starts_on, s.trial_ends_on, s.anchor_on,
                   s.anchor_day, s.interval_unit, s.interval_count, s.ends_on, s.charged_through, s.arrears_through,
                   s.next_bill_on, a.mode, a.currency, a.tax_region, a.tax_exempt, a.payment_terms_days,
                   a.time_zone, {day}, i.phase_shift
            from subscription s join account a on a.id = s.account_id
                 left join subscription_item i on i.subscription_id = s.id
                      and coalesce(i.ends_on >= i.starts_on, true)
            where s.account_id = any(%(accounts)s::uuid[]) and a.id = any(%(accounts)s::uuid[])
              and s.next_bill_on <= {day} and s.status in {BILLED_STATES}
            order by s.account_id, s.id, i.id
            """,
            {"accounts": id_array(accounts), "target": target.parameter},
        )
        rows = cursor.fetchall()
        cursor.execute(
            """
            select subscription_id::text, code, percent, amount, starts_on, ends_on
            from subscription_discount where subscription_id = any(%s::uuid[])
            order by subscription_id, position, id
            """,
            (id_array(dict.fromkeys(row[_SUBSCRIPTION] for row in rows)),),
        )
        for subscription, *terms in cursor.fetchall():
            discounts.setdefault(subscription, []).append(tuple(terms))
    for row in rows:
        account = found.get(row[_ACCOUNT])
        if account is None:
            found[row[_ACCOUNT]] = DueAccount(row[_ACCOUNT], [row], discounts)
        else:
            account.rows.append(row)
    return list(found.values())


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
