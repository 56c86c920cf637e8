"""Money that had come in and that the bank took back: what it settled is open again, account credit that it made is
gone."""

from __future__ import annotations

from dataclasses import replace

from domain.account import collecting
from domain.account.state import AccountState, Collecting, Receipt
from domain.account_credit import Movement, MovementKind, use_of
from domain.amendments import Refused
from domain.declines import read_decline
from domain.ledger_events import Event
from domain.receivables import take_back as open_again
from domain.received_payments import PaymentStatus

RETURNED = "returned"


def take_back_charge(account: AccountState, number: int, code: str | None) -> None:
    """The payment `number`, a charge of a gateway, was taken back by the bank after it had succeeded: with the `code`
    of a decline the account collects anew; without one the gateway released it, and it may be charged again at once.
    Raises Refused as `take_back`."""
    take_back(account, number, event_part="clearing", code=code)
    decline = None if code is None else read_decline(code, account.policy.dunning.retry.decline_classes)
    if decline is None or not account.open_invoices():
        return
    if account.collecting is None or account.collecting.given_up:
        account.collecting = Collecting(account.today, [], decline)
    account.collecting.failed.append(account.today)
    account.collecting.decline = decline


def take_back(
    account: AccountState, number: int, *, event_part: str = "cash", code: str | None = RETURNED
) -> None:
    """The payment `number`, by default one that came in beside the gateways, was returned whole. Raises Refused for one
    that did not succeed or was refunded in part."""
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
    used, expired = _take_credit_back(account, receipt, over) if over else (0, 0)
    receipt.payment = replace(payment, status=PaymentStatus.FAILED)
    receipt.code = code
    account.tell(f"payment {number} was returned by the bank")
    account.post(
        Event.PAYMENT_RETURNED,
        {
            "receivable": settled + used,
            "account_credit": over - used - expired,
            "breakage": expired,
            event_part: payment.amount,
        },
        f"payment {number}",
    )
    collecting.judge(account)


def _take_credit_back(account: AccountState, receipt: Receipt, over: int) -> tuple[int, int]:
    """What the payment had over is no account credit any more. (By how much invoices that used it are open again, how
    much of it had expired, which is no gain of ours: the money never came.)"""
    name, day = f"payment {receipt.number}", account.today
    used, expired = use_of(account.credit, name)
    back = []
    for target, amount in used.items():
        invoice = account.invoice(int(target.removeprefix("invoice ")))
        invoice.balance = replace(invoice.balance, used=invoice.balance.used - amount)
        back.append(Movement(MovementKind.RETURN, name, day, amount, target))
    if over > expired:
        back.append(Movement(MovementKind.USE, name, day, over - expired, f"{name} returned"))
    account.credit = replace(account.credit, movements=(*account.credit.movements, *back))
    return sum(used.values()), expired
