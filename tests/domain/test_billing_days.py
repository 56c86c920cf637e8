"""The bill cycle day moves: what is charged stays, and a stub leads to the first new billing day (laws 2 and 3)."""

from __future__ import annotations

from datetime import date

import pytest

from domain.amendments import Refused
from domain.periods import Anchor, Interval, Unit
from domain.subscriptions import State
from tests.domain.amended import FEB, MAR, PERIOD_END, add_on, in_trial, jan, reader
from tests.domain.books import YEAR

FIFTEENTH = date(2026, 2, 15)


@pytest.mark.parametrize(
    ("wanted", "first", "stub"),
    [
        (15, FIFTEENTH, 1400),  # law 3: 14 of the 31 days from 15 January to 15 February
        (2, date(2026, 2, 2), 100),
        (
            31,
            date(2026, 2, 28),
            2989,
        ),  # law 2: 27 of the 28 days from 31 January to 28 February, then 31 March
        (28, date(2026, 2, 28), 2700),  # 27 of the 31 days from 28 January
    ],
)
def test_a_stub_leads_to_the_new_billing_day(wanted: int, first: date, stub: int) -> None:
    who = reader("basic")
    who.bill(jan(1))
    made = who.bill_cycle_day(jan(10), wanted)
    assert (made.credits, made.charges) == ((), ())
    assert (who.terms.anchor, who.terms.charged_through) == (Anchor(first, wanted), FEB)
    assert who.bill(FEB) == [("recurring", f"2026-02-01..{first}", stub)]
    ((_, span, amount),) = who.bill(first)
    assert (span, amount) == (f"{first}..{who.terms.charged_through}", 3100)
    assert who.terms.charged_through.day == (31 if wanted == 31 else wanted)
    assert who.uncovered() == []


def test_the_same_day_changes_nothing() -> None:
    who = reader("basic")
    who.bill(jan(1))
    before = who.terms
    assert who.bill_cycle_day(jan(10), 1).terms == before


def test_a_day_that_the_month_is_too_short_for_is_another_day() -> None:
    # law 2: charged through 28 February; the 28th and the 31st are told apart from March on.
    who = reader("basic", start=date(2026, 1, 31))
    who.bill(jan(31))
    assert who.terms.charged_through == date(2026, 2, 28)
    assert who.bill_cycle_day(FEB, 31).terms.anchor == Anchor(date(2026, 2, 28), 31)
    who.bill(date(2026, 2, 28))
    assert who.terms.charged_through == date(2026, 3, 31)
    other = reader("basic", start=date(2026, 1, 31))
    other.bill(jan(31))
    other.bill_cycle_day(FEB, 28)
    other.bill(date(2026, 2, 28))
    assert other.terms.charged_through == date(2026, 3, 28)


def test_a_clamped_day_is_not_taken_for_the_day_that_was_wanted() -> None:
    who = reader("basic", start=date(2026, 2, 28), anchor=Anchor(date(2026, 2, 28), 31))
    assert who.bill_cycle_day(date(2026, 2, 28), 28).terms.anchor == Anchor.at(date(2026, 2, 28))


def test_before_the_running_period_was_billed_it_becomes_the_stub() -> None:
    # Late billing: nothing is charged, so the 15th of January is the first new day.
    who = reader("basic")
    who.bill_cycle_day(jan(20), 15)
    assert who.bill(jan(20)) == [
        ("recurring", "2026-01-01..2026-01-15", 1400),
        ("recurring", "2026-01-15..2026-02-15", 3100),
    ]
    assert who.uncovered() == []


def test_an_intro_goes_on() -> None:
    # One period of the intro is had; the stub goes with the second, as a stub at the start does with the first.
    who = reader("intros")
    who.bill(jan(1))
    who.bill_cycle_day(jan(10), 15)
    days = (FEB, FIFTEENTH, date(2026, 3, 15), date(2026, 4, 15))
    assert [who.bill(day)[0][2] for day in days] == [140, 310, 310, 3100]


