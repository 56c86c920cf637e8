"""Which phase a changed item is in: an intro goes on, is passed over, or given again (law 6)."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from domain.policy import Behaviour
from tests.domain.amended import (
    FEB,
    MAR,
    PERIOD_END,
    PRORATED,
    RESTART,
    in_trial,
    jan,
    money,
    reader,
    told,
)

BERLIN = ZoneInfo("Europe/Berlin")


# --- intros ---


def test_another_plans_intro_is_passed_over() -> None:
    who = reader("basic")
    who.bill(jan(1))
    assert money(who.change(jan(16), "intros"))[1] == [("recurring", "2026-01-16..2026-02-01", 1600)]
    assert who.bill(FEB) == [("recurring", "2026-02-01..2026-03-01", 3100)]


@pytest.mark.parametrize("behaviour", [PRORATED, RESTART])
def test_another_plans_intro_is_given_if_the_policy_says_so(behaviour: Behaviour) -> None:
    who = reader("basic")
    for day in (jan(1), FEB):
        who.bill(day)
    change_day = date(2026, 2, 15)
    charges = told(who.change(change_day, "intros", behaviour, intro_again=True).charges)
    next_days: tuple[date, ...]
    if behaviour is PRORATED:
        assert charges == [("recurring", "2026-02-15..2026-03-01", 155)]  # half of 3.10
        next_days = (MAR, date(2026, 4, 1), date(2026, 5, 1))
        expected = [310, 310, 3100]
    else:
        next_days = (change_day, date(2026, 3, 15), date(2026, 4, 15), date(2026, 5, 15))
        expected = [310, 310, 310, 3100]
    assert [who.bill(day)[0][2] for day in next_days] == expected


def test_the_intro_given_again_at_the_end_of_the_period_is_whole() -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.change(jan(16), "intros", PERIOD_END, intro_again=True)
    days = (FEB, MAR, date(2026, 4, 1), date(2026, 5, 1))
    assert [who.bill(day)[0][2] for day in days] == [310, 310, 310, 3100]


def test_the_intro_of_the_same_plan_goes_on() -> None:
    who = reader("intros")
    who.bill(jan(1))
    assert money(who.change(jan(16), quantity=2))[1] == [("recurring", "2026-01-16..2026-02-01", 160)]
    days = (FEB, MAR, date(2026, 4, 1))
    assert [who.bill(day)[0][2] for day in days] == [310, 310, 3100]


def test_after_the_billing_day_moved_charged_time_keeps_its_phase() -> None:
    # The intro is January; periods are counted anew from 15 February on.
    who = reader("intro")
    who.bill(jan(1))
    who.bill_cycle_day(jan(10), 15)
    made = who.change(jan(16), quantity=2)
    assert sum(line.amount for line in made.charges) == 160
    assert who.bill(FEB) == [("recurring", "2026-02-01..2026-02-15", 1400)]
    # In the stub the intro is over: 5 of its 31 days.
    assert money(who.change(date(2026, 2, 10), quantity=1))[1] == [
        ("recurring", "2026-02-10..2026-02-15", 500)
    ]


def test_after_a_pause_that_kept_time_charged_time_keeps_its_phase() -> None:
    who = reader("intro")
    who.bill(jan(1))
    who.pause(jan(10), keep=True)
    who.resume(jan(20))
    assert sum(line.amount for line in who.change(jan(25), quantity=2).charges) == 170  # 17 of 31 days
    assert who.bill(date(2026, 2, 11)) == [("recurring", "2026-02-11..2026-03-11", 3100)]


def test_of_a_longer_intro_the_phase_is_the_same() -> None:
    who = reader("intros")
    who.bill(jan(1))
    who.bill_cycle_day(jan(10), 15)
    assert sum(line.amount for line in who.change(jan(16), quantity=2).charges) == 160


@pytest.mark.parametrize("moved", [False, True])
def test_from_the_intro_of_one_plan_to_another_both_intros_are_over(moved: bool) -> None:
    who = reader("intro")
    who.bill(jan(1))
    if moved:
        who.bill_cycle_day(jan(10), 1)
        who.bill_cycle_day(jan(10), 15)
    assert sum(line.amount for line in who.change(jan(16), "welcome").charges) == 1600


def test_in_a_trial_no_phase_was_charged_by() -> None:
    # The first period was billed ahead, at the price after the intro, which was passed over.
    who = in_trial("basic")
    who.change(jan(3), "intros")
    who.bill(jan(15))
    assert money(who.change(jan(5), quantity=2))[1] == [("recurring", "2026-01-15..2026-02-15", 3100)]
