"""Invoices: tax on rated lines, totals, the entry in the ledger, and the digest that the hash chain runs over."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from hashlib import sha256

from domain.ledger import Posting, settle
from domain.rating import Line
from domain.revenue import earned_at_issue
from domain.tax import TaxPolicy, TaxTable
from domain.taxation import GivenTax, TaxBase, TaxDoesNotFit, given_tax_lines, tax_lines, untaxed

_TAX_ON_TOP = TaxPolicy()


@dataclass(slots=True)
class Payer:
    """What an invoice needs of an account. `payment_terms` in days. `tax_exempt` stands above the treatment that
    `tax_policy` says."""

    id: str
    mode: str
    currency: str
    tax_region: str | None
    tax_exempt: bool
    payment_terms: int
    tax_policy: TaxPolicy = _TAX_ON_TOP


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
    """Put tax from the built-in table on the lines that have none yet, as the payer's tax policy says. The tax point
    is the day of issue: the rates in force on it count."""
    payer, lines, day = draft.payer, draft.lines, draft.issued_on
    region, policy = payer.tax_region, payer.tax_policy
    if payer.tax_exempt or region is None:
        return
    bases = [
        TaxBase(place, amount, table.levies(region, lines[place].category, day))
        for place, amount in untaxed(lines)
    ]
    tax_lines(lines, bases, policy)


def add_given_tax(draft: Draft, currency: str, given: Sequence[GivenTax]) -> None:
    """Put an engine's amounts on the draft: as they are, never rounded again (law 7). They count for exempt payers,
    too: whom and what the engine is asked for is the caller's. `untaxed` says which lines wait for tax.

    Raises TaxDoesNotFit, and changes nothing, when `currency` is not the payer's or an amount has no place.
    """
    if currency != draft.payer.currency:
        raise TaxDoesNotFit(
            f"the tax engine answers in {currency}, and the account is billed in {draft.payer.currency}: ask the"
            " engine in the account's currency"
        )
    given_tax_lines(draft.lines, given, draft.payer.tax_policy, currency)


def finish(draft: Draft) -> None:
    """Compute totals and ledger postings once all lines are there. What is billed when its time is over is earned."""
    earned = earned_at_issue(draft.lines, draft.issued_on)
    draft.subtotal, draft.tax, draft.postings = settle(draft.lines, earned)


def content_digest(rows: Iterable[str]) -> bytes:
    """The digest of a document's content: its head, lines and postings as the rows that storage keeps of them,
    without status and balance, which live on."""
    return digest_of("\n".join(rows).encode())


def digest_of(content: bytes) -> bytes:
    """`content_digest` of rows that are joined already."""
    return sha256(content).digest()


def chain(previous: bytes, series: str, number: int, content: bytes) -> bytes:
    """The next link of a series' hash chain: it binds number and content to all that came before."""
    return sha256(b"%b%b|%d|%b" % (previous, series.encode(), number, content)).digest()
