"""What a mutation of taxation once slipped past: a tax line field by field, and the refusals of an engine's answer to
their last word."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from domain.charge_key import charge_key
from domain.lines import Line
from domain.tax import Levy, Rounding, TaxPolicy, Treatment
from domain.taxation import GivenTax, TaxBase, TaxDoesNotFit, given_tax_lines, tax_lines, untaxed
from tests.domain.books import line, uid

RATE = Decimal("0.20")
VAT = Levy("Österreich", RATE, 1, 5)


def parents() -> list[Line]:
    """An e-book that is not taxed here, then a book of a month."""
    charge = "price|book|2027-03-01|2027-04-01"
    month = (date(2027, 3, 1), date(2027, 4, 1))
    key = charge_key(uid("item"), charge)
    return [
        line(500, category="ebook"),
        Line(
            "recurring",
            uid("item"),
            uid("price"),
            "book",
            *month,
            Decimal(3),
            1200,
            None,
            None,
            None,
            key,
            charge,
            "books",
        ),
    ]


def the_tax(amount: int, rate: Decimal = RATE, reason: str = "") -> Line:
    """The tax line of the second of `parents`, whole: of no item, price, part or period; one of it; the category of
    what it is for; its key of the parent's key and the jurisdiction (law I3)."""
    return Line(
        kind="tax",
        item_id=None,
        price_id=None,
        part=None,
        period_start=None,
        period_end=None,
        quantity=Decimal(1),
        amount=amount,
        parent=1,
        reference=f"Österreich{reason}",
        rate=rate,
        charge_key=charge_key(parents()[1].charge_key, "tax|Österreich"),
        charge="tax|Österreich",
        category="books",
    )


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        (TaxPolicy(), the_tax(240)),  # 20 % of 12.00
        (TaxPolicy(rounding=Rounding.INVOICE), the_tax(240)),
        (TaxPolicy(inclusive=True), the_tax(200)),  # 12.00 is 10.00 and 2.00
        (TaxPolicy(inclusive=True, rounding=Rounding.INVOICE), the_tax(200)),
        (TaxPolicy(treatment=Treatment.REVERSE_CHARGE), the_tax(0, Decimal(0), ", reverse charge")),
    ],
)
def test_a_tax_line_says_what_it_is_for_and_nothing_else(policy: TaxPolicy, expected: Line) -> None:
    lines = parents()
    tax_lines(lines, [TaxBase(1, 1200, (VAT,))], policy)
    assert lines[2:] == [expected]


@pytest.mark.parametrize("inclusive", [False, True])
def test_an_engines_tax_line_is_of_the_same_shape(inclusive: bool) -> None:
    lines = parents()
    given_tax_lines(lines, [GivenTax(1, "Österreich", RATE, 199)], TaxPolicy(inclusive=inclusive), "EUR")
    assert lines[2:] == [the_tax(199)]


def test_a_discount_of_no_line_is_not_taxed_and_lowers_no_other() -> None:
    # What is credited may be a discount whose line is on an earlier invoice (law 5).
    lines = [line(1000), line(-300, "discount"), line(700)]
    assert untaxed(lines) == [(0, 1000), (2, 700)]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            [GivenTax(2, "AT", RATE, 240)],
            "the tax engine gives 2.40 EUR of 'AT' for line 3, and the draft has 2: rate the account again, then ask"
            " the engine again",
        ),
        (
            [GivenTax(1, "AT", RATE, 240), GivenTax(1, "AT", RATE, 0)],
            "the tax engine gives 0.00 EUR of 'AT' for line 2 a second time: the engine's answer has to name each"
            " jurisdiction of a line once, with levies of one jurisdiction added up or told apart by name",
        ),
    ],
)
def test_a_refusal_says_what_is_wrong_and_what_to_do(given: list[GivenTax], said: str) -> None:
    with pytest.raises(TaxDoesNotFit) as refused:
        given_tax_lines(parents(), given, TaxPolicy(), "EUR")
    assert str(refused.value) == said
