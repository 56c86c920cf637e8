"""Charge models: tiers inclusive, one rounding, part periods against the whole (billing laws 3 and 8)."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
    Share,
    amount_for,
    exact_amount,
    minor_fraction,
    round_fraction,
    schedule,
    share_of_events,
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


# --- percentage: a meter of money, in minor units ---


def percentage(**more: Any) -> Share:
    found = schedule(price("percentage", percentage={"rate": "2.5", **more}), "USD").share
    assert found is not None
    return found


def cost(share: Share, *money: object) -> Fraction:
    return share_of_events(share, [Fraction(str(each)) for each in money])


def test_a_bare_percentage_is_of_the_sum_and_rounded_once() -> None:
    found = price("percentage", percentage={"rate": "2.5"})
    assert not percentage().by_event
    assert [usd(found, money) for money in (0, 19, 20, 60, 1000, -500)] == [
        0,
        0,
        1,
        2,
        25,
        0,
    ]  # 0.475, 0.5, 1.5
    assert cost(percentage(), 300, 700) == 25


def test_the_free_amount_is_taken_off_once() -> None:
    found = price("percentage", percentage={"rate": "10", "free_amounts": {"USD": "5.00"}})
    assert [usd(found, money) for money in (499, 500, 501, 510, 1000)] == [0, 0, 0, 1, 50]
    share = percentage(rate="10", free_amounts={"USD": "5.00"})
    assert not share.by_event
    # 300 are free, then 200 of 400, then nothing.
    assert cost(share, 300, 400, 100) == 30


@pytest.mark.parametrize(
    ("terms", "money", "expected"),
    [
        ({"fixed_fees": {"USD": "0.10"}}, [100, 200], Fraction("27.5")),  # 2.5 + 10, 5 + 10
        ({"free_events": 2}, [1000, 1000], 0),
        ({"free_events": 2}, [1000, 1000, 400, 400], 20),  # the first in the order of time
        ({"min_amounts": {"USD": "0.25"}}, [100, 1000, 1040], 76),  # 25, 25, 26
        ({"max_amounts": {"USD": "0.25"}}, [999, 1000, 1040], Fraction("74.975")),
        ({"max_amounts": {"USD": "0"}}, [999], 0),
        # A free event costs no fee and no least amount, one that the free amount covers neither.
        (
            {"free_events": 1, "free_amounts": {"USD": "5.00"}, "fixed_fees": {"USD": "0.10"}},
            [900, 500, 400],
            20,
        ),
        ({"free_amounts": {"USD": "5.00"}, "min_amounts": {"USD": "0.25"}}, [400, 101], 25),
        # What is free of a partly covered event is free of the rate only.
        ({"free_amounts": {"USD": "5.00"}, "fixed_fees": {"USD": "0.10"}}, [540], 11),
        # Law: a reversal takes off its rate and nothing else, and never more than there is.
        ({"fixed_fees": {"USD": "0.10"}}, [1000, -400], 25),
        ({"fixed_fees": {"USD": "0.10"}}, [-4000, 400], 0),
        ({"free_events": 1}, [-1000, 400, 4000], 75),
        ({"fixed_fees": {"USD": "0.10"}}, [0], 0),
    ],
)
def test_what_single_events_cost(terms: dict[str, Any], money: list[int], expected: Fraction | int) -> None:
    assert cost(percentage(**terms), *money) == expected


@pytest.mark.parametrize(
    "terms",
    [
        {"free_events": 1},
        {"fixed_fees": {"USD": "0.10"}},
        {"min_amounts": {"USD": "0.10"}},
        {"max_amounts": {"USD": "0"}},
    ],
)
def test_whatever_is_said_of_an_event_needs_the_single_events(terms: dict[str, Any]) -> None:
    assert percentage(**terms).by_event


def test_a_percentage_has_the_amounts_of_its_currency() -> None:
    found = price("percentage", percentage={"rate": "1", "fixed_fees": {"USD": "0.10", "JPY": "12.5"}})
    share = schedule(found, "JPY").share
    assert share is not None
    assert (share.rate, share.fee) == (Fraction(1, 100), Fraction(25, 2))
    with pytest.raises(MoneyError, match="'p' has no amount in EUR"):
        schedule(found, "EUR")


def test_a_minimum_is_what_it_says_whatever_was_used() -> None:
    found = schedule(price("minimum", amounts={"USD": "20.00"}), "USD")
    assert [amount_for(found, Fraction(quantity), 1, 1) for quantity in (0, 7)] == [2000, 2000]
    assert amount_for(found, Fraction(0), 1, 3) == 667


# --- properties ---

UNIT_PRICES = st.integers(0, 10**6).map(lambda units: Fraction(units, 1000))
QUANTITIES = st.one_of(st.integers(0, 10**6).map(Fraction), st.fractions(0, 10**4, max_denominator=1000))


@dataclass
class AnyShare:
    """A percentage drawn by hypothesis."""

    share: Share

    def without_events(self) -> Share:
        return replace(self.share, free_events=0, fee=Fraction(0), least=Fraction(0), most=None)


@st.composite
def shares(draw: st.DrawFn) -> AnyShare:
    least = draw(UNIT_PRICES)
    most = draw(st.one_of(st.none(), UNIT_PRICES.map(lambda more: least + more)))
    rate = Fraction(draw(st.integers(0, 1000)), 1000)
    free = Fraction(draw(st.integers(0, 20_000)))
    return AnyShare(Share(rate, draw(st.integers(0, 4)), free, draw(UNIT_PRICES), least, most))


@st.composite
def schedules(draw: st.DrawFn, model: PriceModel | None = None) -> Schedule:
    model = model or draw(st.sampled_from(list(PriceModel)))
    unit = draw(UNIT_PRICES)
    if model is PriceModel.PERCENTAGE:
        return Schedule(model, Fraction(0), None, share=draw(shares()).without_events())
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


MONEY = st.lists(st.integers(1, 50_000).map(Fraction), max_size=8)


@given(shares(), MONEY)
def test_the_single_events_of_a_percentage_cost_what_each_costs_alone(
    drawn: AnyShare, money: list[Fraction]
) -> None:
    """Event by event, from what was free before it: an independent reckoning."""
    share = drawn.share
    total = Fraction(0)
    for place, event in enumerate(money):
        counted = money[min(share.free_events, place) : place] if place >= share.free_events else []
        left = max(share.free_amount - sum(counted), Fraction(0))
        if place < share.free_events or event <= left:
            continue
        one = share.rate * (event - left) + share.fee
        total += max(one, share.least) if share.most is None else min(max(one, share.least), share.most)
    assert share_of_events(share, money) == total


@given(shares(), MONEY)
def test_a_percentage_without_terms_of_events_is_that_of_the_sum(
    drawn: AnyShare, money: list[Fraction]
) -> None:
    share = drawn.without_events()
    terms = Schedule(PriceModel.PERCENTAGE, Fraction(0), None, share=share)
    assert share_of_events(share, money) == exact_amount(terms, sum(money, Fraction(0)))


@given(shares(), MONEY, st.integers(0, 50_000))
def test_another_event_never_makes_a_percentage_cheaper(
    drawn: AnyShare, money: list[Fraction], more: int
) -> None:
    share = drawn.share
    assert share_of_events(share, [*money, Fraction(more)]) >= share_of_events(share, money)
