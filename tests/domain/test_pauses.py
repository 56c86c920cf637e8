"""Pause and resume: paid time is credited, or kept; what was used is charged; waiting changes come in their time."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import pytest

from domain.amendments import Refused
from domain.pauses import resume
from domain.periods import Anchor
from domain.subscriptions import State
from tests.domain.amended import (
    FEB,
    MAR,
    PERIOD_END,
    add_on,
    credited,
    in_trial,
    jan,
    money,
    reader,
)
from tests.domain.books import YEAR, uid

# --- time that is credited ---


@pytest.mark.parametrize(
    ("day", "back", "credit", "charge"),
    [
        (jan(11), jan(21), 2100, 1100),  # laws 4 and 5: the 11th is not served, the 21st is
        (jan(1), jan(21), 3100, 1100),  # on the first day
        (jan(31), FEB, 100, 3100),  # on the last, until the next period
        (jan(11), jan(12), 2100, 2000),
        (jan(11), jan(11), 2100, 2100),  # taken back at once
        (jan(1), jan(1), 3100, 3100),
        (jan(11), date(2026, 2, 15), 2100, 1550),  # 14 of 28 days of February
    ],
)
def test_unused_days_are_credited_and_the_rest_charged_on_resuming(
    day: date, back: date, credit: int, charge: int
) -> None:
    who = reader("basic", region="NY")
    who.bill(jan(1))
    assert money(who.pause(day)) == ([(f"{day}..2026-02-01", -credit)], [])
    assert (who.terms.status, who.terms.next_bill_on) == (State.PAUSED, None)
    assert (who.terms.charged_through, who.terms.arrears_through) == (day, day)
    assert who.bill(back) == []
    assert money(who.resume(back)) == ([], [])
    assert who.terms.status is State.ACTIVE
    assert (who.terms.charged_through, who.terms.arrears_through, who.terms.next_bill_on) == (back,) * 3
    assert [line[2] for line in who.bill(back)] == [charge]
    assert who.uncovered() == []
    # The billing day stays.
    assert who.terms.anchor == Anchor.at(jan(1))
    # law I3: a charge is named by what opened its span; none stands twice.
    assert len({line.key for line in who.billed}) == len(who.billed)


def test_the_items_that_were_paused_begin_anew() -> None:
    who = reader("basic", add_on("seats"))
    who.bill(jan(1))
    ids = [each.id for each in who.items]
    who.pause(jan(11))
    who.resume(jan(21))
    assert [(each.plan, each.starts_on, each.ends_on, each.replaces) for each in who.items] == [
        ("basic", jan(1), jan(11), None),
        ("seats", jan(1), jan(11), None),
        ("basic", jan(21), None, ids[0]),
        ("seats", jan(21), None, ids[1]),
    ]
    assert [line[2] for line in who.bill(jan(21))] == [1100, 1100]


def test_what_was_over_before_the_pause_stays_over() -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.change(jan(5), "plus")
    who.pause(jan(11))
    who.resume(jan(21))
    assert [(each.plan, each.starts_on, each.ends_on) for each in who.items] == [
        ("basic", jan(1), jan(5)),
        ("plus", jan(5), jan(11)),
        ("plus", jan(21), None),
    ]
    assert who.net == 400 + 1200
    assert who.uncovered() == []


def test_one_id_is_needed_for_each_item() -> None:
    who = reader("basic", add_on("seats"))
    who.bill(jan(1))
    who.pause(jan(11))
    with pytest.raises(ValueError, match="2 items begin anew, and 1 ids were given"):
        resume(who.terms, jan(21), jan(11), ["one"], arrears_only=False, extends_term=True)


def test_an_intro_goes_on_after_a_pause() -> None:
    who = reader("intros")
    who.bill(jan(1))
    who.pause(jan(11))
    who.resume(jan(21))
    days = (jan(21), FEB, MAR, date(2026, 4, 1))
    assert [who.bill(day)[0][2] for day in days] == [110, 310, 310, 3100]


def test_late_billing_is_made_up_for_at_the_pause() -> None:
    who = reader("basic")
    assert money(who.pause(jan(11))) == ([], [("recurring", "2026-01-01..2026-01-11", 1000)])
    assert who.terms.charged_through == jan(11)
    assert who.uncovered() == []


def test_a_pause_closes_arrears_and_usage() -> None:
    who = reader("metered", add_on("arrears"), used=20)
    who.bill(jan(1))
    credits, charges = money(who.pause(jan(11)))
    assert credits == [("2026-01-11..2026-02-01", -2100)]
    assert sorted(charges) == [
        ("recurring", "2026-01-01..2026-01-11", 1000),
        ("usage", "2026-01-01..2026-01-11", 200),
    ]
    who.used = 0
    who.resume(jan(21))
    assert who.bill(jan(21)) == [("recurring", "2026-01-21..2026-02-01", 1100)]
    assert ("recurring", "2026-01-21..2026-02-01", 1100) in who.bill(FEB)


def test_what_is_paid_in_arrears_is_billed_when_the_period_is_over() -> None:
    who = reader("arrears", next_bill_on=FEB)
    assert money(who.pause(jan(11))) == ([], [("recurring", "2026-01-01..2026-01-11", 1000)])
    who.resume(jan(21), arrears_only=True)
    assert who.terms.next_bill_on == FEB
    assert who.bill(FEB) == [("recurring", "2026-01-21..2026-02-01", 1100)]


def test_arrears_that_were_closed_already_stay_closed() -> None:
    who = reader("arrears", arrears_through=jan(20), next_bill_on=FEB)
    assert who.pause(jan(11)).terms.arrears_through == jan(20)


# --- time that is kept ---


def test_kept_days_follow_the_pause_and_the_billing_day_with_them() -> None:
    who = reader("basic")
    who.bill(jan(1))
    assert money(who.pause(jan(11), keep=True)) == ([], [])
    assert who.terms.charged_through == FEB
    assert who.bill(FEB) == []
    who.resume(jan(21))
    eleventh = date(2026, 2, 11)
    assert (who.terms.charged_through, who.terms.next_bill_on) == (eleventh, eleventh)
    assert who.terms.anchor == Anchor.at(eleventh)
    assert [each.ends_on for each in who.items] == [None]
    assert who.bill(eleventh) == [("recurring", "2026-02-11..2026-03-11", 3100)]
    assert who.net == 6200


@pytest.mark.parametrize(
    ("day", "through"), [(jan(1), date(2026, 2, 21)), (jan(31), FEB), (FEB, date(2026, 2, 21))]
)
def test_kept_days_of_a_pause_on_the_first_and_on_the_last_day(day: date, through: date) -> None:
    # Resumed on 21 January with all of January, on 31 January as if nothing had been, on 21 February with nothing left.
    back = {jan(1): jan(21), jan(31): jan(31), FEB: date(2026, 2, 21)}[day]
    who = reader("basic")
    who.bill(jan(1))
    who.pause(day, keep=True)
    who.resume(back)
    assert who.terms.charged_through == through
    if day == jan(31):
        assert who.terms.anchor == Anchor.at(jan(1))


def test_a_yearly_plan_paused_twice_keeps_each_day() -> None:
    who = reader("yearly", interval=YEAR)
    who.bill(jan(1))
    who.pause(MAR, keep=True)
    who.resume(date(2026, 4, 1))
    assert who.terms.charged_through == date(2027, 2, 1)
    who.pause(date(2026, 6, 1), keep=True)
    who.resume(date(2026, 7, 1))
    assert who.terms.charged_through == date(2027, 3, 3)
    # Canceled on 1 August: served were 59 days, 61 and 31.
    credits, _ = money(who.cancel(date(2026, 8, 1)))
    assert credits == [("2026-06-01..2027-01-01", -(365 - 151) * 100)]
    assert who.net == 15100


def test_a_pause_that_keeps_time_when_none_is_left_begins_anew() -> None:
    who = reader("basic")
    assert money(who.pause(jan(11), keep=True))[1] == [("recurring", "2026-01-01..2026-01-11", 1000)]
    assert who.terms.charged_through == jan(11)
    who.resume(jan(21))
    assert who.bill(jan(21)) == [("recurring", "2026-01-21..2026-02-01", 1100)]


def test_an_intro_goes_on_after_time_was_kept() -> None:
    who = reader("intros")
    who.bill(jan(1))
    who.pause(jan(11), keep=True)
    who.resume(jan(21))
    days = (date(2026, 2, 11), date(2026, 3, 11), date(2026, 4, 11))
    assert [who.bill(day)[0][2] for day in days] == [310, 310, 3100]


# --- across a change that waits for the end of the period ---


def test_a_change_that_waits_comes_when_the_kept_time_is_over() -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.change(jan(5), "plus", PERIOD_END)
    who.pause(jan(11), keep=True)
    who.resume(jan(21))
    eleventh = date(2026, 2, 11)
    assert [(each.starts_on, each.ends_on) for each in who.items] == [(jan(1), eleventh), (eleventh, None)]
    assert who.bill(eleventh) == [("recurring", "2026-02-11..2026-03-11", 6200)]


def test_a_change_before_the_pause_stays_where_it_was() -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.change(jan(11), "plus")
    who.pause(jan(11), keep=True)
    who.resume(jan(21))
    assert [(each.starts_on, each.ends_on) for each in who.items] == [(jan(1), jan(11)), (jan(11), None)]


@pytest.mark.parametrize(
    ("resumed", "rest"),
    [
        (jan(25), [("recurring", "2026-01-25..2026-02-01", 700)]),
        (FEB, []),
    ],
)
def test_a_change_that_waits_and_was_billed_ahead_is_billed_for_another_item_after_a_pause(
    resumed: date, rest: list[tuple[str, str, int]]
) -> None:
    # law I3: the pause gave February back too, which was charged for the item that was to begin then.
    who = reader("basic")
    who.bill(jan(1))
    who.change(jan(5), "odd", PERIOD_END)
    february = ("recurring", "2026-02-01..2026-03-01", 1001)
    assert who.bill(FEB) == [february]
    who.pause(jan(20))
    who.resume(resumed)
    assert who.bill(FEB) == [*rest, february]
    assert len({line.key for line in who.billed}) == len(who.billed)
    assert who.uncovered() == []
    assert who.bill(MAR)[0][2] == 1001


def test_a_change_that_waits_comes_on_its_day_when_time_was_credited() -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.change(jan(5), "plus", PERIOD_END)
    who.pause(jan(11))
    who.resume(jan(21))
    assert [(each.plan, each.starts_on, each.ends_on) for each in who.items] == [
        ("basic", jan(1), jan(11)),
        ("plus", FEB, None),
        ("basic", jan(21), FEB),
    ]
    assert who.items[1].replaces == who.items[2].id
    assert who.bill(jan(21)) == [("recurring", "2026-01-21..2026-02-01", 1100)]
    assert who.bill(FEB) == [("recurring", "2026-02-01..2026-03-01", 6200)]
    assert who.uncovered() == []
    # A newer change still takes its place.
    who.change(date(2026, 2, 2), "basic", PERIOD_END)
    assert who.last.starts_on == MAR


@pytest.mark.parametrize("back", [FEB, date(2026, 2, 15)])
def test_a_change_whose_day_came_during_the_pause_is_made_on_resuming(back: date) -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.change(jan(5), "plus", PERIOD_END)
    who.pause(jan(11))
    who.resume(back)
    assert [(each.plan, each.starts_on, each.ends_on) for each in who.items] == [
        ("basic", jan(1), jan(11)),
        ("plus", back, None),
    ]
    assert [line[2] for line in who.bill(back)] == [6200 if back == FEB else 3100]
    assert who.uncovered() == []


@pytest.mark.parametrize("back", [MAR, date(2026, 3, 10)])
def test_of_changes_that_came_during_the_pause_the_last_holds(back: date) -> None:
    # Basic until 1 February, plus until 1 March, then seats: only seats is served.
    who = reader("basic")
    who.bill(jan(1))
    who.change(jan(5), "plus", PERIOD_END)
    who.pause(jan(11))
    who.items[1] = replace(who.items[1], ends_on=MAR)
    who.items.append(replace(who.items[1], id=uid("third"), plan="seats", starts_on=MAR, ends_on=None))
    who.resume(back)
    assert [(each.plan, each.starts_on, each.ends_on) for each in who.items] == [
        ("basic", jan(1), jan(11)),
        ("plus", FEB, FEB),
        ("seats", back, None),
    ]
    assert [line[2] for line in who.bill(back)] == [3100 if back == MAR else 2200]


# --- the end of a fixed term ---


@pytest.mark.parametrize(("extends", "ends_on"), [(True, date(2026, 7, 11)), (False, date(2026, 7, 1))])
def test_a_fixed_term_is_extended_by_the_length_of_the_pause_if_the_policy_says_so(
    extends: bool, ends_on: date
) -> None:
    who = reader("basic", ends_on=date(2026, 7, 1))
    who.bill(jan(1))
    who.pause(jan(11))
    who.resume(jan(21), extends_term=extends)
    assert who.terms.ends_on == ends_on
    assert who.terms.next_bill_on == jan(21)


def test_kept_time_does_not_bill_after_the_end() -> None:
    who = reader("basic", ends_on=date(2026, 2, 5))
    who.bill(jan(1))
    who.pause(jan(11), keep=True)
    who.resume(jan(21), extends_term=False)
    assert (who.terms.charged_through, who.terms.next_bill_on) == (date(2026, 2, 11), date(2026, 2, 5))


@pytest.mark.parametrize(("back", "refused"), [(jan(20), False), (jan(21), True), (jan(30), True)])
def test_a_term_that_ended_during_the_pause_is_not_resumed(back: date, refused: bool) -> None:
    who = reader("basic", ends_on=jan(21))
    who.bill(jan(1))
    who.pause(jan(11))
    if not refused:
        who.resume(back, extends_term=False)
        return
    with pytest.raises(Refused, match="ended on 2026-01-21, during the pause; reactivate it instead"):
        who.resume(back, extends_term=False)


def test_a_term_that_is_extended_does_not_end_during_the_pause() -> None:
    who = reader("basic", ends_on=jan(21))
    who.bill(jan(1))
    who.pause(jan(11))
    who.resume(MAR)
    assert who.terms.ends_on == date(2026, 3, 11)
    assert who.bill(MAR) == [("recurring", "2026-03-01..2026-03-11", 1000)]


# --- what is refused ---


@pytest.mark.parametrize(("day", "refused"), [(jan(14), True), (jan(15), False)])
def test_a_trial_is_not_paused(day: date, refused: bool) -> None:
    who = in_trial("basic")
    if not refused:
        assert credited(who.pause(day).credits) == []
        return
    with pytest.raises(Refused, match="a trial cannot be paused; it ends on 2026-01-15"):
        who.pause(day)


def test_a_pause_is_not_paused_nor_resumed_twice() -> None:
    who = reader("basic")
    with pytest.raises(Refused, match="is not paused, so it cannot be resumed"):
        resume(who.terms, jan(21), jan(11), ["one"], arrears_only=False, extends_term=True)
    who.bill(jan(1))
    who.pause(jan(11))
    with pytest.raises(Refused, match="is paused and cannot be paused"):
        who.pause(jan(12))
    with pytest.raises(
        Refused, match="paused on 2026-01-11 and cannot be resumed on 2026-01-10, before that"
    ):
        resume(who.terms, jan(10), jan(11), ["one"], arrears_only=False, extends_term=True)
