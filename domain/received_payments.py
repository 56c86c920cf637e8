"""Received payments: which invoices a payment settles, and what it has over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple

from domain.money import format_minor
from domain.receivables import Balance, InvoiceStatus, ReceivableError, pay


class PaymentStatus(StrEnum):
    """Where a payment stands. Unknown is not failed: the gateway is asked before anything is decided."""

    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUNDED = "refunded"
    DISPUTED = "disputed"


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment: `amount` and what of it was `refunded` (asked for, confirmed or not) in minor units. Raises
    ReceivableError for a payment of nothing, or with more refunded than paid."""

    id: str
    currency: str
    amount: int
    status: PaymentStatus
    refunded: int = 0

    def __post_init__(self) -> None:
        if self.amount <= 0 or not 0 <= self.refunded <= self.amount:
            raise ReceivableError(
                f"payment {self.id} cannot be of {self.amount} minor units with {self.refunded} refunded"
            )

    @property
    def remaining(self) -> int:
        """What of it was not refunded."""
        return self.amount - self.refunded


class Application(NamedTuple):
    """How much of a payment settled which invoice, minor units."""

    invoice: str
    amount: int


class Applied(NamedTuple):
    """What a payment did: the balances in the order they were given in, what went where, and the overpayment, which
    becomes account credit. The applications and the overpayment sum to the payment."""

    balances: tuple[Balance, ...]
    applications: tuple[Application, ...]
    overpayment: int


def _by_due_date(balance: Balance) -> tuple[date, str]:
    return balance.due_on, balance.invoice


def apply_payment(payment: Payment, balances: Sequence[Balance]) -> Applied:
    """The whole of `payment` on the open ones of `balances`, oldest due first (then by id, which follows the order
    of creation). Invoices that are not open take nothing: money for one that was voided or paid meanwhile is over,
    money for one that was written off too, see `recover`.

    Raises ReceivableError for a payment that did not succeed or has refunds already, another currency, and an
    invoice named twice.
    """
    if payment.status is not PaymentStatus.SUCCEEDED or payment.refunded:
        raise ReceivableError(
            f"payment {payment.id} is {payment.status} with {format_minor(payment.refunded, payment.currency)} "
            "refunded: only a whole payment that succeeded settles invoices"
        )
    by_invoice = {balance.invoice: balance for balance in balances}
    if len(by_invoice) < len(balances):
        raise ReceivableError(f"payment {payment.id} names an invoice twice: name each once")
    for balance in balances:
        if balance.currency != payment.currency:
            raise ReceivableError(
                f"payment {payment.id} is in {payment.currency} and invoice {balance.invoice} in "
                f"{balance.currency}: take a payment in the invoice's currency"
            )
    rest = payment.amount
    applications = []
    for balance in sorted(balances, key=_by_due_date):
        if rest and balance.status is InvoiceStatus.OPEN:
            amount = min(rest, balance.open)
            by_invoice[balance.invoice] = pay(balance, amount)
            applications.append(Application(balance.invoice, amount))
            rest -= amount
    return Applied(tuple(by_invoice.values()), tuple(applications), rest)
