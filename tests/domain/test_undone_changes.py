"""A plan that is changed and changed back at one moment costs nothing, whatever its price, discounts and taxes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.credits import CreditLine
from domain.discounts import Discount
from domain.periods import Anchor, Interval, Unit
from tests.domain.amended import (
    CURRENCIES,
    FEB,
    PERIOD_END,
    RESTART,
    Reader,
    credited,
    jan,
    reader,
    there_and_back,
    told,
)
from tests.domain.books import off, percent

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = st.integers(1, 31).map(jan)


# --- nothing is left of it ---


@given(
    plan=st.sampled_from(["odd", "odder", "basic", "bundle"]),
    by=st.lists(st.sampled_from(["odd", "odder", "plus", "bundle"]), min_size=1, max_size=4),
    currency=st.sampled_from(CURRENCIES),
    discounts=st.lists(
        st.sampled_from([percent("33"), off(333), percent("12.5", "EIGHTH")]), max_size=2, unique_by=id
    ),
    region=st.sampled_from([None, "NY"]),
    day=DAYS,
    later=st.booleans(),
)
def test_there_and_back_on_one_day_nets_zero(
    plan: str,
    by: list[str],
    currency: str,
    discounts: list[Discount],
    region: str | None,
    day: date,
    later: bool,
) -> None:
    # laws 5 and I9: to the unit, with discounts and taxes, billed at once or with the next invoice.
    who = reader(plan, currency=currency, discounts=discounts, region=region, later=later)
    who.bill(jan(1))
    before = who.net, who.gross
    there_and_back(who, day, *[one for one in by if one != plan] or ["plus"], back=plan)
    assert who.net == before[0]
    if not later:
        assert who.gross == before[1]
    assert who.last.plan == plan
    assert who.uncovered() == []


@given(
    first=DAYS,
    second=DAYS,
    earlier=st.sampled_from(["odd", "odder"]),
    currency=st.sampled_from(CURRENCIES),
    region=st.sampled_from([None, "NY"]),
    again=st.booleans(),
    later=st.booleans(),
    discounts=st.sampled_from([[], [percent("33")], [off(333)]]),
)
def test_also_after_another_change_in_the_period(
    first: date,
    second: date,
    earlier: str,
    currency: str,
    region: str | None,
    again: bool,
    later: bool,
    discounts: list[Discount],
) -> None:
    # Of 17.99 for 20 of 28 days, billed or not, the last 15 are not what 15 of 28 days of 17.99 come to.
    first, second = sorted((first, second))
    who = reader("basic", currency=currency, region=region, later=later, discounts=discounts)
    who.bill(jan(1))
    who.change(first, earlier)
    before = who.net, 0 if later else who.gross
    there_and_back(who, second, "plus", *([earlier, "basic"] if again else []), back=earlier)
    assert (who.net, 0 if later else who.gross) == before
    assert who.uncovered() == []


def test_a_quantity_there_and_back_nets_zero() -> None:
    who = reader("odd", quantity=3)
    who.bill(jan(1))
    who.change(jan(16), quantity=7)
    who.change(jan(16), quantity=3)
    assert who.net == 1001
    assert who.last.quantity == 3


@pytest.mark.parametrize(
    ("back", "price", "quantity", "same"),
    [
        ("odd", None, None, True),
        ("odd", 1200, None, False),
        ("odd", None, 2, False),
        ("odder", None, None, False),
    ],
)
def test_only_the_very_same_terms_are_restored(
    back: str, price: int | None, quantity: int | None, same: bool
) -> None:
    # On the 16th 517 of 1001 are credited: 484.35 are kept.
    who = reader("odd")
    who.bill(jan(1))
    who.change(jan(16), "plus")
    made = who.change(jan(16), back, price=price, quantity=quantity)
    restored = [line for line in made.charges if line.charge.endswith("|restored")]
    assert bool(restored) is same
    if same:
        assert told(made.charges) == [("recurring", "2026-01-16..2026-02-01", 517)]


def test_a_restored_charge_brings_the_tax_that_was_credited_and_is_not_taxed_again() -> None:
    # law 5: City 4.875 % and State 4 % of 10.01 are 49 and 40; of what is kept, 484, 24 and 19 are.
    who = reader("odd", region="NY")
    who.bill(jan(1))
    credit = who.change(jan(16), "plus").credits[0]
    assert (credit.net, [tax.amount for tax in credit.taxes]) == (-517, [-25, -21])
    lines = who.change(jan(16), "odd").charges
    assert [(line.kind, line.amount, line.parent, line.reference, line.category) for line in lines] == [
        ("recurring", 517, None, None, ""),
        ("tax", 25, 0, "City", ""),
        ("tax", 21, 0, "State", ""),
    ]
    assert {line.item_id for line in lines[:1]} == {who.last.id}
    assert len({line.charge_key for line in lines}) == 3
    assert [tax.amount for tax in who.billed[-1].taxes] == [25, 21]


def test_each_part_of_a_bundle_comes_back_with_its_taxes() -> None:
    who = reader("bundle", region="NY")
    who.bill(jan(1))
    gross = who.gross
    who.change(jan(16), "plus")
    lines = who.change(jan(16), "bundle").charges
    assert [(line.part, line.parent) for line in lines if line.kind == "recurring"] == [
        ("digital", None),
        ("print", None),
    ]
    assert [line.parent for line in lines if line.kind == "tax"] == [0, 0]
    assert who.gross == gross


# --- what comes back is what left ---


def test_an_intro_goes_on_when_its_plan_comes_back() -> None:
    who = reader("intros", start=jan(1))
    who.bill(jan(1))
    there_and_back(who, jan(10), "plus", back="intros")
    assert who.last.phase_shift == 0
    assert [who.bill(day)[-1][2] for day in (FEB, date(2026, 3, 1), date(2026, 4, 1))] == [310, 310, 3100]


def test_an_intro_goes_on_for_another_quantity_at_the_moment_it_left() -> None:
    # Two changes at one moment are one: intros to two intros, which is no new plan.
    who = reader("intros")
    who.bill(jan(1))
    who.change(jan(10), "plus")
    who.change(jan(10), "intros", quantity=2)
    assert who.last.phase_shift == 0
    who.change(jan(11), "plus")
    who.change(jan(12), "intros")
    assert who.last.phase_shift == 3


def test_an_intro_goes_on_when_its_plan_comes_back_after_restarts_of_the_period() -> None:
    who = reader("intros")
    who.bill(jan(1))
    who.bill(FEB)
    who.change(date(2026, 2, 11), "plus", RESTART)
    who.change(date(2026, 2, 11), "intros", RESTART)
    # One period was had; the restarted one is the second of three.
    assert [who.bill(day)[-1][2] for day in (date(2026, 2, 11), date(2026, 3, 11), date(2026, 4, 11))] == [
        310,
        310,
        3100,
    ]


def test_a_setup_fee_of_a_plan_that_was_never_served_is_given_back() -> None:
    who = reader("basic", region="NY")
    who.bill(jan(1))
    gross = who.gross
    who.change(jan(16), "setup")
    assert told(who.change(jan(16), "basic").charges)[0] == ("recurring", "2026-01-16..2026-02-01", 1600)
    assert who.gross == gross
    # There again, it is charged again, as it was.
    lines = who.change(jan(16), "setup").charges
    assert [(line.kind, line.amount) for line in lines if line.kind != "tax"] == [
        ("recurring", 1600),
        ("one_time", 500),
    ]


def test_a_setup_fee_alone_is_given_back_and_charged_again() -> None:
    who = reader("basic")
    who.bill(jan(1))
    there_and_back(who, jan(16), "pass", "basic", back="pass")
    assert who.net == 1500 + 500
    who.change(jan(16), "basic")
    assert who.net == 3100


def test_a_setup_fee_that_waits_is_dropped() -> None:
    who = reader("basic", later=True)
    who.bill(jan(1))
    there_and_back(who, jan(16), "setup", back="basic")
    assert who.net == 3100
    assert who.bill(FEB) == [
        ("recurring", "2026-01-16..2026-02-01", 1600),
        ("recurring", "2026-02-01..2026-03-01", 3100),
    ]


def test_a_setup_fee_of_a_plan_that_was_served_stays() -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.change(jan(16), "setup")
    who.change(jan(17), "basic")
    assert who.net == 3100 + 500
    fresh = reader("setup")
    fresh.bill(jan(1))
    fresh.change(jan(1), "basic")
    assert fresh.net == 3100 + 500


def test_a_setup_fee_given_back_by_hand_is_not_given_back_again() -> None:
    who = reader("basic")
    who.bill(jan(1))
    who.change(jan(16), "setup")
    fee = next(line for line in who.billed if line.kind == "one_time")
    who.credits.append(CreditLine(fee.key, "adjustment", None, None, -500))
    assert credited(who.change(jan(16), "basic").credits) == [("2026-01-16..2026-02-01", -1600)]


def test_what_was_given_back_for_another_reason_is_not_charged_again() -> None:
    # law 5: a credit note over all of January leaves nothing to credit, and nothing to charge on coming back.
    who = reader("basic")
    who.bill(jan(1))
    whole = CreditLine(who.billed[0].key, "adjustment", jan(1), FEB, -3100)
    who.credits.append(whole)
    who.change(jan(1), "plus")
    assert who.net == 6200
    made = who.change(jan(1), "basic")
    assert not [line for line in made.charges if line.charge.endswith("|restored")]


# --- before it was billed ---


@pytest.mark.parametrize("plan", ["odd", "arrears", "usage"])
def test_what_was_not_billed_yet_goes_on_as_if_nothing_had_been(plan: str) -> None:
    # Rated apart, 14 and 14 of the 28 days of 10.01 would be 5.01 each.
    february = date(2026, 2, 1)
    who = reader(plan, start=february, used=25)
    untouched = reader(plan, start=february, used=25)
    if plan != "odd":
        who.terms = replace(who.terms, next_bill_on=date(2026, 3, 1))
        untouched.terms = replace(untouched.terms, next_bill_on=date(2026, 3, 1))
    there_and_back(who, date(2026, 2, 15), "plus", back=plan)
    assert [item.ends_on for item in who.items] == [None, date(2026, 2, 15)]
    for day in (date(2026, 3, 1), date(2026, 4, 1)):
        assert who.bill(day) == untouched.bill(day)


def test_there_and_back_and_on_goes_from_the_item_that_went_on() -> None:
    # After a resume on the same day, too: what the pause credited is not charged twice.
    who = reader("odd")
    who.bill(jan(1))
    who.pause(jan(10))
    who.resume(jan(20))
    there_and_back(who, jan(20), "plus", back="odd")
    assert who.net == 291  # 9 of 31 days: 290.6
    assert who.bill(jan(20)) == [("recurring", "2026-01-20..2026-02-01", 387)]
    assert who.uncovered() == []


def test_pause_resume_and_a_change_there_and_back_on_one_day() -> None:
    # The credit of the pause was for the item that was paused; it is not restored for the one that was resumed.
    who = reader("odd")
    who.bill(jan(1))
    who.pause(jan(11))
    who.resume(jan(11))
    there_and_back(who, jan(11), "plus", back="odd")
    assert who.bill(jan(11)) == [("recurring", "2026-01-11..2026-02-01", 678)]  # 21 of 31 days
    assert who.net == 1001
    assert who.uncovered() == []


def _paused(who: Reader, day: date) -> None:
    who.pause(day)
    who.resume(day)


def _ended(who: Reader, day: date) -> None:
    who.cancel(day)
    who.reactivate(day)


def _restarted(who: Reader, day: date) -> None:
    who.change(day, "yearly", RESTART, interval=Interval(Unit.YEAR))
    who.change(day, "plus", RESTART, interval=Interval(Unit.MONTH))


@pytest.mark.parametrize("gives_back", [_paused, _ended, _restarted])
@pytest.mark.parametrize("day", [jan(1), jan(11)])
def test_time_that_was_given_back_is_charged_for_another_item(
    gives_back: Callable[[Reader, date], None], day: date
) -> None:
    # law I3: the plan comes back to its price at the moment that gave its time back; the item that had it was billed.
    who = reader("odd")
    who.bill(jan(1))
    for _ in range(2):
        gives_back(who, day)
        who.change(day, "odd")
        who.bill(day)
        assert len({line.key for line in who.billed}) == len(who.billed)
        assert who.uncovered() == []


def test_in_a_trial_nothing_is_charged_and_the_plan_goes_on() -> None:
    who = reader(
        "intros", start=jan(1), trial_ends_on=jan(15), anchor=Anchor.at(jan(15)), charged_through=jan(15)
    )
    who.terms = replace(who.terms, next_bill_on=jan(15), arrears_through=jan(15))
    there_and_back(who, jan(5), "plus", back="intros")
    assert who.net == 0
    assert who.bill(jan(15)) == [("recurring", "2026-01-15..2026-02-15", 310)]


def test_a_change_that_waited_gives_way_to_one_there_and_back() -> None:
    who = reader("odd")
    who.bill(jan(1))
    who.change(jan(5), "plus", PERIOD_END)
    there_and_back(who, jan(16), "odder", back="odd")
    assert who.net == 1001
    assert who.bill(FEB) == [("recurring", "2026-02-01..2026-03-01", 1001)]
