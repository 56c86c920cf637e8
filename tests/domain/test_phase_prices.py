"""The prices of an intro at a percentage are the evergreen ones, at that percentage (once rounded)."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalog import PlanVersion
from domain.money import round_half_away
from domain.phase_prices import as_stored, as_written, currencies_of, prices_of
from tests.domain.books import both, one_time, recurring, usage, version


def intro(percent: str, *prices: dict[str, Any]) -> PlanVersion:
    return version(
        phases=[
            {"kind": "trial", "days": 7},
            {"kind": "intro", "periods": 3, "percent": percent},
            {"kind": "evergreen", "prices": prices},
        ]
    )


@pytest.mark.parametrize(
    ("percent", "usd", "amounts"),
    [
        ("50", "12.00", {"USD": "6.00", "JPY": "600"}),
        ("50", "12.99", {"USD": "6.50", "JPY": "650"}),  # 6.495 and 649.5, halves away from zero
        ("33.333", "10.00", {"USD": "3.33", "JPY": "333"}),
        ("0", "12.00", {"USD": "0.00", "JPY": "0"}),
    ],
)
def test_an_amount_at_a_percentage_is_an_amount(percent: str, usd: str, amounts: dict[str, str]) -> None:
    plan = intro(percent, recurring(usd))
    (price,) = prices_of(plan, plan.phases[1])
    assert price.amounts == amounts
    assert price.code == "access"


def test_tiers_keep_their_bounds_and_unit_prices_their_fractions() -> None:
    tiers = [
        {"up_to": "5", "unit_amounts": both("0.125"), "flat_amounts": both("9.99")},
        {"unit_amounts": {"USD": "0.0000000007", "JPY": "1"}},
    ]
    plan = intro("50", {"code": "seats", "type": "recurring", "model": "graduated", "tiers": tiers})
    (price,) = prices_of(plan, plan.phases[1])
    first, last = price.tiers
    assert (first.up_to, last.up_to) == (Decimal(5), None)
    assert Decimal(first.unit_amounts["USD"]) == Decimal("0.0625")
    assert first.flat_amounts == {"USD": "5.00", "JPY": "500"}  # 4.995
    assert Decimal(last.unit_amounts["USD"]) == Decimal("0.0000000004")  # as fine as a catalog writes


def test_what_is_not_recurring_is_what_it_is_in_the_evergreen_phase() -> None:
    plan = intro("50", recurring("12.00"), usage("0.10"), one_time("5.00"))
    evergreen = plan.phases[2].prices
    assert prices_of(plan, plan.phases[1])[1:] == evergreen[1:]
    assert prices_of(plan, plan.phases[2]) == evergreen
    assert prices_of(plan, plan.phases[0]) == ()


def test_the_stored_form_has_every_price_and_becomes_the_written_one_again() -> None:
    plan = intro("50", recurring("12.00"), usage("0.10"))
    stored = as_stored(plan)
    assert [price.code for price in stored.phases[1].prices] == ["access", "reading"]
    assert as_written(PlanVersion.model_validate(stored.model_dump(mode="json"))) == plan
    assert prices_of(stored, stored.phases[1]) == prices_of(plan, plan.phases[1])
    plain = version(recurring(), usage())
    assert as_stored(plain) == as_written(plain) == plain


@given(st.integers(0, 10**7), st.decimals(0, 99, places=3))
def test_a_percentage_is_rounded_once_half_away_from_zero(cents: int, percent: Decimal) -> None:
    plan = intro(f"{percent:f}", recurring(f"{Decimal(cents) / 100:.2f}"))
    (price,) = prices_of(plan, plan.phases[1])
    assert Decimal(price.amounts["USD"]) * 100 == round_half_away(cents * percent / 100)


def test_the_currencies_of_a_price_are_those_of_its_amounts() -> None:
    catalog = ("USD", "EUR", "JPY")

    def of(price: dict[str, Any]) -> list[str]:
        return currencies_of(version(price).phases[0].prices[0], catalog)

    assert of(recurring()) == ["USD", "JPY"]
    tiers = [{"unit_amounts": {"USD": "1"}, "flat_amounts": {"JPY": "1", "USD": "1"}}]
    assert of(usage(model="graduated", tiers=tiers)) == ["USD", "JPY"]
    tips = {"code": "tips", "type": "usage", "meter": "articles", "model": "percentage"}
    assert of({**tips, "percentage": {"rate": "1"}}) == ["USD", "EUR", "JPY"]
    for field in ("free_amounts", "fixed_fees", "min_amounts", "max_amounts"):
        assert of({**tips, "percentage": {"rate": "1", field: {"JPY": "1"}}}) == ["JPY"]
