"""How time passes for one account on a clock: day by day, in the order in which it passes in a simulation.

A day begins with what is dated for it; the follow-ups of its subscriptions come next; then the day is billed and
charged. Each step is one transaction, ends where others have to act or see what happened, and changes nothing when it
is taken again. Where a tax engine is connected for test mode, the step is gone through once before, without a lock, to
ask it.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from domain.account.dates import next_dated
from domain.account.days import advance, run_bill
from domain.account.state import AccountState, snapshot
from domain.periods import local_date, start_of_day
from operations.accounts.taxing import DraftMoved, Quotes
from operations.accounts.unit import build, changing, passed
from operations.billrun.fail_points import fail_point
from operations.billrun.rate import TaxStep
from operations.billrun.whole_quotes import one_by_one
from operations.tariffs import Tariff
from storage.database import PgConnection, transaction
from storage.follow_ups import FollowUpRow, open_follow_ups
from storage.fulfilments import fulfilment_looks
from storage.test_clocks import account_time, move_account
from storage.whole.reading import read_whole

_DAY = timedelta(days=1)
ASKED_AGAIN = 3  # times, for an account that moved while the tax engine was asked


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


def play_step(
    engine: Engine, tariff: Tariff, account_id: str, to: datetime, asking: TaxStep | None = None
) -> Step:
    """Let the account's time pass towards `to`, as far as one transaction goes. `asking` is the step of the tax engine
    that is connected for test accounts. Raises NotClocked, NotTaxed for what the engine does not tax, and DraftMoved
    for an account that others change each time while it is asked."""
    for _ in range(ASKED_AGAIN):
        with suppress(DraftMoved):
            return _play(engine, tariff, account_id, to, asking)
    return _play(engine, tariff, account_id, to, asking)


def _play(engine: Engine, tariff: Tariff, account_id: str, to: datetime, asking: TaxStep | None) -> Step:
    quotes = None if asking is None else _quoted(engine, tariff, account_id, to, asking)
    with transaction(engine) as connection:
        before = _before(connection, account_id, to)
        if isinstance(before, Step):
            return before
        with changing(connection, tariff, account_id, before.at) as unit:
            if quotes is not None:
                unit.account.taxing = quotes.put()
            waiting = _pass(unit.account, before)
            zone = unit.account.zone
            unit.now = max(start_of_day(unit.account.today, zone), before.at)
        if quotes is not None:
            quotes.record(connection, unit)
        day = unit.account.today
        at = to if day >= before.last and not waiting else max(start_of_day(day, zone), before.at)
        move_account(connection, account_id, at)
        fail_point("clock-passed")
        due = {each.subscription_id for each in _due(connection, account_id, at)}
        arrived = not due and not waiting and at == to
        delivers = bool(fulfilment_looks(connection, account_id))
        return Step(at, tuple(sorted(due | waiting)), arrived, delivers)


class _Before(NamedTuple):
    """Where a step begins: the clock's time, the last day to be billed, the days on which follow-ups are due, and those
    on which licences or parcels are looked at."""

    at: datetime
    last: date
    follow_ups: set[date]
    deliveries: set[date]


def _before(connection: PgConnection, account_id: str, to: datetime) -> _Before | Step:
    """Where the step begins, or the step itself when no time passes in it."""
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
    return _Before(
        time.clock_at,
        local_date(to, zone),
        _follow_up_days(connection, account_id, zone),
        _days_after(time.clock_at, looks, zone),
    )


def _quoted(engine: Engine, tariff: Tariff, account_id: str, to: datetime, asking: TaxStep) -> Quotes:
    """What the engine says of the drafts of the step."""
    quotes = Quotes()
    with transaction(engine, read_only_snapshot=True) as connection:
        before = _before(connection, account_id, to)
        if isinstance(before, Step):
            return quotes
        rows = read_whole(connection, account_id, tariff.book, lock=False)
    account = snapshot(build(rows, tariff, before.at)[0])
    advance(account, passed(before.at, account.zone, None), fleet=account.collected)
    account.taxing = quotes.ask(one_by_one(asking))
    _pass(account, before)
    return quotes


def _pass(account: AccountState, begins: _Before) -> set[str]:
    """Bill the day on which the account stands, and let days pass until one leaves something to see, is one on which
    deliveries are looked at, or the last is billed. The ids of subscriptions for which the day that has begun, and is
    not billed, was dated."""
    before = _seen(account)
    run_bill(account)
    while account.today < begins.last and account.today not in begins.deliveries and _seen(account) == before:
        dated = _next_days(account)
        advance(account, account.today + _DAY)
        begun = {own for own, day in dated.items() if day == account.today}
        if begun or account.today in begins.follow_ups:
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
