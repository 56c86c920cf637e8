"""Voids: an open invoice taken back whole, as if it had not been issued. The document stays as it is (law 9); its
reversal reaches tax and ledger."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from domain.credits import BilledLine, CreditLine, credit_rest
from domain.receivables import Balance, InvoiceStatus, ReceivableError


@dataclass(frozen=True, slots=True)
class Void:
    """What voiding an invoice does: `lines` reverse all that is left of every line, its credits too (those lines
    are positive); `used` minor units of account credit go back to their grants, see `return_uses`."""

    invoice: str
    voided_on: date
    reason: str
    lines: tuple[CreditLine, ...]
    used: int
    balance: Balance


def void(
    balance: Balance,
    billed: Sequence[BilledLine],
    credits: Sequence[CreditLine],
    voided_on: date,
    reason: str,
) -> Void:
    """Voids the open invoice whose lines are `billed`, after the earlier `credits` against it.

    Raises ReceivableError for an invoice that is not open, or on which something is paid (it needs a credit note),
    without a reason, and where the lines are not those of the balance: an earlier credit note went to the customer
    in part, or lines are missing.
    """
    if balance.status is not InvoiceStatus.OPEN or balance.paid:
        paid = " and paid in part" if balance.paid else ""
        raise ReceivableError(
            f"invoice {balance.invoice} is {balance.status}{paid}: only an open invoice on which nothing is paid can "
            "be voided, another one needs a credit note"
        )
    if not reason.strip():
        raise ReceivableError(f"give the reason for voiding invoice {balance.invoice}")
    rests = (credit_rest(line, credits) for line in billed)
    lines = tuple(rest for rest in rests if rest is not None)
    owed = balance.total - balance.credited
    reversed_ = -sum(line.gross for line in lines)
    if reversed_ != owed:
        raise ReceivableError(
            f"invoice {balance.invoice} cannot be voided: {reversed_} minor units are left of its lines and {owed} of "
            "its balance; if a credit note went to the customer in part, write a credit note over the rest"
        )
    voided = replace(balance, voided=True, credited=balance.total, used=0, written_off=0)
    return Void(balance.invoice, voided_on, reason, lines, balance.used, voided)
