"""Catch-ups, items bounded by the second, phases shifted: what plan changes are billed by (laws 1, 3, 4 and 7)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.charge_key import charge_key
from domain.money import MoneyError, scaled
from domain.periods import Anchor
from domain.rating import Discount, Item, Line, SubscriptionTerms, rate_advance
from tests.domain.books import (
    book,
    discount,
    item,
    off,
    one_time,
    percent,
    recurring,
    terms,
    uid,
    usage,
    version,
)
from tests.domain.rated import MONTHLY, lines, rate, told

BERLIN = ZoneInfo("Europe/Berlin")


def catch_up(
    subscription: SubscriptionTerms, new: Item, start: Any, end: Any, prices: Any = MONTHLY
) -> list[Line]:
    subscription.items.append(new)
    return rate_advance(prices, "USD", subscription, new, start, end)


def new_item(day: date, **more: Any) -> Item:
    return item(name="new", starts_on=day, **more)


# --- catch-up ---


def test_a_catch_up_charges_the_rest_of_the_running_period() -> None:
    # Law 4: the change day belongs to the new plan: 21 of the 31 days from 1 December.
    found = catch_up(
        terms(date(2026, 12, 1)), new_item(date(2026, 12, 11)), date(2026, 12, 11), date(2027, 1, 1)
    )
    assert [told(line) for line in found] == [("recurring", "2026-12-11..2027-01-01", 813)]
    (line,) = found
    assert (line.item_id, line.price_id, line.part) == (
        uid("new"),
        uid("plan/1/evergreen/access/USD"),
        "digital",
    )
    assert line.charge_key == charge_key(uid("new"), line.charge)
    # The bill run names the same charge in the same way.
    subscription = terms(
        date(2026, 12, 11), new_item(date(2026, 12, 11)), anchor=Anchor.at(date(2026, 12, 1))
    )
    assert rate(MONTHLY, subscription, date(2026, 12, 11)).lines[0].charge_key == line.charge_key


def test_a_catch_up_is_divided_at_the_boundaries() -> None:
    # 21 of 31, a whole one, 14 of 28.
    found = catch_up(
        terms(date(2026, 12, 1)), new_item(date(2026, 12, 11)), date(2026, 12, 11), date(2027, 2, 15)
    )
    assert [told(line) for line in found] == [
        ("recurring", "2026-12-11..2027-01-01", 813),
        ("recurring", "2027-01-01..2027-02-01", 1200),
        ("recurring", "2027-02-01..2027-02-15", 600),
    ]


def test_a_catch_up_stays_within_the_item_and_the_subscription() -> None:
    subscription = terms(date(2026, 12, 1), ends_on=date(2026, 12, 21))
    new = new_item(date(2026, 12, 11))
    (line,) = catch_up(subscription, new, date(2026, 12, 1), date(2027, 1, 1))
    assert told(line) == ("recurring", "2026-12-11..2026-12-21", 387)
    short = replace(new, ends_on=date(2026, 12, 13))
    (line,) = catch_up(subscription, short, date(2026, 12, 1), date(2027, 1, 1))
    assert told(line)[1] == "2026-12-11..2026-12-13"
    assert catch_up(subscription, new, date(2026, 12, 21), date(2027, 1, 1)) == []
    assert catch_up(subscription, new, date(2026, 12, 15), date(2026, 12, 15)) == []


def test_a_catch_up_is_of_what_is_paid_in_advance() -> None:
    prices = book(
        plan=version(recurring("12.00"), recurring("5.00", code="later", billed="arrears"), usage())
    )
    found = catch_up(
        terms(date(2026, 12, 1)), new_item(date(2026, 12, 1)), date(2026, 12, 1), date(2027, 1, 1), prices
    )
    assert [line.amount for line in found] == [1200]


def test_a_catch_up_in_a_currency_without_price_is_refused() -> None:
    new = new_item(date(2026, 12, 11))
    with pytest.raises(MoneyError, match="no price 'access' in EUR"):
        rate_advance(MONTHLY, "EUR", terms(date(2026, 12, 1), new), new, date(2026, 12, 11), date(2027, 1, 1))


# --- discounts on a catch-up (law 7) ---


def cuts(found: list[Line]) -> list[tuple[str | None, int, int | None]]:
    return [(line.reference, line.amount, line.parent) for line in found if line.kind == "discount"]


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ({}, [-407, -600]),  # half of 813 and of 1200
        ({"starts_on": date(2026, 12, 11)}, [-407, -600]),
        ({"starts_on": date(2026, 12, 12)}, [-600]),
        ({"ends_on": date(2027, 1, 1)}, [-407]),
        ({"ends_on": date(2026, 12, 11)}, []),
    ],
)
def test_a_percentage_cuts_the_stretches_that_begin_while_it_lasts(
    window: dict[str, Any], expected: list[int]
) -> None:
    subscription = terms(date(2026, 12, 1), discounts=[percent("50", **window)])
    found = catch_up(subscription, new_item(date(2026, 12, 11)), date(2026, 12, 11), date(2027, 2, 1))
    assert [amount for _, amount, _ in cuts(found)] == expected
    assert all(found[parent or 0].kind == "recurring" for _, _, parent in cuts(found))


def test_a_fixed_amount_that_another_item_had_is_not_given_again() -> None:
    subscription = terms(date(2026, 12, 1), discounts=[off(250), percent("10")])
    found = catch_up(subscription, new_item(date(2026, 12, 11)), date(2026, 12, 11), date(2027, 1, 1))
    assert cuts(found) == [("PERCENT", -81, 0)]


@pytest.mark.parametrize(
    ("old_ends", "new_starts", "cut"),
    [
        (date(2026, 12, 11), date(2026, 12, 11), -169),  # 250 × 21/31: the rest went back with the credit
        (date(2026, 12, 12), date(2026, 12, 11), None),  # still there on the 11th
        (None, date(2026, 12, 1), -169),  # began on the same day: none of the two was there before
    ],
)
def test_a_fixed_amount_goes_with_the_item_that_replaces_what_had_it(
    old_ends: date | None, new_starts: date, cut: int | None
) -> None:
    old = item(name="old", starts_on=date(2026, 12, 1), ends_on=old_ends)
    subscription = terms(date(2026, 12, 1), old, discounts=[off(250)])
    found = catch_up(subscription, new_item(new_starts), date(2026, 12, 11), date(2027, 1, 1))
    assert cuts(found) == ([] if cut is None else [("OFF", cut, 0)])


def test_a_whole_period_has_the_whole_fixed_amount() -> None:
    old = item(name="old", starts_on=date(2026, 11, 1), ends_on=date(2026, 12, 1))
    subscription = terms(date(2026, 12, 1), old, discounts=[off(250), discount("NEXT", amount=50)])
    found = catch_up(subscription, new_item(date(2026, 12, 1)), date(2026, 12, 1), date(2027, 1, 1))
    assert cuts(found) == [("OFF", -250, 0), ("NEXT", -50, 0)]


@given(
    st.integers(1, 30),
    st.lists(
        st.one_of(st.sampled_from(["10", "33.3", "100"]).map(percent), st.integers(1, 5000).map(off)),
        max_size=3,
    ),
)
def test_discounts_on_a_catch_up_never_take_more_than_there_is(day: int, drawn: list[Discount]) -> None:
    discounts = [replace(each, code=f"{each.code}{place}") for place, each in enumerate(drawn)]
    old = item(name="old", ends_on=date(2026, 12, day))
    subscription = terms(date(2026, 12, 1), old, discounts=discounts)
    found = catch_up(subscription, new_item(date(2026, 12, day)), date(2026, 12, day), date(2027, 2, 10))
    left = [line.amount for line in found]
    for line in found:
        if line.parent is not None:
            left[line.parent] += line.amount
            assert left[line.parent] >= 0


# --- one-time prices ---

SET_UP = book(
    plan=version(recurring("12.00"), one_time("5.00")), other=version(recurring(), one_time("7.00"))
)


def test_a_catch_up_brings_the_one_time_price_once() -> None:
    subscription = terms(date(2026, 12, 1))
    new = item("other", "new", starts_on=date(2026, 12, 11))
    found = catch_up(subscription, new, date(2026, 12, 11), date(2027, 2, 1), SET_UP)
    assert [(line.kind, line.amount) for line in found] == [
        ("recurring", 813),
        ("one_time", 700),
        ("recurring", 1200),
    ]
    later = replace(subscription, charged_through=date(2027, 2, 1), next_bill_on=date(2027, 2, 1))
    assert {line.kind for line in rate(SET_UP, later, date(2027, 2, 1)).lines} == {"recurring"}


@pytest.mark.parametrize(
    ("plan", "old", "charged"),
    [
        ("other", {"ends_on": date(2026, 12, 11)}, True),  # another plan has a fee of its own
        ("plan", {"ends_on": date(2026, 12, 11)}, False),  # more seats of the same plan do not
        ("plan", {"ends_on": date(2026, 12, 5)}, False),  # nor does a return to it
        ("plan", {"ends_on": date(2026, 12, 12)}, True),  # a second one beside it does
        ("plan", {"ends_on": None}, True),
        # Replaced on the day it began, before anything was charged for it.
        ("plan", {"starts_on": date(2026, 12, 11), "ends_on": date(2026, 12, 11)}, True),
    ],
)
def test_an_item_that_replaces_one_of_its_plan_has_no_one_time_price(
    plan: str, old: dict[str, Any], charged: bool
) -> None:
    first = item(name="old", **({"starts_on": date(2026, 12, 1)} | old))
    new = item(plan, "new", starts_on=date(2026, 12, 11))
    subscription = terms(date(2026, 12, 1), first)
    found = catch_up(subscription, new, date(2026, 12, 11), date(2027, 1, 1), SET_UP)
    assert ("one_time" in {line.kind for line in found}) == charged
    # The bill run says the same of an item that begins with the period it bills.
    run = terms(date(2026, 12, 11), first, new, anchor=Anchor.at(date(2026, 12, 11)))
    of_new = {line.kind for line in rate(SET_UP, run, date(2026, 12, 11)).lines if line.item_id == new.id}
    assert ("one_time" in of_new) == charged


def test_an_item_replaced_within_the_trial_leaves_the_one_time_price_to_its_successor() -> None:
    old = item(name="old", starts_on=date(2026, 12, 1), ends_on=date(2026, 12, 5))
    new = item(name="new", starts_on=date(2026, 12, 5))
    subscription = terms(
        date(2026, 12, 15), old, new, starts_on=date(2026, 12, 1), trial_ends_on=date(2026, 12, 15)
    )
    assert [line.kind for line in rate(SET_UP, subscription, date(2026, 12, 15)).lines] == [
        "recurring",
        "one_time",
    ]
    # One day of charging is enough: it has had its fee.
    old.ends_on = new.starts_on = date(2026, 12, 16)
    charged = rate_advance(SET_UP, "USD", subscription, new, date(2026, 12, 16), date(2027, 1, 15))
    assert [line.kind for line in charged] == ["recurring"]


# --- phases shifted ---

INTRO = book(
    plan=version(
        phases=[
            {"kind": "intro", "periods": 2, "prices": [recurring("1.00")]},
            {"kind": "evergreen", "prices": [recurring("12.00")]},
        ]
    )
)


@pytest.mark.parametrize(
    ("shift", "cents"),
    [
        (0, [100, 100, 1200, 1200]),
        (1, [100, 1200, 1200, 1200]),
        (2, [1200, 1200, 1200, 1200]),  # one who changes plan needs no intro again
        (-1, [100, 100, 100, 1200]),
        (-9, [100, 100, 100, 100]),
    ],
)
def test_the_phase_is_that_of_the_ordinal_and_the_shift(shift: int, cents: list[int]) -> None:
    subscription = terms(date(2026, 1, 31), item(phase_shift=shift))
    assert [amount for *_, amount in lines(INTRO, subscription, date(2026, 4, 30))] == cents
    whole = rate_advance(
        INTRO, "USD", subscription, subscription.items[0], date(2026, 1, 31), date(2026, 5, 31)
    )
    assert [line.amount for line in whole] == cents


def test_a_shift_holds_for_a_leading_stub_too() -> None:
    subscription = terms(date(2026, 1, 17), item(phase_shift=2), anchor=Anchor.at(date(2026, 2, 1)))
    assert lines(INTRO, subscription, date(2026, 1, 17)) == [("recurring", "2026-01-17..2026-02-01", 581)]


# --- by the second (law 1: a policy option) ---


def at(day: int, hour: int = 0, minute: int = 0, second: int = 0, month: int = 12) -> datetime:
    return datetime(2026, month, day, hour, minute, second, tzinfo=BERLIN)


def test_an_item_that_begins_by_the_second_is_charged_from_then() -> None:
    # From noon on 16 December: 15.5 of 31 days.
    new = new_item(date(2026, 12, 16), starts_at=at(16, 12))
    found = catch_up(terms(date(2026, 12, 1)), new, at(16, 12), date(2027, 1, 1))
    assert [(line.period_start, line.period_end, line.amount) for line in found] == [
        (at(16, 12), date(2027, 1, 1), 600)
    ]
    assert found[0].charge.endswith("|2026-12-16T12:00:00+01:00|2027-01-01")


def test_the_bill_run_charges_items_by_the_second_alike() -> None:
    # Law 4: what ends at noon and what begins then share the day: 10.5 and 20.5 of 31 days.
    old = item(name="old", ends_on=date(2026, 12, 11), ends_at=at(11, 12))
    new = new_item(date(2026, 12, 11), starts_at=at(11, 12))
    subscription = terms(date(2026, 12, 1), old, new)
    found = rate(MONTHLY, subscription, date(2026, 12, 1)).lines
    assert [(line.period_start, line.period_end, line.amount) for line in found] == [
        (date(2026, 12, 1), at(11, 12), 406),
        (at(11, 12), date(2027, 1, 1), 794),
    ]
    arrears = book(plan=version(recurring("12.00", billed="arrears")))
    later = replace(subscription, next_bill_on=date(2027, 1, 1))
    assert [line.amount for line in rate(arrears, later, date(2027, 1, 1)).lines] == [406, 794]


def test_an_item_that_ends_on_the_first_day_of_a_period_is_charged_for_its_hours() -> None:
    # By days it would have none: 6 of 744 hours of 74.40.
    prices = book(plan=version(recurring("74.40")))
    old = item(name="old", ends_on=date(2026, 12, 1), ends_at=at(1, 6))
    (line,) = rate(prices, terms(date(2026, 12, 1), old), date(2026, 12, 1)).lines
    assert (line.period_start, line.period_end, line.amount) == (date(2026, 12, 1), at(1, 6), 60)
    new = new_item(date(2026, 12, 1), starts_at=at(1, 6))
    (line,) = rate(prices, terms(date(2026, 12, 1), new), date(2026, 12, 1)).lines
    assert (line.period_start, line.amount) == (at(1, 6), 7380)


def test_by_the_second_the_hours_that_pass_count() -> None:
    # October 2026 has 745 hours in Berlin, the 25th has 25 of them: of 74.50, an hour is 0.10.
    prices = book(plan=version(recurring("74.50")))
    new = new_item(date(2026, 10, 25), starts_at=at(25, 0, month=10))
    found = catch_up(terms(date(2026, 10, 1)), new, at(25, 0, month=10), date(2026, 10, 26), prices)
    assert [line.amount for line in found] == [250]
    by_day = catch_up(
        terms(date(2026, 10, 1)), new_item(date(2026, 10, 25)), date(2026, 10, 25), date(2026, 10, 26), prices
    )
    assert [line.amount for line in by_day] == [240]  # a day is a day: 1 of 31


def test_a_one_time_price_comes_with_the_second_an_item_begins_at() -> None:
    new = item("other", "new", starts_on=date(2026, 12, 16), starts_at=at(16, 12))
    found = catch_up(terms(date(2026, 12, 1)), new, at(16, 12), date(2027, 1, 1), SET_UP)
    assert [line.kind for line in found] == ["recurring", "one_time"]
    # Replaced within the day: the successor on the same plan has none.
    old = item(
        "other",
        "old",
        starts_on=date(2026, 12, 16),
        starts_at=at(16, 9),
        ends_on=date(2026, 12, 16),
        ends_at=at(16, 12),
    )
    found = catch_up(terms(date(2026, 12, 1), old), new, at(16, 12), date(2027, 1, 1), SET_UP)
    assert [line.kind for line in found] == ["recurring"]


@given(st.integers(0, 30), st.integers(0, 86_399), st.integers(0, 10**6))
def test_two_items_that_meet_in_a_second_are_one_period(day: int, second: int, cents: int) -> None:
    """Law I9: the parts are the whole, to their roundings, and by seconds none is lost between them."""
    prices = book(plan=version(recurring(f"{Decimal(cents) / 100:.2f}")))
    moment = at(1) + timedelta(days=day, seconds=second)
    old = item(name="old", ends_on=moment.date(), ends_at=moment)
    new = new_item(moment.date(), starts_at=moment)
    found = rate(prices, terms(date(2026, 12, 1), old, new), date(2026, 12, 1)).lines
    passed = day * 86_400 + second
    whole = 31 * 86_400
    expected = [scaled(cents, part, whole) for part in (passed, whole - passed) if part]
    assert [line.amount for line in found] == expected
    assert abs(sum(expected) - cents) <= 1
