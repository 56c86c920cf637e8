"""An invoice or credit note as it is shown to the customer: everything that stands on it, as one frozen value.

Amounts are minor units of `currency`; periods are local days, end exclusive. Charges are without tax. What a document
is made from is in the books; nothing here is computed anew, apart from adding up taxes by jurisdiction and rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Literal

from domain.publisher import Publisher

Kind = Literal["invoice", "credit_note"]


@dataclass(frozen=True, slots=True)
class Recipient:
    """Who gets the document. country: ISO 3166-1 alpha-2."""

    name: str | None = None
    line1: str | None = None
    line2: str | None = None
    postal_code: str | None = None
    city: str | None = None
    region: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True)
class Deduction:
    """A discount on a line: the coupon's code, its percentage where it has one, and the amount, negative."""

    code: str
    percent: Decimal | None
    amount: int


@dataclass(frozen=True, slots=True)
class DocumentLine:
    """A charge or a credit. kind: that of the invoice line. name: the plan's or the meter's; part: the product's, where
    the plan is a bundle."""

    kind: str
    name: str | None
    part: str | None
    starts_on: date | None
    ends_on: date | None
    quantity: Decimal
    amount: int
    deductions: tuple[Deduction, ...] = ()

    @property
    def net(self) -> int:
        """What discounts left of it."""
        return self.amount + sum(each.amount for each in self.deductions)


@dataclass(frozen=True, slots=True)
class DocumentTax:
    """The tax of one jurisdiction at one rate (a fraction), on the lines that sum to `base`."""

    jurisdiction: str
    rate: Decimal
    base: int
    amount: int


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of an invoice's total; see `domain.receivables.Balance`."""

    paid: int = 0
    credited: int = 0
    used: int = 0
    written_off: int = 0
    open: int = 0


@dataclass(frozen=True, slots=True)
class InvoiceDocument:
    """One document. number: with its series, as INV-7. corrects: for a credit note, the number of its invoice."""

    kind: Kind
    id: str
    mode: str
    number: str
    account: str
    locale: str
    currency: str
    issued_on: date
    due_on: date | None
    status: str
    publisher: Publisher
    recipient: Recipient
    lines: tuple[DocumentLine, ...]
    taxes: tuple[DocumentTax, ...]
    subtotal: int
    tax: int
    total: int
    settled: Settled = Settled()
    corrects: str | None = None
    reason: str | None = None


class DocumentDoesNotAdd(ValueError):
    """A document whose lines are not its totals. It is not shown to anybody."""


def checked(document: InvoiceDocument) -> InvoiceDocument:
    """`document`, once its lines and taxes are known to sum to its totals. Raises DocumentDoesNotAdd."""
    lines = sum(line.net for line in document.lines)
    taxes = sum(tax.amount for tax in document.taxes)
    if (lines, taxes, lines + taxes) != (document.subtotal, document.tax, document.total):
        raise DocumentDoesNotAdd(
            f"{document.number} has lines of {lines} and taxes of {taxes}, and says {document.subtotal} and "
            f"{document.tax}, {document.total} in all (minor units): run `masthead verify`"
        )
    return document
