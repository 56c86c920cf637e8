"""Refunds: how much of a payment may go back to who paid it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from domain.money import format_minor
from domain.receivables import Balance
from domain.received_payments import Payment, PaymentStatus


class RefundRefused(ValueError):
    """A refund that may not be made; the message says why and what to do instead."""


class Refunded(NamedTuple):
    """The payment and the balances, in the order given, after a refund."""

    payment: Payment
    balances: tuple[Balance, ...]


_REFUSALS = {
    PaymentStatus.REFUNDED: "it was refunded whole already",
    PaymentStatus.DISPUTED: "it is disputed, and the bank may take it back as well: answer the dispute, or accept it",
}


def refund_limit(payment: Payment, balances: Sequence[Balance]) -> int:
    """The most, in minor units, that may be refunded of `payment` for the invoices of `balances`: what remains of
    it, and no more than was paid in all on those invoices less what was refunded. An overpayment was paid on no
    invoice: it is account credit, and is paid out of that.

    Raises RefundRefused for a payment that did not succeed, was refunded whole, is disputed, or is in another
    currency than an invoice.
    """
    if payment.status is not PaymentStatus.SUCCEEDED:
        why = _REFUSALS.get(payment.status, f"it is {payment.status}, and only what succeeded can go back")
        raise RefundRefused(f"payment {payment.id} cannot be refunded: {why}")
    if any(balance.currency != payment.currency for balance in balances):
        raise RefundRefused(
            f"payment {payment.id} is in {payment.currency}: refund it for invoices in that currency"
        )
    return min(payment.remaining, sum(balance.kept for balance in balances))


def refund(payment: Payment, balances: Sequence[Balance], amount: int) -> Refunded:
    """`payment` and `balances` with `amount` minor units refunded, for the invoices in the order they are given in.
    A payment with nothing remaining is refunded. The refund opens no invoice: the credit note that it follows was
    placed before. Raises RefundRefused for more than `refund_limit`."""
    limit = refund_limit(payment, balances)
    if not 0 < amount <= limit:
        raise RefundRefused(
            f"{format_minor(amount, payment.currency)} of payment {payment.id} cannot be refunded: give an amount "
            f"above zero and at most {format_minor(limit, payment.currency)}"
        )
    rest = amount
    after = []
    for balance in balances:
        part = min(rest, balance.kept)
        after.append(replace(balance, refunded=balance.refunded + part))
        rest -= part
    refunded = payment.refunded + amount
    status = PaymentStatus.REFUNDED if refunded == payment.amount else payment.status
    return Refunded(replace(payment, refunded=refunded, status=status), tuple(after))
