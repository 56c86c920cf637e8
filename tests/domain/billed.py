"""Billed lines, credits and balances for the tests of receivables, said in as few words as a case needs."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st

from domain.credits import BilledLine, CreditLine, TaxAmount
from domain.proration import Moment
from domain.receivables import Balance

INVOICE = "invoice-1"


def taxes(**amounts: int) -> tuple[TaxAmount, ...]:
    """Taxes by jurisdiction, minor units."""
    return tuple(TaxAmount(name, Decimal("0.1"), amount) for name, amount in amounts.items())


def billed(
    net: int, key: str = "line", *, start: Moment | None = None, end: Moment | None = None, **tax: int
) -> BilledLine:
    """A line of INVOICE with its taxes by jurisdiction."""
    return BilledLine(
        key,
        INVOICE,
        "recurring",
        "digital",
        "item",
        "price",
        "product",
        start,
        end,
        Decimal(1),
        net,
        taxes(**tax),
    )


def month(net: int, **tax: int) -> BilledLine:
    """A line billed for January 2026, 31 days."""
    return replace(billed(net), start=date(2026, 1, 1), end=date(2026, 2, 1), taxes=taxes(**tax))


def amounts(line: BilledLine | CreditLine | None) -> tuple[int, ...]:
    """The net amount and each tax of a line."""
    assert line is not None
    return (line.net, *(tax.amount for tax in line.taxes))


def balance(total: int = 10000, **more: Any) -> Balance:
    """The balance of INVOICE in dollars, due on 31 January 2026."""
    return Balance(
        **{"invoice": INVOICE, "currency": "USD", "total": total, "due_on": date(2026, 1, 31), **more}
    )


def charges() -> st.SearchStrategy[BilledLine]:
    """Lines with small amounts, where every rounding shows, and large ones; up to three jurisdictions."""
    amount = st.one_of(st.integers(0, 5), st.integers(0, 100_000))
    return st.builds(
        lambda net, tax: replace(billed(net), taxes=taxes(**dict(zip("ABC", tax, strict=False)))),
        amount,
        st.lists(amount, max_size=3),
    )


def invoices() -> st.SearchStrategy[list[BilledLine]]:
    """The lines of an invoice, each with its own key, one of them above zero."""

    def keyed(lines: list[BilledLine]) -> list[BilledLine]:
        return [replace(line, key=f"line {place}") for place, line in enumerate(lines)]

    return st.lists(charges(), min_size=1, max_size=4).map(keyed).filter(lambda ls: any(x.gross for x in ls))
