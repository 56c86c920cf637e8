"""Whatever is billed, credited, withdrawn and run: billed = recognised + deferred + credited, in the ledger too."""

from __future__ import annotations

import itertools
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.ledger import DEFERRED, REVENUE
from domain.ledger_events import Entry, Event, entry, trial_balance
from domain.revenue import (
    Credit,
    Schedule,
    Split,
    billed,
    credited,
    deferred_on,
    last_day,
    recognised_through,
    split_credit,
    to_recognise,
    with_credit,
    withdraw_credit,
)
from domain.revenue_waterfall import by_month

START = date(2026, 1, 1)
LENGTH = 120


def day(number: int) -> date:
    return START + timedelta(days=number)


DAYS = st.integers(0, LENGTH).map(day)
NETS = st.integers(-(10**6), 10**6)
CHARGES = st.integers(0, 10**6)


@st.composite
def schedules(draw: st.DrawFn, net: st.SearchStrategy[int] = NETS) -> Schedule:
    start = draw(st.integers(0, 60))
    end = start + draw(st.integers(1, 60))
    issues = draw(st.lists(st.integers(start, end - 1), max_size=6))
    return Schedule(
        "k",
        "EUR",
        draw(net),
        draw(DAYS),
        day(start),
        day(end),
        tuple(map(day, sorted(issues))),
        deferred=draw(st.booleans()),
    )


def credit_in(draw: st.DrawFn, schedule: Schedule, since: date) -> Credit:
    """Any credit that `schedule` has room for: of a time or of an amount, given in advance or afterwards."""
    amount = draw(st.integers(0, abs(schedule.left))) * (1 if schedule.net >= 0 else -1)
    on = max(since, schedule.billed_on)
    return Credit(on, amount, draw(st.one_of(st.none(), DAYS)))


@st.composite
def credited_schedules(draw: st.DrawFn) -> Schedule:
    schedule = draw(schedules())
    on = schedule.billed_on
    for _ in range(draw(st.integers(0, 4))):
        on += timedelta(days=draw(st.integers(0, 20)))
        standing = [each for each in schedule.credits if each.withdrawn_on is None]
        if standing and draw(st.booleans()):
            schedule = withdraw_credit(schedule, draw(st.sampled_from(standing)), on)
        else:
            schedule = with_credit(schedule, credit_in(draw, schedule, on))
    return schedule


@given(credited_schedules())
def test_billed_is_recognised_deferred_and_credited_on_every_day(schedule: Schedule) -> None:
    sign = 1 if schedule.net >= 0 else -1
    for number in range(-1, 210):
        through = day(number)
        recognised, deferred = recognised_through(schedule, through), deferred_on(schedule, through)
        assert recognised + deferred + credited(schedule, through) == billed(schedule, through)
        assert recognised * sign >= 0
        assert deferred * sign >= 0
    after = last_day(schedule) + timedelta(days=1)
    assert recognised_through(schedule, after) == schedule.left
    assert deferred_on(schedule, after) == 0


@given(credited_schedules())
def test_months_sum_to_what_is_left(schedule: Schedule) -> None:
    rows = by_month(schedule)
    assert sum(row.amount for row in rows) == schedule.left
    assert [row.period for row in rows] == sorted({row.period for row in rows})


@given(credited_schedules())
def test_recognised_only_grows_while_the_credits_are_the_same(schedule: Schedule) -> None:
    sign = 1 if schedule.net >= 0 else -1
    known = date(2099, 1, 1)
    steps = [sign * recognised_through(schedule, day(number), known) for number in range(-1, 210)]
    assert all(a <= b for a, b in itertools.pairwise(steps))
    changes = {each.on for each in schedule.credits} | {each.withdrawn_on for each in schedule.credits}
    for number in range(-1, 210):
        if day(number) not in changes:
            today = sign * recognised_through(schedule, day(number))
            assert sign * recognised_through(schedule, day(number + 1)) >= today


