"""Invoices: tax by line and jurisdiction after discounts, totals that add up, entries that balance (laws 7, I1, I9)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalog import TaxRate
from domain.invoices import Draft, Payer, add_tax, chain, content_digest, finish
from domain.rating import Line, rate_subscription
from domain.tax import TaxTable
from tests.domain.books import book, item, line, off, percent, recurring, terms, uid, version

DAY = date(2026, 12, 1)


def levied(category: str, **rates: str) -> list[TaxRate]:
    return [
        TaxRate(
            region="NY", category=category, jurisdiction=name, rate=Decimal(rate), effective=date(2015, 1, 1)
        )
        for name, rate in rates.items()
    ]


TABLE = TaxTable([*levied("digital", State="0.04", City="0.04875"), *levied("print", State="0")])


def payer(region: str | None = "NY", *, exempt: bool = False, days: int = 14) -> Payer:
    return Payer(uid("account"), "live", "USD", region, exempt, days)


def taxed(*lines: Line, to: Payer | None = None, table: TaxTable = TABLE) -> Draft:
    draft = Draft(uid("invoice"), to or payer(), DAY, list(lines))
    add_tax(draft, table)
    finish(draft)
    return draft


def taxes(draft: Draft) -> list[tuple[int | None, str | None, int]]:
    return [(each.parent, each.reference, each.amount) for each in draft.lines if each.kind == "tax"]


def test_each_line_is_taxed_by_each_jurisdiction_and_rounded_by_itself() -> None:
    # 12.00 × 4.875 % = 58.5, half a cent up; three such lines are not 175.5.
    draft = taxed(line(1200), line(1200), line(1200))
    assert taxes(draft) == [
        (place, name, cents) for place in range(3) for name, cents in (("City", 59), ("State", 48))
    ]
    assert (draft.subtotal, draft.tax, draft.total) == (3600, 321, 3921)


def test_tax_is_on_what_discounts_left() -> None:
    draft = taxed(line(1000), line(-250, kind="discount", parent=0), line(-50, kind="discount", parent=0))
    assert taxes(draft) == [(0, "City", 34), (0, "State", 28)]  # of 7.00
    assert (draft.subtotal, draft.total) == (700, 762)


def test_a_line_that_costs_nothing_shows_its_tax_of_nothing() -> None:
    assert taxes(taxed(line(1000), line(-1000, kind="discount", parent=0))) == [
        (0, "City", 0),
        (0, "State", 0),
    ]


def test_a_rate_of_zero_is_shown_and_an_unknown_category_is_not_taxed() -> None:
    draft = taxed(line(1000, category="print"), line(1000, category="ebook"))
    assert taxes(draft) == [(0, "State", 0)]
    (tax,) = (each for each in draft.lines if each.kind == "tax")
    assert (tax.rate, tax.category) == (Decimal(0), "print")


@pytest.mark.parametrize("to", [payer(None), payer("DE"), payer(exempt=True)])
def test_who_is_exempt_or_elsewhere_pays_no_tax(to: Payer) -> None:
    draft = taxed(line(1000), to=to)
    assert taxes(draft) == []
    assert draft.total == 1000


def test_a_credit_takes_its_tax_back() -> None:
    draft = taxed(line(-1200, kind="unused_credit"))
    assert taxes(draft) == [(0, "City", -59), (0, "State", -48)]
    assert draft.total == -1307


def test_payment_is_due_after_the_terms() -> None:
    assert taxed(line(1), to=payer(days=14)).due_on == date(2026, 12, 15)
    assert taxed(line(1), to=payer(days=0)).due_on == DAY


RATES = st.integers(0, 30000).map(lambda n: Decimal(n).scaleb(-5))


@st.composite
def rated(draw: st.DrawFn) -> tuple[list[Line], TaxTable]:
    """Lines of a real rating: a bundle, an add-on, discounts and a stub, with two jurisdictions."""
    parts = [
        {"product": "print", "weight": draw(st.integers(1, 99))},
        {"product": "digital", "weight": draw(st.integers(1, 99))},
    ]
    prices = book(plan=version(recurring("49.90", parts=parts)), extra=version(recurring("0.99")))
    discounts = [
        draw(st.one_of(st.sampled_from(["10", "33.3", "100"]).map(percent), st.integers(1, 6000).map(off)))
        for _ in range(draw(st.integers(0, 2)))
    ]
    discounts = [replace(each, code=f"{each.code}{place}") for place, each in enumerate(discounts)]
    start = date(2026, 12, draw(st.integers(1, 28)))
    subscription = terms(
        start,
        item(price_override=draw(st.one_of(st.none(), st.integers(0, 10**6)))),
        item("extra", "second"),
        ends_on=draw(st.one_of(st.none(), st.just(date(2027, 1, 9)))),
        discounts=discounts,
    )
    found = rate_subscription(prices, "USD", subscription, date(2027, 2, 1))
    assert found is not None
    rates = [*levied("digital", A=str(draw(RATES)), B=str(draw(RATES))), *levied("print", A=str(draw(RATES)))]
    return found.lines, TaxTable(rates)


@given(rated())
def test_lines_and_taxes_are_the_total_and_the_entry_balances(
    given_lines: tuple[list[Line], TaxTable],
) -> None:
    lines, table = given_lines
    before = len(lines)
    draft = taxed(*lines, table=table)
    assert draft.total == sum(each.amount for each in draft.lines)
    assert draft.subtotal == sum(each.amount for each in lines)
    assert draft.tax == sum(each.amount for each in draft.lines[before:])
    assert sum(debit for _, debit, _ in draft.postings) == sum(credit for _, _, credit in draft.postings)
    assert sum(d - c for a, d, c in draft.postings if a == "accounts_receivable") == draft.total
    # A charge, its discount and its taxes are charges of their own: each has its key (law I3).
    assert len({each.charge_key for each in draft.lines}) == len(draft.lines)


@given(rated())
def test_a_tax_line_is_its_rate_of_the_net_amount_rounded_half_away(
    given_lines: tuple[list[Line], TaxTable],
) -> None:
    lines, table = given_lines
    draft = taxed(*lines, table=table)
    net = {
        place: each.amount + sum(other.amount for other in lines if other.parent == place)
        for place, each in enumerate(lines)
        if each.kind != "discount"
    }
    found: dict[int, set[str | None]] = {place: set() for place in net}
    for each in draft.lines[len(lines) :]:
        assert each.parent is not None
        assert each.rate is not None
        assert each.amount == int((net[each.parent] * each.rate).to_integral_value(ROUND_HALF_UP))
        found[each.parent].add(each.reference)
    for place, jurisdictions in found.items():
        assert jurisdictions == ({"A"} if lines[place].category == "print" else {"A", "B"})


def test_a_tax_line_is_named_after_its_parent_and_jurisdiction() -> None:
    one, other = line(1000), line(1000)
    keys = [each.charge_key for each in taxed(one, other).lines]
    assert len(set(keys)) == len(keys) == 6
    assert [each.charge_key for each in taxed(one, other).lines] == keys


# --- the hash chain (law I5) ---


def test_a_digest_is_of_the_very_rows() -> None:
    assert content_digest(["head", "line"]) == sha256(b"head\nline").digest()
    assert content_digest(["head", "line"]) != content_digest(["line", "head"])
    assert content_digest(["Köln", "日本"]) == sha256("Köln\n日本".encode()).digest()


def test_a_link_binds_all_that_came_before() -> None:
    first = chain(b"\0" * 32, "INV", 1, content_digest(["one"]))
    second = chain(first, "INV", 2, content_digest(["two"]))
    others = {
        chain(b"\1" * 32, "INV", 2, content_digest(["two"])),
        chain(first, "TEST", 2, content_digest(["two"])),
        chain(first, "INV", 3, content_digest(["two"])),
        chain(first, "INV", 2, content_digest(["too"])),
    }
    assert len(second) == 32
    assert second not in others
    assert len(others) == 4
