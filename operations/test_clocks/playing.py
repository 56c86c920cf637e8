"""How time passes for one account on a clock: day by day, in the order in which it passes in a simulation.

A day begins with what is dated for it; the follow-ups of its subscriptions come next; then the day is billed and
charged. Each step is one transaction, ends where others have to act or see what happened, and changes nothing when it
is taken again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from domain.account.dates import next_dated
from domain.account.days import advance, run_bill
from domain.account.state import AccountState
from domain.periods import local_date, start_of_day
from operations.accounts.unit import changing
from operations.billrun.fail_points import fail_point
from operations.tariffs import Tariff
from storage.database import PgConnection, transaction
from storage.follow_ups import FollowUpRow, open_follow_ups
from storage.fulfilments import fulfilment_looks
from storage.test_clocks import account_time, move_account

_DAY = timedelta(days=1)


class NotClocked(LookupError):
    """The account lives by no test clock."""


@dataclass(frozen=True, slots=True)
class Step:
    """Where an account stands after a step: `at` in its clock's time; `waiting` are ids of subscriptions whose
    episodes have to act before the day is billed; `arrived` says that nothing is left to do before the target, and
    `delivers` that licences or parcels of the account are written down."""

    at: datetime
    waiting: tuple[str, ...] = ()
    arrived: bool = False
    delivers: bool = False


def play_step(engine: Engine, tariff: Tariff, account_id: str, to: datetime) -> Step:
    """Let the account's time pass towards `to`, as far as one transaction goes. Raises NotClocked."""
    with transaction(engine) as connection:
        time = account_time(connection, account_id)
        if time is None:
            raise NotClocked(f"account {account_id} lives by no test clock")
        zone = ZoneInfo(time.time_zone)
        looks = fulfilment_looks(connection, account_id)
        due = {each.subscription_id for each in _due(connection, account_id, time.clock_at)}
        if due:
            return Step(time.clock_at, tuple(sorted(due)), delivers=bool(looks))
        if to < time.clock_at:
            return Step(time.clock_at, arrived=True, delivers=bool(looks))
        days = _follow_up_days(connection, account_id, zone)
        last = local_date(to, zone)
        deliveries = _days_after(time.clock_at, looks, zone)
        with changing(connection, tariff, account_id, time.clock_at) as unit:
            waiting = _pass(unit.account, last, days, deliveries)
            zone = unit.account.zone
            unit.now = max(start_of_day(unit.account.today, zone), time.clock_at)
        day = unit.account.today
        at = to if day >= last and not waiting else max(start_of_day(day, zone), time.clock_at)
        move_account(connection, account_id, at)
        fail_point("clock-passed")
        due = {each.subscription_id for each in _due(connection, account_id, at)}
        arrived = not due and not waiting and at == to
        delivers = bool(fulfilment_looks(connection, account_id))
        return Step(at, tuple(sorted(due | waiting)), arrived, delivers)


def _pass(
    account: AccountState, last: date, follow_ups: Collection[date], deliveries: Collection[date]
) -> set[str]:
    """Bill the day on which the account stands, and let days pass until one leaves something to see, is one of
    `deliveries`, or `last` is billed. The ids of subscriptions for which the day that has begun, and is not billed, was
    dated."""
    before = _seen(account)
    run_bill(account)
    while account.today < last and account.today not in deliveries and _seen(account) == before:
        dated = _next_days(account)
        advance(account, account.today + _DAY)
        begun = {own for own, day in dated.items() if day == account.today}
        if begun or account.today in follow_ups:
            return begun
        run_bill(account)
    return set()


class _Seen(NamedTuple):
    """What others hear of: documents, payments, dunning, and how subscriptions stand."""

    invoices: int
    credit_notes: int
    receipts: int
    dunning: int
    subscriptions: tuple[object, ...]


def _seen(account: AccountState) -> _Seen:
    return _Seen(
        len(account.invoices),
        len(account.credit_notes),
        len(account.receipts),
        len(account.dunning),
        tuple(
            (name, each.terms, each.resumes_on, each.later, each.canceled_on, len(each.pauses))
            for name, each in account.subscriptions.items()
        ),
    )


def _next_days(account: AccountState) -> dict[str, date | None]:
    return {each.terms.id: next_dated(account, each) for each in account.subscriptions.values()}


def _due(connection: PgConnection, account_id: str, at: datetime) -> list[FollowUpRow]:
    return [each for each in open_follow_ups(connection, account_id) if each.due_at <= at]


def _follow_up_days(connection: PgConnection, account_id: str, zone: ZoneInfo) -> set[date]:
    return {local_date(each.due_at, zone) for each in open_follow_ups(connection, account_id)}


def _days_after(at: datetime, looks: Sequence[datetime | None], zone: ZoneInfo) -> set[date]:
    """The local days of what is looked at next after the day of `at`."""
    days = {local_date(each, zone) for each in looks if each is not None}
    return {day for day in days if day > local_date(at, zone)}
