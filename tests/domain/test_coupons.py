"""Coupons: what they may say, the discount that they become, which may stand together, and in which order."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.account.acting import attempt
from domain.account.coupons import apply
from domain.coupons import (
    Coupon,
    CouponRefused,
    CouponStacking,
    DiscountOrder,
    discount_for,
    in_order,
    refuse_unless_combinable,
)
from domain.discounts import Discount
from domain.periods import Anchor, Interval, Unit, boundary, first_anchor, period_at
from domain.simulation.play import open_world
from domain.simulation.scenario import Scenario
from tests.domain.books import MONTH, off, percent, terms
from tests.domain.publisher import CATALOG
from tests.domain.rated import MONTHLY, rate
from tests.domain.test_two_years import COUPONS

ANCHOR = Anchor.at(date(2026, 1, 31))


def coupon(code: str = "HALF", **more: Any) -> Coupon:
    value = {} if "amounts" in more else {"percent": "50"}
    return Coupon.model_validate({"code": code, **value, **more})


_SUBSCRIBED = Scenario.model_validate(
    {
        "account": {"currency": "USD", "timezone": "UTC"},
        "catalog": "-",
        "coupons": COUPONS,
        "steps": [{"at": "2026-01-15", "do": "subscribe", "plan": "basic"}],
    }
)


# --- what a coupon may say ---


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"percent": None}, "either a percent or amounts"),
        ({"percent": "50", "amounts": {"USD": "1.00"}}, "either a percent or amounts"),
        ({"duration": "periods"}, "periods just where its duration is periods"),
        ({"duration": "once", "periods": 3}, "periods just where its duration is periods"),
        ({"duration": "periods", "periods": 0}, "greater than 0"),
        ({"amounts": {"USD": "0"}}, "0 USD takes nothing off"),
        ({"amounts": {"USD": "-1"}}, "-1 USD takes nothing off"),
        ({"amounts": {"JPY": "0.5"}}, "more decimal places than JPY has"),
        ({"amounts": {"usd": "1"}}, "ISO 4217"),
        ({"percent": "0"}, "greater than 0"),
        ({"percent": "100.01"}, "less than or equal to 100"),
        ({"code": "half price"}, "pattern"),
    ],
)
def test_a_coupon_that_contradicts_itself_is_refused(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        coupon(**fields)


def test_a_refusal_says_all_that_is_wrong() -> None:
    with pytest.raises(ValueError, match=r"either a percent.*periods just where.*takes nothing off"):
        coupon(percent="5", amounts={"USD": "0"}, periods=3)


# --- the discount (law 7) ---


@pytest.mark.parametrize(
    ("duration", "applied_on", "next_bill_on", "starts_on", "ends_on"),
    [
        # Law 2: boundaries are counted from the anchor, 31 January.
        ({}, date(2026, 2, 28), None, date(2026, 2, 28), date(2026, 3, 31)),
        ({}, date(2026, 2, 27), None, date(2026, 2, 28), date(2026, 3, 31)),
        ({}, date(2026, 3, 1), None, date(2026, 3, 31), date(2026, 4, 30)),
        ({}, date(2026, 3, 1), date(2026, 3, 31), date(2026, 3, 31), date(2026, 4, 30)),
        # The bill of a day before was missed; the coupon is not for it.
        ({}, date(2026, 3, 1), date(2026, 2, 28), date(2026, 3, 31), date(2026, 4, 30)),
        # A stub's bill: once is that bill, and periods are counted after it.
        ({}, date(2026, 1, 10), date(2026, 1, 10), date(2026, 1, 10), date(2026, 1, 31)),
        (
            {"duration": "periods", "periods": 2},
            date(2026, 1, 10),
            date(2026, 1, 10),
            date(2026, 1, 10),
            date(2026, 3, 31),
        ),
        (
            {"duration": "periods", "periods": 1},
            date(2026, 1, 31),
            None,
            date(2026, 1, 31),
            date(2026, 2, 28),
        ),
        ({"duration": "periods", "periods": 3}, date(2026, 2, 1), None, date(2026, 2, 28), date(2026, 5, 31)),
        ({"duration": "forever"}, date(2026, 2, 1), None, date(2026, 2, 28), None),
    ],
)
def test_a_coupon_holds_from_its_first_bill(
    duration: dict[str, Any],
    applied_on: date,
    next_bill_on: date | None,
    starts_on: date,
    ends_on: date | None,
) -> None:
    found = discount_for(coupon(**duration), "USD", ANCHOR, MONTH, applied_on, next_bill_on)
    assert found == Discount("HALF", Decimal(50), None, starts_on, ends_on)


def test_an_amount_is_of_the_currency() -> None:
    fixed = coupon("FIVE", amounts={"USD": "5.00", "JPY": "700"}, duration="forever")
    assert discount_for(fixed, "USD", ANCHOR, MONTH, ANCHOR.on).amount == 500
    found = discount_for(fixed, "JPY", ANCHOR, MONTH, ANCHOR.on)
    assert (found.amount, found.percent) == (700, None)
    with pytest.raises(CouponRefused, match="FIVE is for accounts in USD, JPY, and this one is in EUR"):
        discount_for(fixed, "EUR", ANCHOR, MONTH, ANCHOR.on)


@pytest.mark.parametrize(
    ("duration", "bills"),
    [({}, 1), ({"duration": "periods", "periods": 3}, 3), ({"duration": "forever"}, 5)],
)
def test_a_coupon_cuts_as_many_bills_as_it_says(duration: dict[str, Any], bills: int) -> None:
    found = discount_for(coupon(**duration), "USD", ANCHOR, MONTH, ANCHOR.on)
    rated = rate(MONTHLY, terms(ANCHOR.on, discounts=[found]), date(2026, 5, 31)).lines
    assert [line.amount for line in rated if line.kind == "discount"] == [-600] * bills
    # The first ones, without a gap.
    assert [line.kind for line in rated[: 2 * bills]] == ["recurring", "discount"] * bills


@given(
    st.dates(date(2023, 1, 1), date(2027, 12, 31)),
    st.builds(Interval, st.sampled_from([Unit.DAY, Unit.WEEK, Unit.MONTH]), st.integers(1, 12)),
    st.one_of(st.none(), st.integers(1, 31)),
    st.integers(0, 200),
    st.integers(1, 12),
)
def test_so_many_periods_are_so_many_whole_periods(
    start: date, interval: Interval, bill_day: int | None, later: int, periods: int
) -> None:
    anchor = first_anchor(start, interval, bill_day)
    applied = start + timedelta(days=later)
    found = discount_for(coupon(duration="periods", periods=periods), "USD", anchor, interval, applied)
    assert found.ends_on is not None
    first = period_at(anchor, interval, found.starts_on)
    assert first.start == found.starts_on >= applied
    assert found.starts_on == applied or period_at(anchor, interval, applied).end == found.starts_on
    assert found.ends_on == boundary(anchor, interval, first.ordinal + periods)


# --- together, and in which order ---


def test_a_coupon_joins_a_discount_that_no_coupon_of_the_book_stands_for() -> None:
    """One that was imported: it is not the subscriber's fault that the book does not know it."""
    account = open_world(_SUBSCRIBED, CATALOG)
    attempt(account, _SUBSCRIBED.steps[0])
    subscription = account.subscription("main")
    brought = Discount("LOYAL", Decimal(5), None, date(2026, 1, 15), None)
    subscription.terms = replace(subscription.terms, discounts=[brought])
    apply(account, subscription, "TEN", date(2026, 1, 15))
    assert [each.code for each in subscription.terms.discounts] == ["LOYAL", "TEN"]


