"""Tax: the built-in table by region, category and day; on top of prices or within them, by line or by invoice, and
an engine's amounts (billing law 7)."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalog import TaxRate
from domain.rating import Line
from domain.tax import Levy, Rounding, TaxPolicy, TaxTable, Treatment
from domain.taxation import (
    GivenTax,
    TaxBase,
    TaxDoesNotFit,
    given_tax_lines,
    spread,
    tax_lines,
    untaxed,
)
from tests.domain.books import line


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


# --- tax within prices, by line or by invoice, exempt, reverse charge ---

ON_TOP = TaxPolicy()
INCLUSIVE = TaxPolicy(inclusive=True)
BY_INVOICE = TaxPolicy(rounding=Rounding.INVOICE)
INCLUSIVE_BY_INVOICE = TaxPolicy(inclusive=True, rounding=Rounding.INVOICE)

GERMAN = {"DE": "0.19"}
BOOK = {"DE": "0.07"}
QUEBEC = {"CA": "0.05", "QC": "0.09975"}
FREE: dict[str, str] = {"DE": "0"}


def levies(rates: dict[str, str]) -> tuple[Levy, ...]:
    return tuple(
        Levy(name, Decimal(value), *Decimal(value).as_integer_ratio()) for name, value in rates.items()
    )


def cut(amount: int, parent: int = 0) -> Line:
    return line(-amount, "discount", parent)


def charged(policy: TaxPolicy, rates: dict[str, str], *given: Line) -> list[Line]:
    """The lines after tax; a line of category `ebook` is taxed by BOOK."""
    lines = list(given)
    bases = [
        TaxBase(place, amount, levies(BOOK if lines[place].category == "ebook" else rates))
        for place, amount in untaxed(lines)
    ]
    tax_lines(lines, bases, policy)
    return lines


def amounts(lines: list[Line]) -> tuple[list[int], list[int]]:
    """What the invoice says: its lines with their discounts, then its taxes."""
    return (
        [each.amount for each in lines if each.kind != "tax"],
        [each.amount for each in lines if each.kind == "tax"],
    )


@pytest.mark.parametrize(
    ("rates", "given_lines", "expected"),
    [
        # 11.90 at 19 % is 10.00 and 1.90; a cent has 0.16 of a cent in it, three have 0.479, four 0.639.
        (GERMAN, [line(1190)], ([1000], [190])),
        (GERMAN, [line(1)], ([1], [0])),
        (GERMAN, [line(3)], ([3], [0])),
        (GERMAN, [line(4)], ([3], [1])),
        # 2.50 at 25 % is 2.00 and 0.50; at 100 % half of an odd price is half a cent: away from zero, for the tax.
        ({"SE": "0.25"}, [line(250)], ([200], [50])),
        ({"X": "1"}, [line(5)], ([2], [3])),
        ({"X": "1"}, [line(-5)], ([-2], [-3])),
        # 99.99 holds 1302.33 at 5 % and 9.975 %: 434.72 and 867.28 of the 1302, so the cent left over goes to the first
        (QUEBEC, [line(9999)], ([8697], [435, 867])),
        (QUEBEC, [line(0)], ([0], [0, 0])),
        # rate 0 is shown and takes nothing out
        (FREE, [line(1190)], ([1190], [0])),
        ({}, [line(1190)], ([1190], [])),
    ],
)
def test_tax_is_taken_out_of_a_price_that_includes_it(
    rates: dict[str, str], given_lines: list[Line], expected: tuple[list[int], list[int]]
) -> None:
    assert amounts(charged(INCLUSIVE, rates, *given_lines)) == expected
    lines, taxes = expected
    assert sum(lines) + sum(taxes) == sum(each.amount for each in given_lines)  # I9


@pytest.mark.parametrize(
    ("given_lines", "expected"),
    [
        # 11.90 less 2.38: 10.00 - 2.00 = 8.00 and 1.52 of tax
        ([line(1190), cut(238)], ([1000, -200], [152])),
        # each discount gives up the tax that it saves: 190 -> 152 -> 133
        ([line(1190), cut(238), cut(119)], ([1000, -200, -100], [133])),
        # what costs nothing has no tax, and line and discount are net all the same
        ([line(1190), cut(1190)], ([1000, -1000], [0])),
        # 10.00 has 159.66, 9.99 has 159.50 in it, both 160; 9.98 has 159.34: so the first cent saves no tax
        ([line(1000), cut(1), cut(1)], ([840, -1, 0], [159])),
        # discounts of two lines, in any order
        ([line(1190), line(2380), cut(1190, 1), cut(238, 0)], ([1000, 2000, -1000, -200], [152, 190])),
    ],
)
def test_a_price_that_includes_tax_is_taxed_after_its_discounts(
    given_lines: list[Line], expected: tuple[list[int], list[int]]
) -> None:
    assert amounts(charged(INCLUSIVE, GERMAN, *given_lines)) == expected


def test_restating_leaves_the_lines_that_were_rated_as_they_were() -> None:
    rated = [line(1190), cut(238)]
    found = charged(INCLUSIVE, GERMAN, *rated)
    assert [each.amount for each in rated] == [1190, -238]
    assert [each.charge_key for each in found[:2]] == [each.charge_key for each in rated]


@pytest.mark.parametrize(
    ("policy", "given_lines", "expected"),
    [
        # 19 % of 0.03 is 0.57 of a cent: by line three cents, by invoice 1.71 = two; all cut off alike, earlier first
        (ON_TOP, [line(3), line(3), line(3)], [1, 1, 1]),
        (BY_INVOICE, [line(3), line(3), line(3)], [1, 1, 0]),
        (BY_INVOICE, [line(-3, "usage"), line(-3, "usage"), line(-3, "usage")], [-1, -1, 0]),
        # 0.19 + 0.38 + 0.57 = 1.14: the one cent to the largest remainder
        (BY_INVOICE, [line(1), line(2), line(3)], [0, 0, 1]),
        # 9.50 = half a cent up: 19 % of 0.25 twice is 4.75 each
        (BY_INVOICE, [line(25), line(25)], [5, 5]),
        # another rate of the same jurisdiction is rounded by itself: 0.57 + 0.57 = 1.14, and 0.49
        (BY_INVOICE, [line(3), line(7, category="ebook"), line(3)], [1, 0, 0]),
        # after discounts: 0.57 of a cent
        (BY_INVOICE, [line(10), cut(7)], [1]),
        (BY_INVOICE, [line(10), cut(10)], [0]),
    ],
)
def test_tax_is_rounded_by_line_or_by_invoice(
    policy: TaxPolicy, given_lines: list[Line], expected: list[int]
) -> None:
    assert amounts(charged(policy, GERMAN, *given_lines))[1] == expected


def test_tax_within_prices_is_rounded_by_invoice() -> None:
    # Three times 0.03 hold 1.437 cents of tax: by line nothing, by invoice one cent.
    three = [line(3), line(3), line(3)]
    assert amounts(charged(INCLUSIVE, GERMAN, *three)) == ([3, 3, 3], [0, 0, 0])
    assert amounts(charged(INCLUSIVE_BY_INVOICE, GERMAN, *three)) == ([2, 3, 3], [1, 0, 0])
    # 0.03 of 0.05 remains; the discount gives up what it saves (0.80 -> 0.48), the line the rest
    found = charged(INCLUSIVE_BY_INVOICE, GERMAN, line(5), cut(2), line(3))
    assert amounts(found) == ([3, -1, 3], [1, 0])


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("rounding", Rounding)
def test_exempt_has_no_tax_and_reverse_charge_shows_that_the_buyer_owes_it(
    inclusive: bool, rounding: Rounding
) -> None:
    policy = TaxPolicy(inclusive, Treatment.EXEMPT, rounding)
    assert amounts(charged(policy, QUEBEC, line(1190), cut(190))) == ([1190, -190], [])
    policy = TaxPolicy(inclusive, Treatment.REVERSE_CHARGE, rounding)
    found = charged(policy, QUEBEC, line(1190), cut(190), line(5))
    assert amounts(found) == ([1190, -190, 5], [0, 0, 0, 0])  # the price stays what it is
    assert [(each.parent, each.reference, each.rate) for each in found[3:]] == [
        (place, reference, Decimal(0))
        for place in (0, 2)
        for reference in ("CA, reverse charge", "QC, reverse charge")
    ]
    # The key is of parent and jurisdiction, however the line is shown (law I3).
    taxable = charged(ON_TOP, QUEBEC, *found[:3])
    assert [each.charge_key for each in found[3:]] == [each.charge_key for each in taxable[3:]]


def test_the_policy_is_taxable_by_line_on_top_unless_said() -> None:
    assert TaxPolicy() == TaxPolicy(False, Treatment.TAXABLE, Rounding.LINE)


@pytest.mark.parametrize(
    ("exact", "expected"),
    [
        ([], []),
        (["1/2"], [1]),
        (["-1/2"], [-1]),
        (["1/2", "1/2"], [1, 0]),
        (["-1/2", "-1/2"], [-1, 0]),
        (["1/2", "1/2", "1/2"], [1, 1, 0]),  # 1.5, half away from zero
        (["1/4", "0", "1/4"], [1, 0, 0]),
        (["1/4", "0", "6/25"], [0, 0, 0]),
        (["1/3", "2/3", "1"], [0, 1, 1]),
        (["1/2", "-1/2"], [1, -1]),
        (["7/10", "-2/5"], [1, -1]),  # 0.3 is nothing
        (["-7/10", "2/5"], [-1, 1]),
    ],
)
def test_amounts_are_spread_by_the_largest_remainder(exact: list[str], expected: list[int]) -> None:
    assert spread([Fraction(each) for each in exact]) == expected


@given(st.lists(st.fractions(-50, 50, max_denominator=1000), max_size=12))
def test_spreading_loses_nothing_and_moves_nothing_by_a_whole_unit(exact: list[Fraction]) -> None:
    found = spread(exact)
    total = sum(exact, Fraction(0))
    away = total + Fraction(1, 2) if total >= 0 else total - Fraction(1, 2)
    assert sum(found) == int(away)
    for part, wanted in zip(found, exact, strict=True):
        assert abs(part - wanted) < 1


# --- an engine's amounts ---


def test_an_engine_is_asked_for_charges_after_discounts_that_have_no_tax_and_a_category() -> None:
    lines = [line(1000), line(-400, category=""), line(500), line(50, "tax", 2), cut(100), line(7)]
    assert untaxed(lines) == [(0, 900), (5, 7)]


def answered(*given_taxes: GivenTax, lines: list[Line], policy: TaxPolicy = ON_TOP) -> list[Line]:
    given_tax_lines(lines, given_taxes, policy, "EUR")
    return lines


def tax(place: int, amount: int, jurisdiction: str = "DE", rate: str = "0.19") -> GivenTax:
    return GivenTax(place, jurisdiction, Decimal(rate), amount)


def test_an_engines_amounts_stay_as_they_are() -> None:
    # 191 is not 19 % of 10.00, and is not ours to put right.
    found = answered(tax(1, -7), tax(0, 191), tax(0, 3, "City", "0"), lines=[line(1000), line(500)])
    assert [(each.kind, each.parent, each.reference, each.rate, each.amount) for each in found[2:]] == [
        ("tax", 1, "DE", Decimal("0.19"), -7),
        ("tax", 0, "DE", Decimal("0.19"), 191),
        ("tax", 0, "City", Decimal(0), 3),
    ]
    ours = charged(ON_TOP, GERMAN, *found[:2])
    assert {each.charge_key for each in ours[2:]} == {found[2].charge_key, found[3].charge_key}  # I3


@pytest.mark.parametrize(
    ("given_lines", "taxes", "expected"),
    [
        ([line(1190)], [tax(0, 190)], [1000]),
        ([line(1190)], [tax(0, 191)], [999]),  # the price is the price
        ([line(1190)], [tax(0, 100, "A", "0.10"), tax(0, 90, "B", "0.09")], [1000]),
        ([line(1190), cut(238)], [tax(0, 152)], [1000, -200]),
        ([line(1190), cut(238)], [tax(0, 150)], [1002, -200]),
        ([line(1190), cut(1190)], [tax(0, 0)], [1190, -1190]),  # no tax: nothing is taken out
        ([line(1190), line(1190), cut(238, 1)], [tax(1, 152)], [1190, 1000, -200]),
        ([line(1190)], [tax(0, 90), tax(0, -90, "B")], [1190]),
    ],
)
def test_an_engines_amounts_come_out_of_prices_that_include_them(
    given_lines: list[Line], taxes: list[GivenTax], expected: list[int]
) -> None:
    found = answered(*taxes, lines=list(given_lines), policy=INCLUSIVE)
    assert amounts(found) == (expected, [each.amount for each in taxes])
    assert sum(each.amount for each in found) == sum(each.amount for each in given_lines)  # I9


def test_an_engines_nothing_under_reverse_charge_says_why() -> None:
    policy = TaxPolicy(treatment=Treatment.REVERSE_CHARGE)
    found = answered(tax(0, 0), tax(0, 5, "Duty"), lines=[line(1000)], policy=policy)
    assert [each.reference for each in found[1:]] == ["DE, reverse charge", "Duty"]
    assert answered(tax(0, 0), lines=[line(1000)])[1].reference == "DE"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (tax(3, 190), "gives 1.90 EUR of 'DE' for line 4, and the draft has 3: rate the account again"),
        (tax(-1, 190), "for line 0, and the draft has 3"),
        (
            tax(1, 190),
            "for line 2, which is a discount line: the engine has to be asked for the tax of the line",
        ),
        (tax(2, 190), "for line 3, which is a tax line"),
        (tax(0, 190, "US"), "for line 1, which has its tax already: do not ask"),
    ],
)
def test_an_engines_amount_that_has_no_place_is_refused(wrong: GivenTax, message: str) -> None:
    lines = [line(1000), cut(100), line(171, "tax", 0)]
    with pytest.raises(TaxDoesNotFit, match=message):
        answered(wrong, lines=lines, policy=INCLUSIVE)
    assert amounts(lines) == ([1000, -100], [171])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (tax(0, 7), "gives 0.07 EUR of 'DE' for line 1 a second time"),
        (tax(1, 7, rate="-0.01"), "at a rate of -0.01: a rate is a fraction from 0 on"),
        (tax(1, 7, rate="NaN"), "at a rate of NaN"),
        (tax(1, 7, rate="Infinity"), "at a rate of Infinity"),
    ],
)
def test_an_engines_answer_is_taken_whole_or_not_at_all(wrong: GivenTax, message: str) -> None:
    lines = [line(1190), line(1190)]
    with pytest.raises(TaxDoesNotFit, match=message):
        answered(tax(0, 190), wrong, lines=lines, policy=INCLUSIVE)
    assert amounts(lines) == ([1190, 1190], [])
    answered(tax(0, 190), tax(1, 190), lines=lines, policy=INCLUSIVE)  # one jurisdiction on two lines fits
    assert amounts(lines) == ([1000, 1000], [190, 190])
