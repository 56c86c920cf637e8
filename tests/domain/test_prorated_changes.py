"""Immediate changes with proration: what is credited and charged, by the day and by the second (laws 1, 3, 4, 5)."""

from __future__ import annotations

from datetime import date, datetime
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from domain.periods import Anchor
from tests.domain.amended import (
    FEB,
    MAR,
    RESTART,
    add_on,
    credited,
    in_trial,
    jan,
    money,
    reader,
)
from tests.domain.books import off, percent

BERLIN = ZoneInfo("Europe/Berlin")


# --- immediate, with proration ---


@pytest.mark.parametrize(
    ("day", "credit", "charge"),
    [
        (jan(1), 3100, 6200),
        (jan(2), 3000, 6000),
        (jan(16), 1600, 3200),  # law 4: the change day belongs to the new plan: 16 of 31 days
        (jan(31), 100, 200),
    ],
)
def test_the_rest_of_the_period_is_credited_and_charged(day: date, credit: int, charge: int) -> None:
    # law 5
    who = reader("basic")
    who.bill(jan(1))
    made = who.change(day, "plus")
    span = f"{day}..2026-02-01"
    assert money(made) == ([(span, -credit)], [("recurring", span, charge)])
    assert made.credits[0].corrects == who.billed[0].key
    assert (who.terms.charged_through, who.terms.next_bill_on) == (FEB, FEB)
    old, new = who.items
    assert (old.ends_on, new.starts_on, new.ends_on, new.replaces) == (day, day, None, old.id)
    assert who.uncovered() == []
    assert who.bill(FEB) == [("recurring", "2026-02-01..2026-03-01", 6200)]


def test_on_the_last_boundary_nothing_is_left_to_credit() -> None:
    # Late billing: February was not billed yet; it is the new plan's.
    who = reader("basic")
    who.bill(jan(1))
    assert money(who.change(FEB, "plus")) == ([], [])
    assert who.bill(FEB) == [("recurring", "2026-02-01..2026-03-01", 6200)]


def test_a_change_before_the_running_period_was_billed() -> None:
    who = reader("basic")
    assert money(who.change(jan(16), "plus")) == ([], [])
    assert who.bill(jan(20)) == [
        ("recurring", "2026-01-01..2026-01-16", 1500),
        ("recurring", "2026-01-16..2026-02-01", 3200),
    ]
    assert who.uncovered() == []


def test_a_change_in_a_stub() -> None:
    # law 3: from the 16th to the 1st, against January: 16 of 31; then 6 of 31 of each.
    who = reader("basic", start=jan(16), anchor=Anchor.at(FEB))
    assert who.bill(jan(16)) == [("recurring", "2026-01-16..2026-02-01", 1600)]
    span = "2026-01-26..2026-02-01"
    assert money(who.change(jan(26), "plus")) == ([(span, -600)], [("recurring", span, 1200)])


def test_the_credit_has_the_discount_and_the_tax_of_what_was_billed() -> None:
    # law 5: half price when it was billed; the coupon is over when the plan changes.
    half = percent("50", starts_on=jan(1), ends_on=jan(10))
    who = reader("basic", region="NY", discounts=[half])
    who.bill(jan(1))
    # 1550: City 75.5625, State 62; kept for 15 days: 750, 36.77 and 30.
    (credit,) = who.change(jan(16), "plus").credits
    assert (credit.net, [(tax.jurisdiction, tax.amount) for tax in credit.taxes]) == (
        -800,
        [("City", -39), ("State", -32)],
    )
    assert who.net == 750 + 3200


def test_the_new_plan_has_the_discount_that_lasts() -> None:
    who = reader("basic", discounts=[percent("50"), off(310)])
    who.bill(jan(1))
    assert who.net == 1240
    credits, charges = money(who.change(jan(16), "plus"))
    assert credits == [("2026-01-16..2026-02-01", -640)]
    assert charges == [
        ("recurring", "2026-01-16..2026-02-01", 3200),
        ("discount", "", -1600),
        ("discount", "", -160),
    ]


@pytest.mark.parametrize(
    ("before", "after", "credit", "charge"), [(2, 3, 3200, 4800), (3, 2, 4800, 3200), (2, 0, 3200, 0)]
)
def test_quantities_go_up_and_down(before: int, after: int, credit: int, charge: int) -> None:
    who = reader("seats", quantity=before)
    who.bill(jan(1))
    span = "2026-01-16..2026-02-01"
    assert money(who.change(jan(16), quantity=after)) == (
        [(span, -credit)],
        [("recurring", span, charge)],
    )
    assert who.last.quantity == after
    assert who.uncovered() == []


def test_another_price_for_the_same_plan() -> None:
    who = reader("basic", price_override=1550)
    who.bill(jan(1))
    span = "2026-01-16..2026-02-01"
    assert money(who.change(jan(16), price=6200)) == ([(span, -800)], [("recurring", span, 3200)])
    assert money(who.change(jan(31)))[1] == [("recurring", "2026-01-31..2026-02-01", 100)]