def test_coupons_stand_together_unless_one_is_exclusive() -> None:
    alone = coupon("ALONE", stacking="exclusive")
    combinable, exclusive = CouponStacking.COMBINABLE, CouponStacking.EXCLUSIVE
    refuse_unless_combinable(coupon("B"), {"A": combinable})
    refuse_unless_combinable(alone, {})
    with pytest.raises(CouponRefused, match="ALONE, which is on the subscription, allows no other"):
        refuse_unless_combinable(coupon("B"), {"A": combinable, "ALONE": exclusive})
    with pytest.raises(CouponRefused, match="coupon ALONE allows no other beside it, and A is there"):
        refuse_unless_combinable(alone, {"A": combinable})
    with pytest.raises(CouponRefused, match="coupon A is on the subscription already"):
        refuse_unless_combinable(coupon("A"), {"A": combinable})


@pytest.mark.parametrize(
    ("order", "places", "codes", "cuts"),
    [
        ("as_applied", {}, "aBc", [-200, -500, -300]),
        ("percent_first", {}, "Bac", [-600, -200, -300]),
        ("fixed_first", {}, "acB", [-200, -300, -350]),
        # The coupons' own order counts where the policy leaves it open.
        ("as_applied", {"a": 1}, "Bca", [-600, -300, -200]),
        ("percent_first", {"a": 1, "B": 9}, "Bca", [-600, -300, -200]),
        ("fixed_first", {"a": 1, "B": -9}, "caB", [-300, -200, -350]),
    ],
)
def test_the_policy_orders_coupons_and_each_cuts_what_is_left(
    order: DiscountOrder, places: dict[str, int], codes: str, cuts: list[int]
) -> None:
    """12.00 with 2.00 off (a), then half (B), then 3.00 off (c)."""
    ordered = in_order([off(200, "a"), percent("50", "B"), off(300, "c")], order, places)
    assert "".join(each.code for each in ordered) == codes
    found = rate(MONTHLY, terms(date(2026, 12, 1), discounts=ordered), date(2026, 12, 1)).lines
    assert [line.amount for line in found if line.kind == "discount"] == cuts
