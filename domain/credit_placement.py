"""Where the money of a credit note goes: what is open on the invoice first, then what was written off of it, the
rest to the customer."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

from domain.money import format_minor
from domain.receivables import Balance, InvoiceStatus, ReceivableError


class Destination(StrEnum):
    """What becomes of a credit that nothing open takes."""

    ACCOUNT_CREDIT = "account_credit"
    REFUND = "refund"


class Placement(NamedTuple):
    """Where a credit went, minor units; the four sum to the credit. `to_account_credit` is to be granted and
    `to_refund` to be refunded by the caller; `balance` has the other two in it."""

    balance: Balance
    to_open: int
    to_written_off: int
    to_account_credit: int
    to_refund: int


def place(balance: Balance, amount: int, rest_to: Destination, refundable: int = 0) -> Placement:
    """`amount` minor units (above zero) credited on the invoice of `balance`. What was written off was never paid:
    it is credited before anything goes to the customer. Of the rest at most `refundable`, see `refund_limit`, is
    refunded, and what is over becomes account credit, so that no unit is lost.

    Raises ReceivableError for a draft, which is changed instead, and for an invoice that is void.
    """
    status = balance.status
    if status in (InvoiceStatus.DRAFT, InvoiceStatus.VOID) or amount <= 0 or refundable < 0:
        raise ReceivableError(
            f"{format_minor(amount, balance.currency)} cannot be credited on invoice {balance.invoice}, which is "
            f"{status}: a credit note is above zero, and over an invoice that was issued and is not void"
        )
    to_open = min(amount, max(balance.open, 0))
    to_written_off = min(amount - to_open, balance.written_off)
    rest = amount - to_open - to_written_off
    to_refund = min(rest, refundable) if rest_to is Destination.REFUND else 0
    credited = replace(
        balance,
        credited=balance.credited + to_open + to_written_off,
        written_off=balance.written_off - to_written_off,
    )
    return Placement(credited, to_open, to_written_off, rest - to_refund, to_refund)
