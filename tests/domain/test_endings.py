"""Cancel now and cancel at the end of the period: what is given back, what is charged (laws 4 and 5)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from domain.amendments import Account, History, Refused
from domain.endings import cancel_now
from domain.periods import Anchor
from domain.subscriptions import State
from tests.domain.amended import (
    FEB,
    MAR,
    PERIOD_END,
    RESTART,
    SHOP,
    add_on,
    credited,
    in_trial,
    jan,
    money,
    reader,
)

BERLIN = ZoneInfo("Europe/Berlin")
BEFORE = date(2025, 12, 20)


# --- cancel now ---


@pytest.mark.parametrize(
    ("day", "credit", "back"),
    [
        (jan(16), "prorated", 1600),  # law 4: the cancel day is not billed
        (jan(1), "prorated", 3100),
        (jan(31), "prorated", 100),
        (FEB, "prorated", 0),
        (jan(16), "none", 0),
        (jan(16), "whole_period", 3100),
        (jan(31), "whole_period", 3100),
        (FEB, "whole_period", 0),
    ],
)
def test_a_cancel_gives_back_what_the_policy_says(day: date, credit: str, back: int) -> None:
    # law 5
    who = reader("basic", region="NY")
    who.bill(jan(1))
    made = who.cancel(day, credit)  # type: ignore[arg-type]
    assert sum(each.net for each in made.credits) == -back
    assert made.charges == ()
    assert (who.terms.status, who.terms.ends_on, who.terms.next_bill_on) == (State.CANCELED, day, None)
    # law I13: charged-through moves back to the first day that is given back
    through = {"none": FEB, "prorated": day, "whole_period": jan(1) if back else day}[credit]
    assert who.terms.charged_through == through
    assert who.bill(MAR) == []
    if back == 3100:
        assert who.gross == 0


def test_a_cancel_by_the_second_keeps_what_was_served_of_the_day() -> None:
    # law 1: 15 × 24 + 9.5 of the 744 hours of January
    who = reader("basic")
    who.bill(jan(1))
    made = who.cancel(datetime(2026, 1, 16, 9, 30, tzinfo=BERLIN))
    assert [each.net for each in made.credits] == [1540 - 3100]
    assert who.terms.ends_on == jan(16)


def test_a_cancel_closes_arrears_and_usage() -> None:
    who = reader("metered", add_on("arrears"), used=20)
    who.bill(jan(1))
    credits, charges = money(who.cancel(jan(11)))
    assert credits == [("2026-01-11..2026-02-01", -2100)]
    assert sorted(charges) == [
        ("recurring", "2026-01-01..2026-01-11", 1000),
        ("usage", "2026-01-01..2026-01-11", 200),
    ]
    assert who.terms.arrears_through == jan(11)


def test_a_cancel_before_the_running_period_was_billed_charges_what_was_served() -> None:
    who = reader("basic")
    assert money(who.cancel(jan(11))) == ([], [("recurring", "2026-01-01..2026-01-11", 1000)])
    assert who.uncovered() == []


def test_a_cancel_in_a_trial_costs_nothing() -> None:
    who = in_trial("basic")
    assert money(who.cancel(jan(5))) == ([], [])
    assert (who.terms.ends_on, who.terms.charged_through, who.terms.arrears_through) == (
        jan(5),
        jan(5),
        jan(15),
    )
    assert who.bill(jan(15)) == []


def test_a_cancel_before_the_start_costs_nothing() -> None:
    who = reader("basic", add_on("arrears"))
    assert money(who.cancel(BEFORE)) == ([], [])
    assert (who.terms.ends_on, who.terms.charged_through) == (jan(1), jan(1))
    assert who.bill(jan(1)) == []


def test_a_cancel_of_all_items_credits_each() -> None:
    who = reader("basic", add_on("plus"))
    who.bill(jan(1))
    assert [each.net for each in who.cancel(jan(16)).credits] == [-1600, -3200]


@pytest.mark.parametrize(
    ("keep", "credit", "back", "through"),
    [
        (False, "prorated", 0, jan(11)),  # credited when the pause began
        (True, "prorated", 2100, jan(11)),
        (True, "none", 0, FEB),
        (True, "whole_period", 3100, jan(1)),  # law I13: all its days are given back
        (False, "whole_period", 1000, jan(1)),
    ],
)
def test_a_cancel_during_a_pause_is_from_the_day_of_the_pause(
    keep: bool, credit: str, back: int, through: date
) -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.pause(jan(11), keep=keep)
    made = who.cancel(jan(25), credit)  # type: ignore[arg-type]
    assert (sum(each.net for each in made.credits), made.charges) == (-back, ())
    assert (who.terms.ends_on, who.terms.charged_through) == (jan(25), through)


def test_a_cancel_during_a_pause_is_of_what_was_served_when_it_began() -> None:
    # The change that waited for 1 February came during the pause.
    who = reader("basic")
    who.bill(jan(1))
    who.change(jan(5), "plus", PERIOD_END)
    who.pause(jan(11), keep=True)
    assert credited(who.cancel(date(2026, 2, 5)).credits) == [("2026-01-11..2026-02-01", -2100)]


def test_a_cancel_of_the_whole_period_has_what_was_replaced_in_it() -> None:
    who = reader("basic", region="NY")
    who.bill(jan(1))
    who.bill(FEB)
    who.change(date(2026, 2, 11), "plus")
    who.cancel(date(2026, 2, 20), "whole_period")
    assert who.net == 3100


def test_a_cancel_of_the_whole_period_has_nothing_of_the_one_before() -> None:
    # The period restarted on the 11th; the ten days before it were another period.
    who = reader("basic")
    who.bill(jan(1))
    who.change(jan(11), "plus", RESTART)
    who.bill(jan(11))
    who.cancel(jan(20), "whole_period")
    assert who.net == 1000


def test_a_cancel_of_the_whole_period_that_a_pause_moved() -> None:
    # January's time runs until 11 February.
    who = reader("basic")
    who.bill(jan(1))
    who.pause(jan(11), keep=True)
    who.resume(jan(21))
    who.cancel(date(2026, 2, 10), "whole_period")
    assert who.net == 0


def test_a_cancel_of_the_whole_period_gives_nothing_back_twice() -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.cancel(jan(16))
    again = cancel_now(
        Account(SHOP, "USD"),
        replace(who.terms, status=State.ACTIVE, ends_on=None),
        History(who.billed, [replace(who.credits[0], start=None, end=None, net=-3100)]),
        jan(20),
        credit="whole_period",
    )
    assert again.credits == ()


@pytest.mark.parametrize("status", [State.CANCELED, State.EXPIRED])
def test_what_has_ended_is_not_canceled(status: State) -> None:
    who = reader("basic", status=status)
    with pytest.raises(Refused, match="has ended and cannot be canceled"):
        who.cancel(jan(16))
    with pytest.raises(Refused, match="has ended and cannot be canceled"):
        who.cancel_later(jan(16))


def test_what_is_paused_is_canceled_by_saying_since_when() -> None:
    who = reader("basic", status=State.PAUSED)
    with pytest.raises(Refused, match="is paused and cannot be canceled"):
        who.cancel(jan(16))
    who.terms = replace(who.terms, status=State.ACTIVE)
    who.paused_on = jan(11)
    with pytest.raises(Refused, match="the subscription is not paused"):
        who.cancel(jan(16))


# --- cancel at the end of the period ---


def test_what_is_paid_for_is_served() -> None:
    who = reader("basic")
    who.bill(jan(1))
    assert money(who.cancel_later(jan(16))) == ([], [])
    assert (who.terms.ends_on, who.terms.next_bill_on, who.terms.status) == (FEB, FEB, State.ACTIVE)
    assert who.bill(FEB) == []
    assert who.net == 3100


def test_arrears_are_billed_at_the_end() -> None:
    who = reader("arrears", next_bill_on=FEB)
    who.cancel_later(jan(16))
    assert who.bill(FEB) == [("recurring", "2026-01-01..2026-02-01", 3100)]
    assert who.terms.next_bill_on is None


@pytest.mark.parametrize("day", [jan(1), jan(16), jan(31)])
def test_a_period_that_was_not_billed_yet_is_billed(day: date) -> None:
    who = reader("basic")
    who.cancel_later(day)
    assert (who.terms.ends_on, who.terms.next_bill_on) == (FEB, jan(1))
    assert who.bill(jan(20)) == [("recurring", "2026-01-01..2026-02-01", 3100)]


def test_the_end_does_not_come_after_the_end() -> None:
    who = reader("basic", ends_on=jan(20), next_bill_on=None)
    assert who.cancel_later(jan(16)).terms.ends_on == jan(20)


@pytest.mark.parametrize(("ends_on", "end"), [(None, jan(15)), (jan(10), jan(10)), (FEB, jan(15))])
def test_in_a_trial_the_end_is_that_of_the_trial(ends_on: date | None, end: date) -> None:
    who = in_trial("basic", ends_on=ends_on)
    who.cancel_later(jan(5))
    assert (who.terms.ends_on, who.terms.next_bill_on) == (end, end)
    assert who.bill(FEB) == []


def test_on_the_day_the_trial_is_over_the_period_is_the_first_that_is_paid() -> None:
    who = in_trial("basic")
    assert who.cancel_later(jan(15)).terms.ends_on == date(2026, 2, 15)


@pytest.mark.parametrize("anchor", [jan(1), jan(15)])
def test_before_the_start_nothing_is_served(anchor: date) -> None:
    # Whether the first period begins with the start or with a stub before the bill cycle day.
    who = reader("basic", add_on("plus"), anchor=Anchor.at(anchor))
    who.cancel_later(BEFORE)
    assert who.terms.ends_on == jan(1)
    assert who.bill(jan(1)) == []
    # Taken back, it is all there.
    who.reactivate(BEFORE)
    assert [line[2] for line in who.bill(jan(1))] == ([3100, 6200] if anchor == jan(1) else [1400, 2800])


def test_changes_that_wait_fall_away() -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.change(jan(5), "plus", PERIOD_END)
    who.cancel_later(jan(16))
    assert [(each.plan, each.ends_on) for each in who.items] == [("basic", None)]
    who.reactivate(jan(20))
    assert who.bill(FEB) == [("recurring", "2026-02-01..2026-03-01", 3100)]


def test_changes_that_wait_for_a_later_period_fall_away() -> None:
    # Nothing was billed when the billing day moved: the change waits for 15 February, the cancel for 15 January.
    who = reader("basic")
    who.change(jan(5), "plus", PERIOD_END)
    who.bill_cycle_day(jan(10), 15)
    who.cancel_later(jan(10))
    assert who.terms.ends_on == jan(15)
    assert [(each.plan, each.ends_on) for each in who.items] == [("basic", None)]


def test_changes_that_were_made_stay() -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.change(jan(10), "plus")
    who.cancel_later(jan(16))
    assert [(each.plan, each.ends_on) for each in who.items] == [("basic", jan(10)), ("plus", None)]