def test_changes_that_wait_for_the_end_of_what_is_charged_stay_there() -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.change(jan(5), "plus", PERIOD_END)
    who.bill_cycle_day(jan(10), 15)
    assert who.last.starts_on == FEB
    assert who.bill(FEB) == [("recurring", "2026-02-01..2026-02-15", 2800)]


def test_changes_that_wait_for_a_period_that_is_not_charged_wait_for_the_end_of_a_new_one() -> None:
    who = reader("basic")
    who.change(jan(5), "plus", PERIOD_END)
    who.bill_cycle_day(jan(10), 15)
    assert [(each.starts_on, each.ends_on) for each in who.items] == [
        (jan(1), FIFTEENTH),
        (FIFTEENTH, None),
    ]
    assert [line[2] for line in who.bill(FIFTEENTH)] == [1400, 3100, 6200]
    assert who.uncovered() == []


@pytest.mark.parametrize("changed_on", [jan(5), jan(10)])
def test_changes_that_were_made_before_the_running_period_was_billed_stay(changed_on: date) -> None:
    # Late billing, and a change by then: it does not wait.
    who = reader("basic")
    who.change(changed_on, "plus")
    who.bill_cycle_day(jan(10), 15)
    assert [(each.starts_on, each.ends_on) for each in who.items] == [
        (jan(1), changed_on),
        (changed_on, None),
    ]
    first = (changed_on - jan(1)).days
    assert [line[2] for line in who.bill(jan(10))] == [first * 100, (14 - first) * 200]
    assert who.uncovered() == []


def test_all_items_and_arrears_move() -> None:
    who = reader("basic", add_on("arrears"))
    who.bill(jan(1))
    who.bill_cycle_day(jan(10), 15)
    assert sorted(who.bill(FEB)) == [
        # The arrears of January, against the new periods: 14 of 31 days and 17 of 31.
        ("recurring", "2026-01-01..2026-01-15", 1400),
        ("recurring", "2026-01-15..2026-02-01", 1700),
        ("recurring", "2026-02-01..2026-02-15", 1400),
    ]
    assert sorted(who.bill(FIFTEENTH)) == [
        ("recurring", "2026-02-01..2026-02-15", 1400),
        ("recurring", "2026-02-15..2026-03-15", 3100),
    ]


def test_in_a_trial_and_before_the_start_the_first_period_moves() -> None:
    who = in_trial("basic")
    who.bill_cycle_day(jan(5), 20)
    assert who.bill(jan(15)) == [
        ("recurring", "2026-01-15..2026-01-20", 500)
    ]  # 5 of the 31 days from 20 December
    early = reader("basic")
    early.bill_cycle_day(date(2025, 12, 1), 15)
    assert early.bill(jan(1)) == [("recurring", "2026-01-01..2026-01-15", 1400)]


def test_a_yearly_plan_is_billed_on_the_next_such_day() -> None:
    who = reader("yearly", interval=YEAR)
    who.bill(jan(1))
    who.bill_cycle_day(jan(10), 15)
    assert who.bill(date(2027, 1, 1)) == [("recurring", "2027-01-01..2027-01-15", 1400)]  # 14 of 365 days
    assert who.bill(date(2027, 1, 15)) == [("recurring", "2027-01-15..2028-01-15", 36500)]


@pytest.mark.parametrize("unit", [Unit.DAY, Unit.WEEK])
def test_days_and_weeks_have_no_bill_cycle_day(unit: Unit) -> None:
    who = reader("weekly", interval=Interval(unit, 3))
    who.bill(jan(1))
    before = who.terms
    assert who.bill_cycle_day(jan(2), 17).terms == before


def test_what_does_not_run_does_not_move() -> None:
    who = reader("basic", status=State.PAUSED)
    with pytest.raises(Refused, match="cannot be moved to another bill cycle day; resume it first"):
        who.bill_cycle_day(MAR, 15)
