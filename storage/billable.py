"""Reading what a bill run needs of a chunk of accounts, in one snapshot: terms, usage, open parks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domain.invoices import Payer
from domain.periods import Anchor, Interval, Unit, start_of_day
from domain.rating import Discount, Item, SubscriptionTerms, UsageKey
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
    date derives. Just one of the two is set."""

    day: date | None
    instant: datetime | None

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


BILLED_STATES = "('trialing', 'active', 'past_due', 'draft')"

_UNITS = {unit.value: unit for unit in Unit}
_STATES = {state.value: state for state in State}


def load_billable(connection: PgConnection, accounts: Sequence[str], target: Target) -> dict[str, Billable]:
    """The accounts of `accounts` that have something due, by id. Reads two statements: call it in a
    snapshot."""
    found: dict[str, Billable] = {}
    by_id: dict[str, SubscriptionTerms] = {}
    intervals: dict[tuple[str, int], Interval] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            select s.id::text, i.id::text, i.plan_code, i.plan_version, i.quantity, i.price_override, i.starts_on,
                   i.ends_on, a.id::text, s.version, s.status, s.starts_on, s.trial_ends_on, s.anchor_on,
                   s.anchor_day, s.interval_unit, s.interval_count, s.ends_on, s.charged_through, s.arrears_through,
                   s.next_bill_on, a.mode, a.currency, a.tax_region, a.tax_exempt, a.payment_terms_days, a.time_zone,
                   {target.sql_day()}
            from subscription s join account a on a.id = s.account_id
                 left join subscription_item i on i.subscription_id = s.id
            where s.account_id = any(%(accounts)s::uuid[]) and s.next_bill_on <= {target.sql_day()}
              and s.status in {BILLED_STATES}
            order by s.account_id, s.id, i.id
            """,
            {"accounts": id_array(accounts), "target": target.parameter},
        )
        for row in cursor.fetchall():
            terms = by_id.get(row[0])
            if terms is None:
                account = found.get(row[8])
                if account is None:
                    payer = Payer(row[8], row[21], row[22], row[23], row[24], row[25])
                    account = found[row[8]] = Billable(payer, row[26], row[27], [])
                interval = intervals.get(row[15:17])
                if interval is None:
                    interval = intervals[row[15:17]] = Interval(_UNITS[row[15]], row[16])
                terms = by_id[row[0]] = SubscriptionTerms(
                    row[0],
                    row[9],
                    _STATES[row[10]],
                    row[11],
                    row[12],
                    Anchor(row[13], row[14]),
                    interval,
                    row[17],
                    row[18],
                    row[19],
                    row[20],
                    [],
                )
                account.subscriptions.append(terms)
            if row[1] is not None:
                terms.items.append(Item(row[1], row[2], row[3], row[4], row[5], row[6], row[7]))
        if not by_id:
            return found
        cursor.execute(
            """
            select subscription_id::text, id::text, code, percent, amount, starts_on, ends_on
            from subscription_discount where subscription_id = any(%s::uuid[])
            order by subscription_id, id
            """,
            (id_array(by_id),),
        )
        for row in cursor.fetchall():
            terms = by_id[row[0]]
            terms.discounts = [*terms.discounts, Discount(*row[1:])]
    return found


class UsageWindow(NamedTuple):
    """Usage of an item on a meter from local day `since` (None: all that came before) until `until`."""

    subscription: str
    item: str
    meter: str
    zone: str
    since: date | None
    until: date


def load_usage(connection: PgConnection, windows: Sequence[UsageWindow]) -> Mapping[UsageKey, Decimal]:
    """What was used in each window and not yet billed, summed by the database.

    What an earlier invoice took is known by two marks on the subscription: the day it billed up to, and the
    transaction id below which every record was visible then. A record below both marks is billed; one that came
    late, or was still uncommitted, is above one of them and goes on the next invoice (law 8).
    """
    if not windows:
        return {}
    zones = {window.zone: ZoneInfo(window.zone) for window in windows}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select w.item::text, w.meter, w.until, sum(u.quantity)
            from unnest(%s::uuid[], %s::uuid[], %s::text[], %s::timestamptz[], %s::timestamptz[], %s::date[])
                     as w(subscription, item, meter, since_at, until_at, until)
            join subscription s on s.id = w.subscription
            join account a on a.id = s.account_id
            join usage_record u on u.item_id = w.item and u.meter_code = w.meter and u.at < w.until_at
            where (w.since_at is null or u.at >= w.since_at)
              and u.xid < pg_snapshot_xmin(pg_current_snapshot())
              and not (s.usage_seen is not null
                       and u.at < (s.arrears_through::timestamp at time zone a.time_zone)
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
            ),
        )
        return {(item, meter, until): quantity for item, meter, until, quantity in cursor}


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