def test_several_changes_in_one_period() -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.change(jan(11), "plus")
    who.change(jan(21), "seats", quantity=3)
    who.change(jan(26), "basic")
    # 10 days at 1, 10 at 2, 5 at 3, 6 at 1.
    assert who.net == 1000 + 2000 + 1500 + 600
    assert who.uncovered() == []
    assert who.bill(FEB) == [("recurring", "2026-02-01..2026-03-01", 3100)]


def test_a_change_and_a_cancel_on_one_day_leave_what_was_served() -> None:
    # law 4: the day is the new plan's, and is not billed.
    who = reader("basic", region="NY")
    who.bill(jan(1))
    who.change(jan(16), "plus")
    who.cancel(jan(16))
    assert who.net == 1500
    assert who.terms.charged_through == who.terms.ends_on == jan(16)
    assert who.uncovered() == []


def test_only_the_item_that_changes_is_credited() -> None:
    who = reader("basic", add_on("plus"))
    who.bill(jan(1))
    credits, charges = money(who.change(jan(16), "seats", quantity=3))
    assert (credits, charges) == (
        [("2026-01-16..2026-02-01", -1600)],
        [("recurring", "2026-01-16..2026-02-01", 4800)],
    )
    assert who.uncovered() == []


def test_arrears_of_both_plans_are_billed_when_the_period_is_over() -> None:
    who = reader("arrears", next_bill_on=FEB)
    assert money(who.change(jan(16), "arrears", quantity=1, price=6200)) == ([], [])
    assert who.bill(FEB) == [
        ("recurring", "2026-01-01..2026-01-16", 1500),
        ("recurring", "2026-01-16..2026-02-01", 3200),
    ]


def test_a_change_in_a_trial_costs_nothing_until_it_ends() -> None:
    who = in_trial("basic")
    assert money(who.change(jan(5), "plus")) == ([], [])
    assert [each.ends_on for each in who.items] == [jan(5), None]
    assert who.bill(jan(15)) == [("recurring", "2026-01-15..2026-02-15", 6200)]


def test_a_change_after_a_trial_goes_from_the_day_of_the_change() -> None:
    who = in_trial("basic")
    who.bill(jan(15))
    assert money(who.change(jan(16), "plus"))[1] == [("recurring", "2026-01-16..2026-02-15", 6000)]


def test_a_change_in_a_trial_whose_first_period_was_billed_ahead() -> None:
    # The days of the trial cost nothing; 31 days of each follow.
    who = in_trial("basic")
    who.bill(jan(15))
    assert money(who.change(jan(5), "plus")) == (
        [("2026-01-15..2026-02-15", -3100)],
        [("recurring", "2026-01-15..2026-02-15", 6200)],
    )


# --- by the second ---


@pytest.mark.parametrize(
    ("day", "at", "kept"),
    [
        # 9:30 on the 16th: 15 × 24 + 9.5 of 744 hours.
        (jan(1), datetime(2026, 1, 16, 9, 30, tzinfo=BERLIN), 1540),
        # March has 743 hours, and 29 March 23 of them: (28 × 24 + 8.5) / 743.
        (MAR, datetime(2026, 3, 29, 9, 30, tzinfo=BERLIN), 2839),
        # October has 745 hours, and 25 October 25 of them: (24 × 24 + 10.5) / 745.
        (date(2026, 10, 1), datetime(2026, 10, 25, 9, 30, tzinfo=BERLIN), 2440),
        # The hour that comes twice, first and second: (24 × 24 + 2.5) and an hour more.
        (date(2026, 10, 1), datetime(2026, 10, 25, 2, 30, tzinfo=BERLIN), 2407),
        (date(2026, 10, 1), datetime(2026, 10, 25, 2, 30, fold=1, tzinfo=BERLIN), 2411),
    ],
)
def test_by_the_second_the_time_that_passes_counts(day: date, at: datetime, kept: int) -> None:
    # law 1
    who = reader("basic", start=day)
    who.bill(day)
    made = who.change(at, "basic", price=6200)
    assert [credit.net for credit in made.credits] == [kept - 3100]
    assert made.credits[0].start == at
    (charge,) = made.charges
    hours = Fraction(3100 - kept) / 3100  # the rest of the time, at twice the price
    assert abs(charge.amount - 6200 * hours) <= 2
    assert (charge.period_start, who.items[0].ends_at, who.last.starts_at) == (at, at, at)
    assert (who.items[0].ends_on, who.last.starts_on) == (at.date(), at.date())


def test_by_the_second_a_restart_has_the_whole_of_its_first_day() -> None:
    # Nine and a half hours are not charged by both.
    who = reader("basic")
    who.bill(jan(1))
    made = who.change(datetime(2026, 1, 16, 9, 30, tzinfo=BERLIN), "plus", RESTART)
    assert credited(made.credits) == [("2026-01-16..2026-02-01", -1600)]
    assert (who.items[0].end, who.last.start) == (jan(16), jan(16))
    assert who.bill(jan(16)) == [("recurring", "2026-01-16..2026-02-16", 6200)]
