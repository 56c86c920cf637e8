"""Amounts under the gateway's minimum are carried forward, not charged (law 10)."""

from __future__ import annotations

import pytest

from domain.minimum_charge import LEAST_CHARGE, collect, least_charge
from domain.money import EXPONENTS, MoneyError


@pytest.mark.parametrize(
    ("currency", "least"),
    [
        ("USD", 50),
        ("EUR", 50),
        ("JPY", 50),
        ("GBP", 30),
        ("HUF", 17500),
        # not in the table: half a major unit, by decimal places
        ("ILS", 50),
        ("KWD", 500),
        ("KRW", 50),
    ],
)
def test_the_least_charge(currency: str, least: int) -> None:
    assert least_charge(currency) == least


def test_the_policy_of_the_publisher_goes_first() -> None:
    policy = {"USD": 100, "ILS": 0}
    assert [least_charge(currency, policy) for currency in ("USD", "ILS", "EUR")] == [100, 0, 50]


def test_every_currency_of_the_table_exists() -> None:
    assert set(LEAST_CHARGE) <= set(EXPONENTS)
    with pytest.raises(MoneyError, match="'XXX' is not an ISO 4217 currency"):
        least_charge("XXX")


@pytest.mark.parametrize(
    ("amounts", "charge", "carried"),
    [
        ([49], 0, 49),
        ([50], 50, 0),  # the minimum itself is charged
        ([49, 1], 50, 0),  # with what was carried before
        ([20, 20], 0, 40),
        ([1200], 1200, 0),
        ([], 0, 0),
        ([0, 0], 0, 0),
    ],
)
def test_what_is_too_little_waits_for_the_next_charge(amounts: list[int], charge: int, carried: int) -> None:
    # law 10
    assert collect(amounts, "USD") == (charge, carried)


def test_small_amounts_are_charged_where_the_policy_says_so() -> None:
    assert collect(iter([49]), "USD", {"USD": 49}) == (49, 0)
    assert collect([0], "USD", {"USD": 0}) == (0, 0)


def test_an_amount_below_zero_is_not_collected() -> None:
    with pytest.raises(ValueError, match="below zero is not collected"):
        collect([100, -1], "USD")
