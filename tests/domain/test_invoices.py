"""Invoices: tax by line and jurisdiction after discounts, totals that add up, entries that balance (laws 7, I1, I9)."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalog import TaxRate
from domain.invoices import Draft, Payer, add_given_tax, add_tax, chain, content_digest, finish
from domain.rating import Line, rate_subscription
from domain.tax import Rounding, TaxPolicy, TaxTable, Treatment
from domain.taxation import GivenTax, TaxDoesNotFit
from tests.domain.books import book, item, line, off, percent, recurring, terms, uid, version

DAY = date(2026, 12, 1)


def levied(category: str, since: date = date(2015, 1, 1), **rates: str) -> list[TaxRate]:
    return [
        TaxRate(region="NY", category=category, jurisdiction=name, rate=Decimal(rate), effective=since)
        for name, rate in rates.items()
    ]


TABLE = TaxTable([*levied("digital", State="0.04", City="0.04875"), *levied("print", State="0")])


def payer(
    region: str | None = "NY", *, exempt: bool = False, days: int = 14, policy: TaxPolicy | None = None
) -> Payer:
    account = Payer(uid("account"), "live", "USD", region, exempt, days)
    return account if policy is None else replace(account, tax_policy=policy)


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


CREDITS = ["unused_credit", "delivery_credit", "adjustment"]


@pytest.mark.parametrize("kind", CREDITS)
@pytest.mark.parametrize("inclusive", [False, True])
def test_a_credit_gives_back_the_tax_that_was_billed_and_no_other(kind: str, inclusive: bool) -> None:
    # law 5: billed at a rate of old, which is not computed again; and what bore no tax (no category) gives none back.
    to = payer(policy=TaxPolicy(inclusive=inclusive))
    draft = taxed(
        line(-1200, kind=kind), line(-1200, kind=kind, category=""), line(-84, kind="tax", parent=0), to=to
    )
    assert taxes(draft) == [(0, None, -84)]
    assert (draft.subtotal, draft.tax, draft.total) == (-2400, -84, -2484)


@pytest.mark.parametrize("kind", CREDITS)
@pytest.mark.parametrize("policy", [TaxPolicy(a, rounding=b) for a in (False, True) for b in Rounding])
def test_what_is_charged_and_credited_on_one_draft_is_taxed_both_ways(kind: str, policy: TaxPolicy) -> None:
    # law 5: the credit takes back the tax that this very draft charges.
    draft = taxed(line(1200), line(-1200, kind=kind), to=payer(policy=policy))
    assert len(taxes(draft)) == 4
    assert (draft.subtotal, draft.tax, draft.total) == (0, 0, 0)


def test_a_credit_of_this_draft_takes_its_tax_back() -> None:
    draft = taxed(line(-1200, kind="unused_credit"))
    assert taxes(draft) == [(0, "City", -59), (0, "State", -48)]
    assert draft.total == -1307


def test_an_adjustment_in_the_sellers_favour_is_taxed_like_any_line() -> None:
    draft = taxed(line(1200, kind="adjustment"))
    assert taxes(draft) == [(0, "City", 59), (0, "State", 48)]


def test_an_adjustment_that_brings_its_tax_is_not_taxed_again() -> None:
    draft = taxed(line(1200, kind="adjustment"), line(84, kind="tax", parent=0), line(1200))
    assert taxes(draft) == [(0, None, 84), (2, "City", 59), (2, "State", 48)]


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize("rounding", Rounding)
def test_taxing_a_second_time_changes_nothing(inclusive: bool, rounding: Rounding) -> None:
    to = payer(policy=TaxPolicy(inclusive=inclusive, rounding=rounding))
    draft = taxed(line(1199), line(-100, kind="discount", parent=0), line(333), to=to)
    once = list(draft.lines)
    add_tax(draft, TABLE)
    assert draft.lines == once


@pytest.mark.parametrize("inclusive", [False, True])
def test_a_discount_of_no_line_lowers_no_tax_and_is_refused(inclusive: bool) -> None:
    draft = Draft(
        uid("invoice"),
        payer(policy=TaxPolicy(inclusive=inclusive)),
        DAY,
        [line(1000), line(-100, kind="discount")],
    )
    add_tax(draft, TABLE)
    assert sum(each.amount for each in draft.lines) == (900 if inclusive else 989)  # 10.00 at 4 % and 4.875 %
    with pytest.raises(ValueError, match="no ledger account"):
        finish(draft)


def test_a_rate_counts_from_the_day_of_issue() -> None:
    table = TaxTable([*levied("digital", A="0.04"), *levied("digital", since=DAY, A="0.05")])
    for day, tax in ((date(2026, 11, 30), 40), (DAY, 50)):
        draft = Draft(uid("invoice"), payer(), day, [line(1000)])
        add_tax(draft, table)
        assert taxes(draft) == [(0, "A", tax)]


def test_the_treatment_is_the_accounts_and_exemption_stands_above_it() -> None:
    reverse = TaxPolicy(treatment=Treatment.REVERSE_CHARGE)
    draft = taxed(line(1000), line(1000, category="ebook"), to=payer(policy=reverse))
    assert taxes(draft) == [(0, "City, reverse charge", 0), (0, "State, reverse charge", 0)]
    assert draft.total == 2000
    assert taxes(taxed(line(1000), to=payer(exempt=True, policy=reverse))) == []
    assert taxes(taxed(line(1000), to=payer(policy=TaxPolicy(treatment=Treatment.EXEMPT)))) == []


def test_an_engines_amounts_make_the_total() -> None:
    draft = Draft(uid("invoice"), payer(), DAY, [line(1190)])
    add_given_tax(draft, "USD", [GivenTax(0, "Engine", Decimal("0.19"), 191)])
    finish(draft)
    assert (draft.subtotal, draft.tax, draft.total) == (1190, 191, 1381)
    within = Draft(uid("invoice"), payer(policy=TaxPolicy(inclusive=True)), DAY, [line(1190)])
    add_given_tax(within, "USD", [GivenTax(0, "Engine", Decimal("0.19"), 191)])
    finish(within)
    assert (within.subtotal, within.tax, within.total) == (999, 191, 1190)


def test_an_engines_amounts_in_another_currency_are_refused() -> None:
    draft = Draft(uid("invoice"), payer(), DAY, [line(1190)])
    with pytest.raises(
        TaxDoesNotFit, match="answers in EUR, and the account is billed in USD: ask the engine in"
    ):
        add_given_tax(draft, "EUR", [GivenTax(0, "Engine", Decimal("0.19"), 190)])
    assert len(draft.lines) == 1


def test_what_is_billed_when_its_time_is_over_is_earned_and_what_is_paid_ahead_is_owed() -> None:
    """The bill of 1 December: November in arrears at 12.00, December ahead at 2.00, 10 percent off both, no tax."""
    prices = book(plan=version(recurring("2.00"), recurring("12.00", code="later", billed="arrears")))
    november = date(2026, 11, 1)
    subscription = terms(
        november, charged_through=DAY, next_bill_on=DAY, discounts=[percent("10")], arrears_through=november
    )
    found = rate_subscription(prices, "USD", subscription, DAY)
    assert found is not None
    posted = {
        account: debit - credit for account, debit, credit in taxed(*found.lines, to=payer(None)).postings
    }
    assert posted == {"accounts_receivable": 1260, "deferred_revenue": -180, "revenue": -1080}
    # A month that is billed late is over, too: both prices of November, and of December what is ahead.
    late = rate_subscription(
        prices, "USD", terms(november, next_bill_on=november, arrears_through=november), DAY
    )
    assert late is not None
    posted = {
        account: debit - credit for account, debit, credit in taxed(*late.lines, to=payer(None)).postings
    }
    assert posted == {"accounts_receivable": 1600, "deferred_revenue": -200, "revenue": -1400}


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


POLICIES = st.builds(TaxPolicy, st.booleans(), st.sampled_from(Treatment), st.sampled_from(Rounding))


@given(rated(), POLICIES)
def test_lines_and_taxes_are_the_total_under_every_policy(
    given_lines: tuple[list[Line], TaxTable], policy: TaxPolicy
) -> None:
    lines, table = given_lines
    prices = sum(each.amount for each in lines)
    draft = taxed(*lines, to=payer(policy=policy), table=table)
    assert draft.total == sum(each.amount for each in draft.lines)  # I9
    assert sum(debit for _, debit, _ in draft.postings) == sum(
        credit for _, _, credit in draft.postings
    )  # I1
    assert len({each.charge_key for each in draft.lines}) == len(draft.lines)  # I3
    assert [each.charge_key for each in draft.lines[: len(lines)]] == [each.charge_key for each in lines]
    if policy.inclusive or policy.treatment is not Treatment.TAXABLE:
        assert draft.total == prices
    if policy.treatment is not Treatment.TAXABLE or not policy.inclusive:
        assert draft.lines[: len(lines)] == lines
    if policy.treatment is not Treatment.TAXABLE:
        assert draft.tax == 0
    if policy.treatment is Treatment.EXEMPT:
        assert draft.lines == lines
    # No discount turns into a charge by giving up its tax.
    assert all(each.amount <= 0 for each in draft.lines if each.kind == "discount")


def exact_taxes(lines: list[Line], table: TaxTable, inclusive: bool) -> dict[tuple[int, str], Fraction]:
    """The taxes before any rounding, by place and jurisdiction."""
    found = {}
    for place, each in enumerate(lines):
        if each.kind == "discount":
            continue
        price = each.amount + sum(other.amount for other in lines if other.parent == place)
        levies = table.levies("NY", each.category, DAY)
        divisor = 1 + sum((Fraction(levy.rate) for levy in levies), Fraction(0)) if inclusive else 1
        for levy in levies:
            found[place, levy.jurisdiction] = price * Fraction(levy.rate) / divisor
    return found


@given(rated(), st.booleans(), st.sampled_from(Rounding))
def test_rounding_moves_no_tax_line_by_a_unit_and_no_sum_by_more_than_half_of_one(
    given_lines: tuple[list[Line], TaxTable], inclusive: bool, rounding: Rounding
) -> None:
    lines, table = given_lines
    draft = taxed(*lines, to=payer(policy=TaxPolicy(inclusive=inclusive, rounding=rounding)), table=table)
    exact = exact_taxes(lines, table, inclusive)
    sums: dict[tuple[str, Decimal | None], Fraction] = {}
    per_line: dict[int, Fraction] = {}
    for each in draft.lines[len(lines) :]:
        assert each.parent is not None
        assert each.reference is not None
        off = each.amount - exact.pop((each.parent, each.reference))
        # Shares of a sum that was rounded already are off by the share of that rounding, too.
        assert abs(off) < (Fraction(3, 2) if inclusive and rounding is Rounding.LINE else 1)
        group = each.reference, each.rate
        sums[group] = sums.get(group, Fraction(0)) + off
        per_line[each.parent] = per_line.get(each.parent, Fraction(0)) + off
    assert not exact
    if rounding is Rounding.INVOICE:
        assert all(abs(off) <= Fraction(1, 2) for off in sums.values())
    elif inclusive:
        assert all(abs(off) <= Fraction(1, 2) for off in per_line.values())


@given(rated(), st.booleans())
def test_rounding_by_invoice_moves_no_tax_line_by_more_than_a_unit_from_rounding_by_line(
    given_lines: tuple[list[Line], TaxTable], inclusive: bool
) -> None:
    lines, table = given_lines
    by_invoice, by_line = (
        taxes(taxed(*lines, to=payer(policy=TaxPolicy(inclusive=inclusive, rounding=rounding)), table=table))
        for rounding in (Rounding.INVOICE, Rounding.LINE)
    )
    assert [each[:2] for each in by_invoice] == [each[:2] for each in by_line]
    for (_, _, spread), (_, _, rounded) in zip(by_invoice, by_line, strict=True):
        assert abs(spread - rounded) <= 1


@given(rated(), st.booleans(), st.data())
def test_whatever_an_engine_gives_the_price_that_includes_it_is_the_total(
    given_lines: tuple[list[Line], TaxTable], inclusive: bool, data: st.DataObject
) -> None:
    lines, _ = given_lines
    given_taxes = [
        GivenTax(place, name, data.draw(RATES), data.draw(st.integers(-100, 1000)))
        for place, each in enumerate(lines)
        for name in ("A", "B")
        if each.kind != "discount"
    ]
    draft = Draft(uid("invoice"), payer(policy=TaxPolicy(inclusive=inclusive)), DAY, list(lines))
    add_given_tax(draft, "USD", given_taxes)
    finish(draft)
    assert [amount for _, _, amount in taxes(draft)] == [each.amount for each in given_taxes]
    prices, tax = sum(each.amount for each in lines), sum(each.amount for each in given_taxes)
    assert draft.total == (prices if inclusive else prices + tax)


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
