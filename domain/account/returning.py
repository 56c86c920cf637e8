"""Money that had come in and that the bank took back: what it settled is open again, account credit that it made is
gone."""

from __future__ import annotations

from dataclasses import replace

from domain.account import collecting
from domain.account.state import AccountState, Receipt
from domain.account_credit import Movement, MovementKind, use_of
from domain.amendments import Refused
from domain.ledger_events import Event
from domain.receivables import take_back as open_again
from domain.received_payments import PaymentStatus

RETURNED = "returned"


def take_back(account: AccountState, number: int) -> None:
    """The payment `number`, which came in beside the gateways, was returned whole. Raises Refused for one that did not
    succeed, was refunded in part, or made account credit that has expired since."""
    if not 0 < number <= len(account.receipts):
        raise Refused(f"there is no payment {number} at this point")
    receipt = account.receipts[number - 1]
    payment = receipt.payment
    if payment.status is not PaymentStatus.SUCCEEDED or payment.refunded:
        raise Refused(
            f"payment {number} is {payment.status} with {account.money(payment.refunded)} refunded: only a whole "
            "payment that succeeded can be returned"
        )
    settled = 0
    for part in receipt.applied:
        invoice = account.invoice(int(part.invoice))
        invoice.balance = open_again(invoice.balance, part.amount)
        settled += part.amount
    over = payment.amount - settled
    used = _take_credit_back(account, receipt, over) if over else 0
    receipt.payment = replace(payment, status=PaymentStatus.FAILED)
    receipt.code = RETURNED
    account.tell(f"payment {number} was returned by the bank")
    account.post(
        Event.PAYMENT_RETURNED,
        {"receivable": settled + used, "account_credit": over - used, "cash": payment.amount},
        f"payment {number}",
    )
    collecting.judge(account)


def _take_credit_back(account: AccountState, receipt: Receipt, over: int) -> int:
    """What the payment had over is no account credit any more; invoices that used it are open again, by how much in
    all."""
    name, day = f"payment {receipt.number}", account.today
    used, expired = use_of(account.credit, name)
    if expired:
        raise Refused(
            f"{account.money(expired)} of the credit that payment {receipt.number} made has expired: correct it by hand"
        )
    back = []
    for target, amount in used.items():
        invoice = account.invoice(int(target.removeprefix("invoice ")))
        invoice.balance = replace(invoice.balance, used=invoice.balance.used - amount)
        back.append(Movement(MovementKind.RETURN, name, day, amount, target))
    gone = Movement(MovementKind.USE, name, day, over, f"{name} returned")
    account.credit = replace(account.credit, movements=(*account.credit.movements, *back, gone))
    return sum(used.values())
