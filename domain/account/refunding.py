"""Refunds that credit notes have promised: paid, come back, or kept by the customer as account credit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from domain.account import corrections
from domain.account.state import AccountState, Receipt
from domain.account_credit import Source
from domain.ledger_events import Event
from domain.received_payments import Application, PaymentStatus

Money = Literal["clearing", "cash"]


def paid(account: AccountState, amount: int, document: str, money: Money = "clearing") -> None:
    """`amount` minor units of what is promised went to the customer: from what the gateway holds, or from the bank."""
    account.post(Event.REFUND_PAID, {"refund": amount, money: amount}, document)


def came_back(account: AccountState, amount: int, document: str, money: Money = "clearing") -> None:
    """A refund that was paid came back: it is promised again."""
    account.post(Event.REFUND_FAILED, {"refund": amount, money: amount}, document)


def release(
    account: AccountState, receipt: Receipt, amount: int, parts: Sequence[Application], document: str
) -> None:
    """`amount` of what is promised of `receipt`, for the invoices of `parts`, is account credit from now on; the
    payment and the invoices have that much less refunded."""
    payment = receipt.payment
    status = PaymentStatus.SUCCEEDED if payment.status is PaymentStatus.REFUNDED else payment.status
    receipt.payment = replace(payment, refunded=payment.refunded - amount, status=status)
    for part in parts:
        invoice = account.invoice(int(part.invoice))
        invoice.balance = replace(invoice.balance, refunded=invoice.balance.refunded - part.amount)
    account.tell(f"{account.money(amount)} could not be refunded and became account credit")
    account.post(Event.REFUND_RELEASED, {"amount": amount}, document)
    corrections.grant(account, amount, Source.CREDIT_NOTE, document)
