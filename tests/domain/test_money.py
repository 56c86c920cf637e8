"""Money: exponents, rounding half away from zero, and splits that lose nothing."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.money import (
    MoneyError,
    allocate,
    exponent,
    format_minor,
    parse_minor,
    round_half_away,
    scaled,
    to_major,
    to_minor,
)

AMOUNTS = st.integers(-(10**13), 10**13)


@pytest.mark.parametrize(
    ("currency", "places"), [("USD", 2), ("EUR", 2), ("JPY", 0), ("CLP", 0), ("KWD", 3), ("BHD", 3)]
)
def test_a_currency_has_the_places_of_iso_4217(currency: str, places: int) -> None:
    assert exponent(currency) == places


@pytest.mark.parametrize("code", ["usd", "US", "XXX", "", "EURO", "BTC"])
def test_what_is_no_currency_is_refused_with_its_name(code: str) -> None:
    with pytest.raises(MoneyError, match="ISO 4217"):
        exponent(code)


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12.34", "USD", 1234),
        ("12", "USD", 1200),
        ("12.3", "EUR", 1230),
        ("1800", "JPY", 1800),
        ("1800.00", "JPY", 1800),
        ("0.001", "KWD", 1),
        ("-0.01", "USD", -1),
        ("1e2", "USD", 10000),
    ],
)
def test_an_amount_is_read_exactly(text: str, currency: str, minor: int) -> None:
    assert parse_minor(text, currency) == minor


@pytest.mark.parametrize(
    ("text", "currency", "words"),
    [
        ("12.345", "USD", "more decimal places"),
        ("0.5", "JPY", "more decimal places"),
        (
            "1.00000000000000000000000000000000001",
            "USD",
            "more decimal places",
        ),  # too long for Decimal's context
        ("9e999999", "USD", "not an amount"),
        ("twelve", "USD", "not an amount"),
        ("", "USD", "not an amount"),
        ("NaN", "USD", "not an amount"),
        ("Infinity", "USD", "not an amount"),
        ("12,34", "USD", "not an amount"),
        ("1", "QQQ", "ISO 4217"),
    ],
)
def test_an_amount_that_needs_rounding_or_is_none_is_refused(text: str, currency: str, words: str) -> None:
    with pytest.raises(MoneyError, match=words):
        parse_minor(text, currency)


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        ("0.5", 1),
        ("-0.5", -1),
        ("1.5", 2),
        ("2.5", 3),
        ("-2.5", -3),
        ("2.4999", 2),
        ("-2.4999", -2),
        ("0", 0),
    ],
)
def test_halves_go_away_from_zero(value: str, whole: int) -> None:
    assert round_half_away(Decimal(value)) == whole


def test_major_units_round_to_the_smallest_coin() -> None:
    assert to_minor(Decimal("1.005"), "USD") == 101
    assert to_minor(Decimal("-1.005"), "USD") == -101
    assert to_minor(Decimal("99.5"), "JPY") == 100
    assert to_minor(Decimal("0.0005"), "KWD") == 1


@given(AMOUNTS, st.sampled_from(["USD", "JPY", "KWD"]))
def test_minor_units_survive_the_way_to_major_and_back(minor: int, currency: str) -> None:
    assert to_minor(to_major(minor, currency), currency) == minor
    assert parse_minor(str(to_major(minor, currency)), currency) == minor


def test_money_is_written_with_groups_and_places() -> None:
    assert format_minor(45611660, "USD") == "456,116.60 USD"
    assert format_minor(-1800, "JPY") == "-1,800 JPY"
    assert format_minor(5, "KWD") == "0.005 KWD"


@pytest.mark.parametrize(
    ("amount", "numerator", "denominator", "expected"),
    [
        (1200, 15, 30, 600),
        (1, 1, 2, 1),
        (-1, 1, 2, -1),
        (1000, 1, 3, 333),
        (1000, 2, 3, 667),
        (-1000, 2, 3, -667),
        (5, -1, 2, -3),
        (0, 7, 31, 0),
        (7, 31, 31, 7),
    ],
)
def test_a_ratio_is_rounded_once(amount: int, numerator: int, denominator: int, expected: int) -> None:
    assert scaled(amount, numerator, denominator) == expected


@given(AMOUNTS, st.integers(-400, 10**6), st.integers(1, 10**6))
def test_a_ratio_is_what_decimal_rounds_to(amount: int, numerator: int, denominator: int) -> None:
    with localcontext() as context:
        context.prec = 60
        exact = Decimal(amount) * numerator / denominator
        assert scaled(amount, numerator, denominator) == int(exact.to_integral_value(ROUND_HALF_UP))


@given(AMOUNTS, st.integers(0, 400), st.integers(1, 400))
def test_a_ratio_is_symmetric_about_zero(amount: int, numerator: int, denominator: int) -> None:
    assert scaled(-amount, numerator, denominator) == -scaled(amount, numerator, denominator)


@pytest.mark.parametrize(
    ("total", "weights", "parts"),
    [
        (4990, [70, 30], [3493, 1497]),
        (100, [1, 1, 1], [34, 33, 33]),  # a tie goes to the earlier part
        (101, [1, 1, 1], [34, 34, 33]),
        (1, [1, 1], [1, 0]),
        (-1, [1, 1], [-1, 0]),
        (10, [0, 1, 0], [0, 10, 0]),
        (0, [3, 4], [0, 0]),
        (5, [1, 2, 3], [1, 2, 2]),  # remainders 5/6, 4/6, 3/6: the two largest take the two units
    ],
)
def test_a_sum_is_split_by_the_largest_remainder(total: int, weights: list[int], parts: list[int]) -> None:
    assert allocate(total, weights) == parts


WEIGHTS = st.lists(st.integers(0, 10**6), min_size=1, max_size=12).filter(lambda weights: sum(weights) > 0)


@given(AMOUNTS, WEIGHTS)
def test_a_split_loses_no_unit_and_strays_less_than_one(total: int, weights: list[int]) -> None:
    parts = allocate(total, weights)
    assert sum(parts) == total
    whole = sum(weights)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part * whole - total * weight) < whole
        if weight == 0:
            assert part == 0
        assert part == 0 or (part > 0) == (total > 0)


@given(AMOUNTS, WEIGHTS)
def test_a_split_is_order_stable(total: int, weights: list[int]) -> None:
    parts = allocate(total, weights)
    assert parts == allocate(total, weights)
    for left in range(len(weights)):
        for right in range(left + 1, len(weights)):
            if weights[left] == weights[right]:
                assert abs(parts[left]) >= abs(parts[right])


@given(st.integers(0, 10**9), WEIGHTS)
def test_a_credit_splits_as_its_charge_did(total: int, weights: list[int]) -> None:
    assert allocate(-total, weights) == [-part for part in allocate(total, weights)]


@pytest.mark.parametrize("weights", [[], [0], [0, 0], [2, -1]])
def test_a_split_over_nothing_is_refused(weights: list[int]) -> None:
    with pytest.raises(MoneyError, match="weights"):
        allocate(10, weights)
