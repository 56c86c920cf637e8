"""Charge models: tiers inclusive, one rounding, part periods against the whole (billing laws 3 and 8)."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from itertools import accumulate
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalog import Price, PriceModel
from domain.money import MoneyError
from domain.pricing import (
    PricedTier,
    Schedule,
    amount_for,
    exact_amount,
    minor_fraction,
    round_fraction,
    schedule,
)


def price(model: str, **more: Any) -> Price:
    return Price.model_validate({"code": "p", "type": "usage", "meter": "articles", "model": model, **more})


def usd(found: Price, quantity: object) -> int:
    return amount_for(schedule(found, "USD"), Fraction(str(quantity)), 1, 1)


TIERS = [
    {"up_to": "20", "unit_amounts": {"USD": "0.39"}},
    {"up_to": "100", "unit_amounts": {"USD": "0.25"}},
    {"unit_amounts": {"USD": "0.125"}},
]
FLAT_TIERS = [
    {"up_to": "10", "flat_amounts": {"USD": "5.00"}},
    {"up_to": "50", "unit_amounts": {"USD": "0.40"}, "flat_amounts": {"USD": "2.00"}},
    {"unit_amounts": {"USD": "0.10"}},
]


@pytest.mark.parametrize(
    ("quantity", "cents"),
    [
        (0, 0),
        (1, 39),
        (20, 780),  # law 8: the bound is the last unit of its tier
        ("20.5", 793),  # 780 + 12.5, half a cent up
        (21, 805),
        (100, 2780),
        (101, 2793),  # 2780 + 12.5, half a cent up
        (102, 2805),
        (-3, 0),
    ],
)
def test_graduated_charges_each_unit_at_its_own_tier(quantity: object, cents: int) -> None:
    assert usd(price("graduated", tiers=TIERS), quantity) == cents


@pytest.mark.parametrize(
    ("quantity", "cents"), [(0, 0), (1, 39), (20, 780), (21, 525), (100, 2500), (101, 1263), ("20.01", 500)]
)
def test_volume_charges_all_units_at_the_tier_they_end_in(quantity: object, cents: int) -> None:
    assert usd(price("volume", tiers=TIERS), quantity) == cents


@pytest.mark.parametrize(
    ("quantity", "cents"), [(0, 0), (1, 500), (10, 500), (11, 740), (50, 2300), (51, 2310)]
)
def test_graduated_adds_the_flat_fee_of_each_tier_reached(quantity: object, cents: int) -> None:
    assert usd(price("graduated", tiers=FLAT_TIERS), quantity) == cents


@pytest.mark.parametrize(("quantity", "cents"), [(0, 0), (10, 500), (11, 640), (50, 2200), (51, 510)])
def test_volume_adds_the_flat_fee_of_its_tier_only(quantity: object, cents: int) -> None:
    assert usd(price("volume", tiers=FLAT_TIERS), quantity) == cents


@pytest.mark.parametrize(
    ("quantity", "cents"), [(0, 0), (1, 300), (100, 300), ("100.01", 600), (200, 600), (201, 900)]
)
def test_packages_are_sold_whole(quantity: object, cents: int) -> None:
    assert usd(price("package", amounts={"USD": "3.00"}, package_size="100"), quantity) == cents


def test_per_unit_prices_may_be_a_fraction_of_the_smallest_coin_and_are_rounded_once() -> None:
    found = price("per_unit", amounts={"USD": "0.125", "JPY": "18.5"})
    assert usd(found, 1) == 13
    assert usd(found, 2) == 25
    assert amount_for(schedule(found, "JPY"), Fraction(1), 1, 1) == 19
    assert amount_for(schedule(found, "JPY"), Fraction(3), 1, 1) == 56
    assert minor_fraction("0.225", "EUR") == Fraction(45, 2)


def test_a_flat_price_does_not_ask_how_many() -> None:
    found = schedule(price("flat", amounts={"USD": "12.00"}), "USD")
    assert found.whole == 1200
    assert [amount_for(found, Fraction(quantity), 1, 1) for quantity in (0, 1, 7)] == [1200] * 3


def test_a_currency_without_amount_is_refused() -> None:
    with pytest.raises(MoneyError, match="'p' has no amount in EUR"):
        schedule(price("flat", amounts={"USD": "12.00"}), "EUR")
    with pytest.raises(MoneyError, match="no amount in EUR"):
        schedule(price("graduated", tiers=TIERS), "EUR")


def test_a_quantity_above_the_last_tier_is_refused_not_given_away() -> None:
    closed = Schedule(
        PriceModel.GRADUATED, Fraction(0), None, (PricedTier(Fraction(5), Fraction(10), Fraction(0)),)
    )
    assert exact_amount(closed, Fraction(5)) == 50
    with pytest.raises(MoneyError, match="above the last tier"):
        exact_amount(closed, Fraction(6))


# --- properties ---

UNIT_PRICES = st.integers(0, 10**6).map(lambda units: Fraction(units, 1000))
QUANTITIES = st.one_of(st.integers(0, 10**6).map(Fraction), st.fractions(0, 10**4, max_denominator=1000))


@st.composite
def schedules(draw: st.DrawFn, model: PriceModel | None = None) -> Schedule:
    model = model or draw(st.sampled_from(list(PriceModel)))
    unit = draw(UNIT_PRICES)
    if model not in (PriceModel.GRADUATED, PriceModel.VOLUME):
        size = Fraction(draw(st.integers(1, 1000))) if model is PriceModel.PACKAGE else Fraction(1)
        return Schedule(model, unit, int(unit) if unit.denominator == 1 else None, (), size)
    steps = draw(st.lists(st.integers(1, 1000), max_size=5))
    bounds = [*(Fraction(bound) for bound in accumulate(steps)), None]
    tiers = [PricedTier(bound, draw(UNIT_PRICES), Fraction(draw(st.integers(0, 5000)))) for bound in bounds]
    return Schedule(model, Fraction(0), None, tuple(tiers))


@given(schedules(), QUANTITIES, QUANTITIES)
def test_more_never_costs_less_where_each_unit_has_its_own_price(
    terms: Schedule, one: Fraction, other: Fraction
) -> None:
    """Prices are not negative, so totals rise. (Volume prices may fall at a bound: that is what they are for.)"""
    if terms.model is PriceModel.VOLUME:
        tier_of = [next(t for t in terms.tiers if t.up_to is None or q <= t.up_to) for q in (one, other)]
        if tier_of[0] is not tier_of[1]:
            return
    less, more = sorted((one, other))
    assert exact_amount(terms, less) <= exact_amount(terms, more)
    assert amount_for(terms, less, 1, 1) <= amount_for(terms, more, 1, 1)


@given(schedules(PriceModel.GRADUATED), st.integers(0, 3000))
def test_graduated_is_the_sum_of_its_units(terms: Schedule, quantity: int) -> None:
    """Unit by unit: the price of the first tier whose bound is not below it, and a flat fee on entering a tier."""
    total = Fraction(0)
    entered: list[PricedTier] = []
    for unit in range(1, quantity + 1):
        tier = next(tier for tier in terms.tiers if tier.up_to is None or unit <= tier.up_to)
        total += tier.unit
        if not any(tier is each for each in entered):
            entered.append(tier)
            total += tier.flat
    assert exact_amount(terms, Fraction(quantity)) == total


@given(schedules(), QUANTITIES, st.integers(0, 366), st.integers(1, 366))
def test_a_part_of_a_period_is_rounded_once_half_away_from_zero(
    terms: Schedule, quantity: Fraction, days: int, whole_days: int
) -> None:
    days = min(days, whole_days)
    exact = exact_amount(terms, quantity) * days / whole_days
    with localcontext() as context:
        context.prec = 60
        rounded = (Decimal(exact.numerator) / exact.denominator).to_integral_value(ROUND_HALF_UP)
    assert amount_for(terms, quantity, days, whole_days) == int(rounded)
    assert abs(amount_for(terms, quantity, days, whole_days) - exact) <= Fraction(1, 2)


@given(schedules(), QUANTITIES, st.integers(1, 365), st.integers(2, 366))
def test_two_parts_of_a_period_are_the_whole_to_a_unit(
    terms: Schedule, quantity: Fraction, days: int, whole_days: int
) -> None:
    """Law 3: both parts are measured against the same whole period, so they stray by their roundings only."""
    days = min(days, whole_days - 1)
    parts = amount_for(terms, quantity, days, whole_days) + amount_for(
        terms, quantity, whole_days - days, whole_days
    )
    assert abs(parts - amount_for(terms, quantity, whole_days, whole_days)) <= 1


@given(st.fractions(max_denominator=10**6))
def test_a_fraction_rounds_half_away_from_zero(value: Fraction) -> None:
    rounded = round_fraction(value)
    assert abs(rounded - value) <= Fraction(1, 2)
    if abs(value - int(value)) == Fraction(1, 2):
        assert abs(rounded) > abs(value)
    assert round_fraction(-value) == -rounded
