"""Receivables: what of an invoice's total is still open, and the status that follows from it.

An invoice never changes once it is finalised (law 9); its balance does. A total is settled in four ways, and always
open = total − paid − credited − used − written off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from domain.money import format_minor


class InvoiceStatus(StrEnum):
    """Where an invoice stands."""

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    VOID = "void"
    UNCOLLECTIBLE = "uncollectible"


class ReceivableError(ValueError):
    """A step that the balance of an invoice does not allow; the message says what to do instead."""


@dataclass(frozen=True, slots=True)
class Balance:
    """What became of an invoice's `total`, minor units: `paid` by payments, `credited` by credit notes and a void,
    `used` of account credit, `written_off`. `refunded` is how much of `paid` went back; it opens nothing, because a
    refund follows a credit note. A negative total is owed to the customer: it is paid from the start, and its `used`
    is what was moved to the account credit, negative. Raises ReceivableError for amounts that cannot be."""

    invoice: str
    currency: str
    total: int
    due_on: date
    finalised: bool = True
    voided: bool = False
    paid: int = 0
    credited: int = 0
    used: int = 0
    written_off: int = 0
    refunded: int = 0

    def __post_init__(self) -> None:
        settled = (self.paid, self.credited, self.written_off)
        if self.total >= 0:
            possible = min(*settled, self.used, self.open) >= 0 and 0 <= self.refunded <= self.paid
        else:
            possible = not any((*settled, self.refunded)) and self.total <= self.used <= 0
        if self.voided:
            possible = possible and self.credited == self.total
        if not self.finalised:
            possible = possible and not any((*settled, self.used, self.voided))
        if not possible:
            raise ReceivableError(f"the amounts settled on invoice {self.invoice} cannot be: {self}")

    @property
    def open(self) -> int:
        """What is still to be settled; below zero what a negative invoice still owes the customer."""
        return self.total - self.paid - self.credited - self.used - self.written_off

    @property
    def kept(self) -> int:
        """What was paid and not refunded."""
        return self.paid - self.refunded

    @property
    def status(self) -> InvoiceStatus:
        """Open as long as anything is; with nothing open, uncollectible if some of it was written off, otherwise
        paid, by whatever means."""
        if not self.finalised:
            return InvoiceStatus.DRAFT
        if self.voided:
            return InvoiceStatus.VOID
        if self.open > 0:
            return InvoiceStatus.OPEN
        return InvoiceStatus.UNCOLLECTIBLE if self.written_off else InvoiceStatus.PAID


def finalise(balance: Balance) -> Balance:
    """The balance of a draft once it is issued. Raises ReceivableError when it was issued already."""
    if balance.finalised:
        raise ReceivableError(
            f"invoice {balance.invoice} is {balance.status}, no draft: it was issued already"
        )
    return replace(balance, finalised=True)


def check_open(balance: Balance, amount: int, step: str) -> None:
    """Raises ReceivableError unless the invoice is open and `amount` is above zero and at most what is open. `step`
    names what was to be done, for the message."""
    if balance.status is not InvoiceStatus.OPEN:
        raise ReceivableError(f"{step}: invoice {balance.invoice} is {balance.status}, nothing is open on it")
    if not 0 < amount <= balance.open:
        raise ReceivableError(
            f"{step}: {format_minor(amount, balance.currency)} on invoice {balance.invoice}, of which "
            f"{format_minor(balance.open, balance.currency)} is open; give an amount above zero and at most that"
        )


def pay(balance: Balance, amount: int) -> Balance:
    """`balance` with `amount` paid. What a payment has over is not for here, see `apply_payment`. Raises
    ReceivableError for more than is open."""
    check_open(balance, amount, "payment")
    return replace(balance, paid=balance.paid + amount)


def use_credit(balance: Balance, amount: int) -> Balance:
    """`balance` with `amount` of account credit used on it. Raises ReceivableError for more than is open."""
    check_open(balance, amount, "use of account credit")
    return replace(balance, used=balance.used + amount)


def take_back(balance: Balance, amount: int) -> Balance:
    """`balance` after `amount` that had been paid was lost again: a dispute that was lost, a debit that the bank
    returned, or a refund that no credit note stands behind. That much is open again. Raises ReceivableError for
    more than was paid and not refunded."""
    if not 0 < amount <= balance.kept:
        raise ReceivableError(
            f"{format_minor(amount, balance.currency)} cannot be taken back from invoice {balance.invoice}: "
            f"{format_minor(balance.kept, balance.currency)} was paid on it and not refunded"
        )
    return replace(balance, paid=balance.paid - amount)


def release_surplus(balance: Balance) -> tuple[Balance, int]:
    """(`balance`, how much to grant as account credit) of a finalised invoice with a negative total, whose credits
    were more than its charges; 0 when there is none or it was granted already."""
    if not balance.finalised or balance.open >= 0:
        return balance, 0
    return replace(balance, used=balance.total), -balance.open
