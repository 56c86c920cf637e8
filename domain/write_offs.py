"""Write-offs: giving up what is open on an invoice, and recovering it when the money comes after all."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from domain.money import format_minor
from domain.receivables import Balance, InvoiceStatus, ReceivableError, check_open


class Recovery(NamedTuple):
    """What a late payment did for a written-off invoice, minor units: `recovered` of the write-off, and the
    overpayment, which becomes account credit."""

    balance: Balance
    recovered: int
    overpayment: int


def write_off(balance: Balance, amount: int | None = None) -> tuple[Balance, int]:
    """(`balance`, how much was written off): all that is open, or `amount` minor units of it. The invoice is
    uncollectible once nothing is open. Raises ReceivableError for more than is open, or an invoice that is not."""
    if amount is None:
        amount = balance.open
    check_open(balance, amount, "write-off")
    return replace(balance, written_off=balance.written_off + amount), amount


def recover(balance: Balance, amount: int) -> Recovery:
    """`amount` minor units received for an invoice that was written off: up to the write-off it counts as paid, the
    rest is over. Recovered whole, the invoice is paid. Raises ReceivableError when it is not uncollectible."""
    if balance.status is not InvoiceStatus.UNCOLLECTIBLE:
        raise ReceivableError(
            f"invoice {balance.invoice} is {balance.status}, nothing to recover: apply the payment to open invoices"
        )
    if amount <= 0:
        raise ReceivableError(
            f"{format_minor(amount, balance.currency)} is nothing received for invoice {balance.invoice}"
        )
    recovered = min(amount, balance.written_off)
    settled = replace(balance, paid=balance.paid + recovered, written_off=balance.written_off - recovered)
    return Recovery(settled, recovered, amount - recovered)
