"""The built-in tax table: by region, category and day; every jurisdiction of a region (billing law 7)."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalog import TaxRate
from domain.tax import TaxTable


def rate(
    jurisdiction: str, value: str, since: str = "2015-01-01", region: str = "US-NY", category: str = "digital"
) -> TaxRate:
    return TaxRate(
        region=region,
        category=category,
        jurisdiction=jurisdiction,
        rate=Decimal(value),
        effective=date.fromisoformat(since),
    )


TABLE = TaxTable(
    [
        rate("New York State", "0.04"),
        rate("New York City", "0.04875"),
        rate("New York State", "0", category="print"),
        rate("Deutschland", "0.19", region="DE"),
        rate("Deutschland", "0.16", "2020-07-01", region="DE"),
        rate("Deutschland", "0.19", "2021-01-01", region="DE"),
        rate("Deutschland", "0.07", "2019-12-18", region="DE", category="ebook"),
    ]
)


def found(region: str | None, category: str, day: date) -> list[tuple[str, Decimal]]:
    return [(levy.jurisdiction, levy.rate) for levy in TABLE.levies(region, category, day)]


@pytest.mark.parametrize(
    ("region", "category", "day", "expected"),
    [
        ("US-NY", "digital", "2026-12-01", [("New York City", "0.04875"), ("New York State", "0.04")]),
        ("US-NY", "print", "2026-12-01", [("New York State", "0")]),  # a zero rate is shown
        ("DE", "digital", "2020-06-30", [("Deutschland", "0.19")]),
        ("DE", "digital", "2020-07-01", [("Deutschland", "0.16")]),  # a rate holds from its day on
        ("DE", "digital", "2020-12-31", [("Deutschland", "0.16")]),
        ("DE", "digital", "2021-01-01", [("Deutschland", "0.19")]),
        ("DE", "ebook", "2019-12-17", []),
        ("DE", "digital", "2014-12-31", []),
        ("DE", "print", "2026-12-01", []),
        ("FR", "digital", "2026-12-01", []),
        (None, "digital", "2026-12-01", []),
    ],
)
def test_the_rates_of_a_region_and_category_on_a_day(
    region: str | None, category: str, day: str, expected: list[tuple[str, str]]
) -> None:
    wanted = [(jurisdiction, Decimal(value)) for jurisdiction, value in expected]
    assert found(region, category, date.fromisoformat(day)) == wanted
    assert found(region, category, date.fromisoformat(day)) == wanted  # remembered


def test_the_ratio_is_the_rate_exactly() -> None:
    for levy in TABLE.levies("US-NY", "digital", date(2026, 12, 1)):
        assert Fraction(levy.numerator, levy.denominator) == Fraction(levy.rate)


RATES = st.lists(
    st.tuples(
        st.sampled_from(["A", "B", "C"]),
        st.integers(0, 400),
        st.integers(0, 9999).map(lambda n: Decimal(n).scaleb(-5)),
    ),
    unique_by=lambda entry: entry[:2],
    max_size=12,
)


@given(RATES, st.integers(0, 400), st.randoms())
def test_the_newest_rate_in_force_holds_however_the_table_is_ordered(
    entries: list[tuple[str, int, Decimal]], day: int, order: Random
) -> None:
    origin = date(2026, 1, 1)
    rates = [
        TaxRate(region="DE", category="digital", jurisdiction=j, rate=r, effective=origin + timedelta(days=d))
        for j, d, r in entries
    ]
    order.shuffle(rates)
    levies = TaxTable(rates).levies("DE", "digital", origin + timedelta(days=day))
    by_day = sorted(entries, key=lambda entry: entry[1])
    expected = {jurisdiction: value for jurisdiction, since, value in by_day if since <= day}
    assert [(levy.jurisdiction, levy.rate) for levy in levies] == sorted(expected.items())