@given(schedules(CHARGES), st.lists(DAYS, max_size=5))
def test_a_schedule_follows_the_straight_line_to_half_a_unit(
    schedule: Schedule, throughs: list[date]
) -> None:
    for through in throughs:
        if not schedule.deferred or through <= schedule.billed_on:
            continue
        if schedule.deliveries:
            gone, whole = sum(issue < through for issue in schedule.deliveries), len(schedule.deliveries)
        else:
            whole = (schedule.end - schedule.start).days
            gone = min(max((through - schedule.start).days, 0), whole)
        assert abs(2 * recognised_through(schedule, through) * whole - 2 * schedule.net * gone) <= whole


@given(st.data())
def test_the_ledger_holds_what_the_schedules_say_after_any_sequence(data: st.DataObject) -> None:
    known: list[tuple[Schedule, int]] = []  # with what the books have recognised of it
    entries: list[Entry] = []
    now = START

    def post(event: Event, **amounts: int) -> None:
        entries.append(entry(event, amounts, document="x", document_date=now, currency="EUR"))

    def balance(account: str) -> int:
        return -trial_balance(entries).get("EUR", {}).get(account, 0)

    for _ in range(data.draw(st.integers(1, 12))):
        now += timedelta(days=data.draw(st.integers(1, 15)))
        step = data.draw(st.sampled_from(["bill", "credit", "withdraw", "run"]))
        place = data.draw(st.integers(0, len(known) - 1)) if known else None
        if step == "bill" or place is None:
            bare = data.draw(schedules(CHARGES))
            schedule = Schedule(
                "k", "EUR", bare.net, now, bare.start, bare.end, bare.deliveries, deferred=bare.deferred
            )
            opening = schedule.opening
            post(
                Event.INVOICE_FINALISED,
                receivable=schedule.net,
                deferred=opening.deferred,
                revenue=opening.earned,
            )
            known.append((schedule, opening.earned))
        elif step == "credit":
            schedule, recognised = known[place]
            credit = credit_in(data.draw, schedule, now)
            split: Split = split_credit(schedule, credit, recognised)
            assert sum(split) == credit.amount
            post(
                Event.CREDIT_NOTE_ISSUED,
                deferred=split.deferred,
                revenue=split.earned,
                receivable=credit.amount,
            )
            known[place] = with_credit(schedule, credit), recognised - split.earned
        elif step == "withdraw":
            schedule, recognised = known[place]
            standing = [each for each in schedule.credits if each.withdrawn_on is None]
            if standing:
                credit = standing[0]
                part = "deferred" if schedule.deferred else "revenue"
                post(Event.INVOICE_VOIDED, receivable=-credit.amount, **{part: -credit.amount})
                earned = 0 if schedule.deferred else credit.amount
                known[place] = withdraw_credit(schedule, credit, now), recognised + earned
        else:
            now += timedelta(days=1)
            amounts = [to_recognise(schedule, now, recognised) for schedule, recognised in known]
            post(Event.REVENUE_RECOGNISED, amount=sum(amounts))
            known = [
                (schedule, recognised + amount)
                for (schedule, recognised), amount in zip(known, amounts, strict=True)
            ]
            assert balance(DEFERRED) == sum(deferred_on(schedule, now) for schedule, _ in known)
            assert balance(REVENUE) == sum(recognised_through(schedule, now) for schedule, _ in known)
        # Between two runs the ledger is where its last run left it, less what credits took.
        assert balance(DEFERRED) == sum(schedule.left - recognised for schedule, recognised in known)
        assert balance(REVENUE) == sum(recognised for _, recognised in known)


@given(schedules(CHARGES), st.integers(0, LENGTH), st.integers(0, LENGTH), st.data())
def test_a_credit_leaves_the_books_where_the_schedule_then_stands(
    schedule: Schedule, run: int, later: int, data: st.DataObject
) -> None:
    """Recognised through a day, then credited: what the books have left is what the credited schedule has there."""
    recognised = recognised_through(schedule, day(run)) if schedule.deferred else schedule.opening.earned
    credit = credit_in(data.draw, schedule, max(day(run), day(later)))
    split = split_credit(schedule, credit, recognised)
    after = with_credit(schedule, credit)
    assert min(split) >= 0
    if schedule.deferred:
        assert recognised - split.earned == recognised_through(after, day(run), date(2099, 1, 1))
    else:
        assert recognised - split.earned == after.left
