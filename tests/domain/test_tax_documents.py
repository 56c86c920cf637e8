"""What an engine is told of an invoice: its lines less discounts, the tax they have already, and where it is taxed."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from domain.invoices import Draft, Payer
from domain.lines import ONE, Line
from domain.tax_documents import (
    EngineTax,
    LineToTax,
    TaxSource,
    address_for_tax,
    charged_as,
    lines_to_tax,
    put_tax_on,
)
from domain.taxation import GivenTax, TaxDoesNotFit


def line(kind: str, amount: int, parent: int | None = None, category: str = "news") -> Line:
    return Line(
        kind, None, None, None, None, None, ONE, amount, parent, None, None,
        "01890000-0000-7000-8000-000000000001", "x", category,
    )  # fmt: skip


LINES = [
    line("recurring", 1000),
    line("discount", -150, 0),
    line("unused_credit", -400, category=""),
    line("tax", -20, 2),
    line("tax", -10, 2),
    line("one_time", 300),
    line("adjustment", -50, category=""),
]


def test_lines_go_net_of_discounts_with_the_tax_that_they_have() -> None:
    assert lines_to_tax(LINES) == [
        LineToTax(0, 850, None),
        LineToTax(2, -400, -30),
        LineToTax(5, 300, None),
        LineToTax(6, -50, 0),
    ]
    assert [each.number for each in lines_to_tax(LINES)] == ["1", "3", "6", "7"]


def test_the_tax_goes_on_as_it_was_given_and_on_no_other_draft() -> None:
    def tax(currency: str, *given: GivenTax) -> EngineTax:
        return EngineTax("taxes", TaxSource.ENGINE, currency, 0, date(2026, 12, 1), given, {})

    draft = Draft("", Payer("a", "live", "USD", None, False, 0), date(2026, 12, 1), list(LINES))
    put_tax_on(draft, tax("USD", GivenTax(0, "NY", Decimal("0.04"), 34)))
    assert [(each.kind, each.parent, each.amount) for each in draft.lines[len(LINES) :]] == [("tax", 0, 34)]
    with pytest.raises(TaxDoesNotFit):
        put_tax_on(draft, tax("EUR"))
    with pytest.raises(TaxDoesNotFit):
        put_tax_on(draft, tax("USD", GivenTax(9, "NY", Decimal("0.04"), 1)))


@pytest.mark.parametrize(
    ("address", "region", "found"),
    [
        (None, None, {}),
        (None, "DE", {"country": "DE"}),
        (None, "US-NY", {"country": "US", "region": "NY"}),
        ({"country": "US", "city": ""}, "US-WA", {"country": "US", "region": "WA"}),
        ({"country": "US", "region": "TX"}, "US-NY", {"country": "US", "region": "TX"}),
        ({"country": "FR", "city": "Paris"}, "US-NY", {"country": "FR", "city": "Paris"}),
        ({"city": "Berlin"}, "DE", {"city": "Berlin", "country": "DE"}),
    ],
)
def test_where_an_account_is_taxed(
    address: dict[str, str] | None, region: str | None, found: dict[str, str]
) -> None:
    assert address_for_tax(address, region) == found


def test_what_was_charged_stands_on_every_line() -> None:
    order = {
        "code": "INV-1",
        "lines": [{"number": "1", "amount": 5}, {"number": "3", "amount": 7, "charged": 1}],
    }
    assert charged_as(order, {"1": 4}) == {
        "code": "INV-1",
        "lines": [{"number": "1", "amount": 5, "charged": 4}, {"number": "3", "amount": 7, "charged": 0}],
    }
