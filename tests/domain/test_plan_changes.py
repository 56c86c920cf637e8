"""Changes of plan and interval: which way they go, when they take effect, what is refused (law 6)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest

from domain.amendments import Refused
from domain.periods import Anchor, Interval, Unit
from domain.plan_changes import (
    Direction,
    behaviour_for,
    daily,
    direction,
    item_at,
    recurring_amount,
    without_waiting,
)
from domain.policy import Behaviour, ChangePolicy, Policy
from domain.proration import Unit as Proration
from domain.subscriptions import State
from tests.domain.amended import (
    FEB,
    MAR,
    PERIOD_END,
    PRORATED,
    RESTART,
    SHOP,
    UNPRORATED,
    add_on,
    credited,
    in_trial,
    jan,
    money,
    reader,
)
from tests.domain.books import MONTH, YEAR, book, item, recurring, terms, uid, version

BERLIN = ZoneInfo("Europe/Berlin")


# --- which way a change goes ---


@pytest.mark.parametrize(
    ("old", "new", "way"),
    [
        ((1000, MONTH), (1001, MONTH), Direction.UPGRADE),
        ((1000, MONTH), (1000, MONTH), Direction.UPGRADE),
        ((1000, MONTH), (999, MONTH), Direction.DOWNGRADE),
        ((1000, MONTH), (9900, YEAR), Direction.INTERVAL_CHANGE),
        ((9900, YEAR), (1000, MONTH), Direction.INTERVAL_CHANGE),
        ((1000, MONTH), (1000, Interval(Unit.MONTH, 3)), Direction.INTERVAL_CHANGE),
        ((1000, Interval(Unit.MONTH, 12)), (1100, YEAR), Direction.UPGRADE),
        ((1000, Interval(Unit.DAY, 14)), (900, Interval(Unit.WEEK, 2)), Direction.DOWNGRADE),
        ((1000, Interval(Unit.DAY, 30)), (1000, MONTH), Direction.INTERVAL_CHANGE),
    ],
)
def test_the_direction_of_a_change(
    old: tuple[int, Interval], new: tuple[int, Interval], way: Direction
) -> None:
    # law 6
    assert direction(*old, *new) is way


@pytest.mark.parametrize(
    ("interval", "days"),
    [
        (Interval(Unit.DAY, 3), Fraction(3)),
        (Interval(Unit.WEEK, 2), Fraction(14)),
        (MONTH, Fraction(1461, 48)),
        (Interval(Unit.YEAR, 2), Fraction(1461, 2)),
    ],
)
def test_the_average_length_of_an_interval(interval: Interval, days: Fraction) -> None:
    assert daily(interval) == days


@pytest.mark.parametrize(
    ("plan", "quantity", "override", "amount"),
    [
        ("basic", "1", None, 3100),
        ("basic", "4", None, 3100),  # a flat price is the same for four
        ("basic", "4", 2500, 2500),
        ("seats", "4", None, 12400),
        ("seats", "2.5", 333, 833),  # 832.5
        ("intro", "1", None, 3100),  # whatever intro is running
        ("arrears", "1", None, 3100),
        ("metered", "1", None, 3100),  # usage is not counted on
        ("setup", "1", 1, 1),
    ],
)
def test_what_a_plan_costs_a_period(plan: str, quantity: str, override: int | None, amount: int) -> None:
    assert recurring_amount(SHOP.version(plan, 1, "USD"), Decimal(quantity), override) == amount


def test_an_override_replaces_the_first_price_only() -> None:
    prices = book(plan=version(recurring("12.00"), recurring("3.00", "extra", billed="arrears")))
    assert recurring_amount(prices.version("plan", 1, "USD"), Decimal(1), 1000) == 1300
    assert recurring_amount(prices.version("plan", 1, "USD"), Decimal(1), None) == 1500


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        (Direction.UPGRADE, PRORATED),
        (Direction.DOWNGRADE, PERIOD_END),
        (Direction.INTERVAL_CHANGE, RESTART),
    ],
)
def test_the_policy_answers_by_direction(way: Direction, expected: Behaviour) -> None:
    # law 6, and law 1: an ordinary publisher says nothing
    assert behaviour_for(ChangePolicy(), way) is expected
    assert Policy().proration is Proration.DAY
    other = ChangePolicy(upgrade=RESTART, downgrade=UNPRORATED, interval_change=PERIOD_END)
    assert [behaviour_for(other, each) for each in Direction] == [RESTART, UNPRORATED, PERIOD_END]


# --- immediate without proration, and at the end of the period ---


@pytest.mark.parametrize("behaviour", [UNPRORATED, PERIOD_END])
def test_what_was_charged_stays_and_the_new_price_comes_with_the_next_period(behaviour: Behaviour) -> None:
    who = reader("basic")
    who.bill(jan(1))
    assert money(who.change(jan(16), "plus", behaviour)) == ([], [])
    assert [(each.starts_on, each.ends_on) for each in who.items] == [(jan(1), FEB), (FEB, None)]
    assert who.bill(FEB) == [("recurring", "2026-02-01..2026-03-01", 6200)]
    assert who.uncovered() == []


def test_a_change_at_the_end_of_a_period_that_was_not_billed_yet() -> None:
    who = reader("basic")
    who.change(jan(16), "plus", PERIOD_END)
    assert [line[2] for line in who.bill(FEB)] == [3100, 6200]


def test_a_newer_change_takes_the_place_of_one_that_waits() -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.change(jan(5), "plus", PERIOD_END)
    who.change(jan(10), "seats", PERIOD_END, quantity=3)
    assert [(each.plan, each.starts_on, each.ends_on) for each in who.items] == [
        ("basic", jan(1), FEB),
        ("seats", FEB, None),
    ]
    who.change(jan(12), "twin")
    assert [each.plan for each in who.items] == ["basic", "twin"]
    assert who.bill(FEB) == [("recurring", "2026-02-01..2026-03-01", 3100)]


def test_a_change_that_has_come_does_not_wait() -> None:
    old = item(name="old", ends_on=FEB)
    new = item(name="new", starts_on=FEB, replaces=old.id)
    both = terms(jan(1), old, new)
    assert without_waiting(both, old.id, FEB) == both
    (left,) = without_waiting(both, old.id, jan(31)).items
    assert left == replace(old, ends_on=None)
    assert without_waiting(both, new.id, jan(1)) == both


def test_a_change_in_a_trial_at_the_end_of_the_period_waits_for_the_end_of_the_trial() -> None:
    who = in_trial("basic")
    who.change(jan(5), "plus", PERIOD_END)
    assert who.last.starts_on == jan(15)
    assert who.bill(jan(15)) == [("recurring", "2026-01-15..2026-02-15", 6200)]


@pytest.mark.parametrize(("ends_on", "then"), [(FEB, None), (MAR, MAR), (None, None)])
def test_an_item_that_was_to_end_later_ends_then_under_its_new_plan(
    ends_on: date | None, then: date | None
) -> None:
    who = reader("basic")
    who.items[0] = replace(who.items[0], ends_on=ends_on)
    who.bill(jan(1))
    assert who.change(jan(16), "plus", PERIOD_END).terms.items[-1].ends_on == then


def test_a_change_that_the_end_would_forestall_is_refused() -> None:
    who = reader("basic", ends_on=FEB)
    who.bill(jan(1))
    with pytest.raises(Refused, match="ends on 2026-02-01, before the change would take effect"):
        who.change(jan(16), "plus", PERIOD_END)
    who.terms = replace(who.terms, ends_on=date(2026, 2, 2))
    assert who.change(jan(16), "plus", PERIOD_END).terms.items[-1].starts_on == FEB


# --- a new period ---


def test_a_restart_credits_what_is_left_and_begins_a_period() -> None:
    who = reader("basic")
    who.bill(jan(1))
    assert money(who.change(jan(16), "plus", RESTART)) == ([("2026-01-16..2026-02-01", -1600)], [])
    assert who.terms.anchor == Anchor.at(jan(16))
    assert (who.terms.charged_through, who.terms.arrears_through) == (jan(16), jan(16))
    assert who.bill(jan(16)) == [("recurring", "2026-01-16..2026-02-16", 6200)]
    assert who.uncovered() == []


def test_a_restart_begins_a_period_for_all_items() -> None:
    who = reader("basic", add_on("plus"))
    who.bill(jan(1))
    made = who.change(jan(16), "seats", RESTART)
    assert [credit.net for credit in made.credits] == [-1600, -3200]
    assert sorted(amount for _, _, amount in who.bill(jan(16))) == [3100, 6200]
    assert who.uncovered() == []


def test_a_restart_where_a_period_begins_is_no_new_period() -> None:
    # law I3: the add-on is not charged the same again.
    who = reader("basic", add_on("plus"))
    who.bill(jan(1))
    span = "2026-01-01..2026-02-01"
    assert money(who.change(jan(1), "seats", RESTART, quantity=2)) == (
        [(span, -3100)],
        [("recurring", span, 6200)],
    )
    assert who.bill(FEB) != []
    keys = [line.key for line in who.billed]
    assert len(keys) == len({*keys})


def test_a_restart_on_the_first_day_of_a_period_that_was_not_billed() -> None:
    who = reader("basic")
    assert money(who.change(jan(1), "plus", RESTART)) == ([], [])
    assert who.bill(jan(1)) == [("recurring", "2026-01-01..2026-02-01", 6200)]


def test_a_restart_in_a_stub_that_a_period_would_begin_with() -> None:
    # Charged from the 1st until the 15th, where periods begin now: the rest is less than a period.
    who = reader("basic", start=jan(1), anchor=Anchor.at(jan(1)))
    who.bill(jan(1))
    who.terms = replace(who.terms, charged_through=jan(15))
    who.change(jan(1), "plus", RESTART)
    assert who.terms.charged_through == jan(1)


def test_a_restart_closes_arrears_and_usage() -> None:
    who = reader("metered", add_on("arrears"), used=20)
    who.bill(jan(1))
    credits, charges = money(who.change(jan(16), "plus", RESTART))
    assert credits == [("2026-01-16..2026-02-01", -1600)]
    assert sorted(charges) == [
        ("recurring", "2026-01-01..2026-01-16", 1500),
        ("usage", "2026-01-01..2026-01-16", 200),
    ]
    who.used = 0
    assert who.bill(date(2026, 2, 16))[-1] == ("recurring", "2026-02-16..2026-03-16", 6200)


def test_from_monthly_to_yearly_restarts() -> None:
    who = reader("basic")
    who.bill(jan(1))
    assert money(who.change(jan(16), "yearly", RESTART, interval=YEAR))[0] == [
        ("2026-01-16..2026-02-01", -1600)
    ]
    assert who.terms.interval == YEAR
    assert who.bill(jan(16)) == [("recurring", "2026-01-16..2027-01-16", 36500)]
    # And back: 365 days less 31.
    made = who.change(date(2026, 2, 16), "basic", RESTART, interval=MONTH)
    assert credited(made.credits) == [("2026-02-16..2027-01-16", -33400)]
    assert who.bill(date(2026, 2, 16)) == [("recurring", "2026-02-16..2026-03-16", 3100)]
    assert who.uncovered() == []


def test_another_interval_on_the_first_day_of_a_period_is_a_restart() -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.change(jan(1), "yearly", RESTART, interval=YEAR)
    assert who.bill(jan(1)) == [("recurring", "2026-01-01..2027-01-01", 36500)]
    assert who.net == 36500


def test_another_interval_in_a_trial_waits_for_its_end() -> None:
    who = in_trial("basic")
    assert money(who.change(jan(5), "yearly", RESTART, interval=YEAR)) == ([], [])
    assert (who.terms.charged_through, who.terms.anchor) == (jan(15), Anchor.at(jan(15)))
    assert [(each.starts_on, each.ends_on) for each in who.items] == [(jan(1), jan(5)), (jan(5), None)]
    assert who.bill(jan(15)) == [("recurring", "2026-01-15..2027-01-15", 36500)]


def test_on_the_day_the_trial_ends_it_is_over() -> None:
    who = in_trial("basic")
    who.change(jan(15), "yearly", RESTART, interval=YEAR)
    assert who.terms.next_bill_on == jan(15)
    billed = in_trial("basic")
    billed.bill(jan(15))
    made = billed.change(jan(15), "yearly", RESTART, interval=YEAR)
    assert credited(made.credits) == [("2026-01-15..2026-02-15", -3100)]


def test_in_a_trial_before_a_stub_the_new_interval_begins_when_it_ends() -> None:
    who = in_trial("basic")
    who.bill_cycle_day(jan(2), 20)
    assert who.terms.anchor.on == jan(20)
    who.change(jan(5), "yearly", RESTART, interval=YEAR)
    assert who.bill(jan(15)) == [("recurring", "2026-01-15..2027-01-15", 36500)]


def test_a_restart_moves_a_change_of_another_item_that_waits() -> None:
    who = reader("basic", add_on("plus"))
    who.bill(jan(1))
    who.change(jan(5), "twin", PERIOD_END, old=who.items[1])
    who.change(jan(16), "seats", RESTART, old=who.items[0])
    waiting = next(each for each in who.items if each.plan == "twin")
    assert waiting.starts_on == date(2026, 2, 16)


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (PRORATED, "another billing interval restarts the period, or waits"),
        (UNPRORATED, "is made when that day comes"),
        (PERIOD_END, "is made when that day comes"),
    ],
)
def test_another_interval_in_the_running_period_is_refused(behaviour: Behaviour, message: str) -> None:
    who = reader("basic")
    who.bill(jan(1))
    with pytest.raises(Refused, match=message):
        who.change(jan(16), "yearly", behaviour, interval=YEAR)
    who.change(jan(16), "plus", behaviour, interval=MONTH)


# --- what is refused ---


@pytest.mark.parametrize("status", [State.PAUSED, State.CANCELED])
def test_what_does_not_run_is_not_changed(status: State) -> None:
    with pytest.raises(Refused, match="cannot be changed"):
        reader("basic", status=status).change(jan(16), "plus")


def test_an_item_that_is_not_served_cannot_be_changed() -> None:
    ended = item(name="ended", ends_on=jan(16))
    later = item(name="later", starts_on=FEB, replaces=uid("item"))
    running = terms(jan(1), item(name="now"), ended, later)
    assert item_at(running, uid("now"), jan(16)).id == uid("now")
    assert item_at(running, ended.id, jan(15)) is ended
    assert item_at(running, later.id, FEB) is later
    for found, day in ((ended, jan(16)), (later, jan(31))):
        with pytest.raises(Refused, match=f"item {found.id} of the subscription is not served on {day}"):
            item_at(running, found.id, day)
    with pytest.raises(Refused, match="not served on 2026-01-16"):
        item_at(running, "unknown", datetime(2026, 1, 16, 23, tzinfo=BERLIN))
