"""Invoices: tax on rated lines, totals, the entry in the ledger, and the digest that the hash chain runs over."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import sha256

from domain.charge_key import charge_key
from domain.ledger import Posting, settle
from domain.money import scaled
from domain.rating import ONE, Line
from domain.tax import TaxTable


@dataclass(slots=True)
class Payer:
    """What an invoice needs of an account. `payment_terms` in days."""

    id: str
    mode: str
    currency: str
    tax_region: str | None
    tax_exempt: bool
    payment_terms: int


@dataclass(slots=True)
class Draft:
    """An invoice before it has a number. Amounts in minor units, `issued_on` a local day."""

    id: str
    payer: Payer
    issued_on: date
    lines: list[Line]
    subtotal: int = 0
    tax: int = 0
    postings: list[Posting] = field(default_factory=list)

    @property
    def total(self) -> int:
        """Lines and tax together (law I9)."""
        return self.subtotal + self.tax

    @property
    def due_on(self) -> date:
        """The day by which it has to be paid."""
        return self.issued_on + timedelta(days=self.payer.payment_terms)


def add_tax(draft: Draft, table: TaxTable) -> None:
    """Append a tax line per taxable line and jurisdiction, from the built-in table."""
    payer, lines = draft.payer, draft.lines
    if payer.tax_exempt or payer.tax_region is None:
        return
    net = [line.amount for line in lines]
    for line in lines:
        if line.kind == "discount" and line.parent is not None:
            net[line.parent] += line.amount
    for place in range(len(net)):
        parent = lines[place]
        if parent.kind == "discount":
            continue
        for levy in table.levies(payer.tax_region, parent.category, draft.issued_on):
            charge = f"tax|{levy.jurisdiction}"
            lines.append(
                Line(
                    "tax",
                    None,
                    None,
                    None,
                    None,
                    None,
                    ONE,
                    scaled(net[place], levy.numerator, levy.denominator),
                    place,
                    levy.jurisdiction,
                    levy.rate,
                    charge_key(parent.charge_key, charge),
                    charge,
                    parent.category,
                )
            )


def finish(draft: Draft) -> None:
    """Compute totals and ledger postings once all lines are there."""
    draft.subtotal, draft.tax, draft.postings = settle(draft.lines)


def content_digest(rows: Iterable[str]) -> bytes:
    """The digest of a document's content: its head, lines and postings as the rows that storage keeps of them,
    without status and balance, which live on."""
    return sha256("\n".join(rows).encode()).digest()


def chain(previous: bytes, series: str, number: int, content: bytes) -> bytes:
    """The next link of a series' hash chain: it binds number and content to all that came before."""
    return sha256(b"%b%b|%d|%b" % (previous, series.encode(), number, content)).digest()
