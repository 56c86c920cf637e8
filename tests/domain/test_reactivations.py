"""A canceled subscription taken up again: before its end as if nothing had been, after it with a new period."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

import pytest

from domain.amendments import Account, Refused
from domain.endings import items_at_end, reactivate
from domain.periods import Anchor
from domain.subscriptions import State
from tests.domain.amended import (
    FEB,
    MAR,
    PERIOD_END,
    SHOP,
    add_on,
    in_trial,
    jan,
    money,
    reader,
)
from tests.domain.books import item, terms, uid

BERLIN = ZoneInfo("Europe/Berlin")
BEFORE = date(2025, 12, 20)


# --- reactivate before the end ---


@pytest.mark.parametrize("term_end", [None, date(2026, 7, 1)])
def test_before_the_end_the_cancel_is_taken_back(term_end: date | None) -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.cancel_later(jan(16))
    assert money(who.reactivate(jan(31), term_end=term_end)) == ([], [])
    assert (who.terms.ends_on, who.terms.next_bill_on) == (term_end, FEB)
    assert who.bill(FEB) == [("recurring", "2026-02-01..2026-03-01", 3100)]
    assert who.uncovered() == []


def test_before_the_end_what_was_not_to_be_billed_any_more_is_billed_again() -> None:
    # A fixed term whose last period is charged has no next bill.
    who = reader("basic", ends_on=FEB)
    who.bill(jan(1))
    assert who.terms.next_bill_on is None
    who.reactivate(jan(16))
    assert who.bill(FEB) == [("recurring", "2026-02-01..2026-03-01", 3100)]


def test_before_the_end_what_is_due_earlier_stays_due() -> None:
    who = reader("arrears", next_bill_on=FEB, charged_through=MAR)
    who.cancel_later(jan(16))
    assert who.reactivate(jan(20)).terms.next_bill_on == FEB


def test_a_cancel_taken_back_during_a_pause_bills_nothing() -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.cancel_later(jan(5))
    who.pause(jan(11))
    who.reactivate(jan(16))
    assert (who.terms.status, who.terms.next_bill_on, who.terms.ends_on) == (State.PAUSED, None, None)
    who.resume(jan(21))
    assert who.bill(jan(21)) == [("recurring", "2026-01-21..2026-02-01", 1100)]


# --- reactivate after the end ---


@pytest.mark.parametrize("back", [FEB, date(2026, 2, 11)])
def test_after_the_end_a_new_period_begins(back: date) -> None:
    who = reader("seats", add_on("plus"), quantity=3)
    who.bill(jan(1))
    who.cancel_later(jan(16))
    who.reactivate(back)
    assert (who.terms.status, who.terms.ends_on, who.terms.anchor) == (State.ACTIVE, None, Anchor.at(back))
    assert (who.terms.charged_through, who.terms.arrears_through, who.terms.next_bill_on) == (back,) * 3
    assert [(each.plan, each.starts_on, each.ends_on) for each in who.items] == [
        ("seats", jan(1), FEB),
        ("plus", jan(1), FEB),
        ("seats", back, None),
        ("plus", back, None),
    ]
    assert [line[2] for line in who.bill(back)] == [9300, 6200]
    assert len({line.key for line in who.billed}) == 4


def test_after_a_cancel_on_the_same_day_the_price_is_paid_anew() -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.cancel(jan(16))
    who.reactivate(jan(16))
    assert who.bill(jan(16)) == [("recurring", "2026-01-16..2026-02-16", 3100)]
    assert who.net == 1500 + 3100
    assert who.uncovered() == []


def test_with_a_bill_cycle_day_a_stub_comes_first() -> None:
    # law 3: 5 of the 31 days from 15 January
    who = reader("basic")
    who.bill(jan(1))
    who.cancel_later(jan(16))
    who.reactivate(date(2026, 2, 10), bill_cycle_day=15)
    assert who.bill(date(2026, 2, 10)) == [("recurring", "2026-02-10..2026-02-15", 500)]


def test_what_was_not_billed_until_the_end_is_charged() -> None:
    who = reader("basic", add_on("arrears"), add_on("usage"))
    who.cancel_later(jan(16))
    credits, charges = money(who.reactivate(date(2026, 2, 10)))
    assert credits == []
    assert charges == [
        ("recurring", "2026-01-01..2026-02-01", 3100),
        ("recurring", "2026-01-01..2026-02-01", 3100),
    ]


def test_what_was_used_until_the_end_is_charged() -> None:
    who = reader("usage", next_bill_on=FEB, used=20)
    who.cancel_later(jan(16))
    assert money(who.reactivate(FEB))[1] == [("usage", "2026-01-01..2026-02-01", 200)]


def test_there_is_no_second_trial() -> None:
    who = in_trial("basic")
    who.cancel(jan(5))
    who.reactivate(jan(8))
    assert who.terms.trial_ends_on == jan(5)
    assert who.bill(jan(8)) == [("recurring", "2026-01-08..2026-02-08", 3100)]
    # A trial that was over stays over.
    other = in_trial("basic")
    other.bill(jan(15))
    other.cancel(jan(20))
    assert other.reactivate(jan(25)).terms.trial_ends_on == jan(15)
    assert reader("basic", ends_on=FEB).reactivate(FEB).terms.trial_ends_on is None


@pytest.mark.parametrize(
    ("plan", "canceled_on", "prices"),
    [
        ("intro", jan(16), [3100]),  # the one period of the intro was begun
        ("intro", jan(2), [3100]),
        ("intro", jan(1), [310, 3100]),  # it was given back whole
        ("intros", jan(16), [310, 310, 3100]),
        ("intros", FEB, [310, 310, 3100]),
        ("intros", date(2026, 2, 2), [310, 3100]),
    ],
)
def test_there_is_no_second_intro(plan: str, canceled_on: date, prices: list[int]) -> None:
    who = reader(plan)
    who.bill(jan(1))
    if canceled_on > FEB:
        who.bill(FEB)
    who.cancel(canceled_on)
    who.reactivate(date(2026, 3, 5))
    months = [date(2026, 3, 5), date(2026, 4, 5), date(2026, 5, 5)]
    assert [who.bill(day)[0][2] for day in months[: len(prices)]] == prices


def test_an_intro_that_was_left_in_the_trial_is_had_still() -> None:
    who = in_trial("intro")
    who.cancel(jan(5))
    who.reactivate(jan(8))
    assert [who.bill(day)[0][2] for day in (jan(8), date(2026, 2, 8))] == [310, 3100]


def test_a_setup_fee_is_not_charged_again() -> None:
    who = reader("setup")
    who.bill(jan(1))
    who.cancel(jan(16))
    who.reactivate(FEB)
    assert who.bill(FEB) == [("recurring", "2026-02-01..2026-03-01", 3100)]


def test_the_items_at_the_end_are_those_that_were_served() -> None:
    names = {
        "served": item(name="1", starts_on=jan(1)),
        "was to be replaced": item(name="2", starts_on=jan(1), ends_on=date(2026, 2, 2)),
        "began that day": item(name="3", starts_on=FEB),
        "ended": item(name="4", starts_on=jan(1), ends_on=FEB),
        "was to begin": item(name="5", starts_on=date(2026, 2, 2)),
        "replaced at once": item(name="6", starts_on=FEB, ends_on=FEB),
    }
    ended = terms(jan(1), *names.values(), ends_on=FEB)
    assert [name for name, each in names.items() if each in items_at_end(ended)] == [
        "served",
        "was to be replaced",
        "began that day",
    ]
    assert items_at_end(replace(ended, ends_on=None)) == ended.items


def test_after_a_cancel_before_the_start_the_first_item_stays_on_record() -> None:
    who = reader("basic")
    who.cancel(date(2025, 12, 20))
    who.reactivate(jan(5))
    assert [(each.starts_on, each.ends_on) for each in who.items] == [(jan(1), jan(1)), (jan(5), None)]
    assert who.bill(jan(5)) == [("recurring", "2026-01-05..2026-02-05", 3100)]


def test_what_was_to_begin_does_not_begin_after_a_return() -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.change(jan(5), "plus", PERIOD_END)
    who.cancel(jan(16))
    who.reactivate(jan(20))
    assert [(each.plan, each.starts_on, each.ends_on, each.replaces) for each in who.items] == [
        ("basic", jan(1), jan(16), None),
        ("basic", jan(20), None, uid("item")),
    ]
    assert who.bill(jan(20)) == [("recurring", "2026-01-20..2026-02-20", 3100)]


def test_what_was_not_canceled_or_not_yet_ended_is_not_reactivated() -> None:
    who = reader("basic")
    with pytest.raises(Refused, match="has not been canceled"):
        who.reactivate(jan(16))
    who.bill(jan(1))
    who.cancel(jan(16))
    with pytest.raises(Refused, match="ended on 2026-01-16 and cannot be reactivated on 2026-01-15"):
        who.reactivate(jan(15))
    with pytest.raises(ValueError, match="1 items are taken up again, and 2 ids were given"):
        reactivate(Account(SHOP, "USD"), who.terms, jan(16), ["a", "b"], bill_cycle_day=None, term_end=None)
