"""Payments that their payers dispute at the bank. What was told of a dispute says where it stands; the books follow,
from wherever they are, so that they end the same in whatever order it was told."""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

from domain.account import collecting
from domain.account.state import AccountState, Receipt
from domain.ledger_events import Event
from domain.receivables import take_back
from domain.received_payments import PaymentStatus


class Stage(StrEnum):
    """How far a dispute has come. A later stage stands above an earlier one, in whatever order they are told."""

    ANNOUNCED = "announced"  # no money has moved
    TAKEN = "taken"  # the bank took the money back
    WON = "won"  # it came back to us
    LOST = "lost"


STAGES = tuple(Stage)


class Booked(NamedTuple):
    """What the books have of a dispute: minor units that stand in dispute, that were lost, and that the gateway keeps
    as its fee."""

    taken: int = 0
    lost: int = 0
    fee: int = 0


def latest(one: Stage, other: Stage) -> Stage:
    """The later of two stages."""
    return max(one, other, key=STAGES.index)


def follow(
    account: AccountState,
    receipt: Receipt,
    stage: Stage,
    amount: int,
    booked: Booked,
    document: str,
    *,
    others_open: bool = False,
    fee: int = 0,
) -> Booked:
    """Bring the books from `booked` to where a dispute of `amount` minor units stands; what they have then. A dispute
    that is open or lost keeps the payment disputed, so that it is not refunded. others_open: so does another one. fee:
    what the gateway keeps for it by now."""
    payment = receipt.payment
    if stage is not Stage.WON or others_open:
        status = PaymentStatus.DISPUTED
    elif payment.status is PaymentStatus.DISPUTED:
        whole = payment.refunded == payment.amount
        status = PaymentStatus.REFUNDED if whole else PaymentStatus.SUCCEEDED
    else:
        status = payment.status
    receipt.payment = replace(payment, status=status)
    taken, lost, kept = booked
    more = amount - taken - lost
    if stage in (Stage.TAKEN, Stage.LOST) and more > 0:
        account.tell(f"{account.money(more)} of payment {receipt.number} is in dispute")
        account.post(Event.DISPUTE_OPENED, {"amount": more}, document)
        taken += more
    if stage is Stage.WON and taken:
        account.tell(f"the dispute of payment {receipt.number} is won")
        account.post(Event.DISPUTE_WON, {"amount": taken}, document)
        taken = 0
    if stage is Stage.LOST and taken:
        account.tell(f"the dispute of payment {receipt.number} is lost")
        again = _open_again(account, receipt, taken)
        account.post(
            Event.DISPUTE_LOST, {"receivable": again, "loss": taken - again, "disputed": taken}, document
        )
        taken, lost = 0, lost + taken
    if fee > kept:
        account.tell(f"the gateway keeps a fee of {account.money(fee - kept)} for a dispute")
        account.post(Event.DISPUTE_FEE_KEPT, {"fee": fee - kept}, document)
    elif fee < kept:
        account.tell(f"the gateway gives back a fee of {account.money(kept - fee)} for a dispute")
        account.post(Event.DISPUTE_FEE_RETURNED, {"fee": kept - fee}, document)
    collecting.judge(account)
    return Booked(taken, lost, fee)


def _open_again(account: AccountState, receipt: Receipt, amount: int) -> int:
    """Open again, by policy, what the payment had settled; how much of `amount` that is."""
    rest = amount if account.policy.refunds.lost_dispute == "open_invoice" else 0
    for part in receipt.applied:
        invoice = account.invoice(int(part.invoice))
        again = min(rest, part.amount, invoice.balance.kept)
        if again:
            invoice.balance = take_back(invoice.balance, again)
            rest -= again
    return (amount - rest) if account.policy.refunds.lost_dispute == "open_invoice" else 0
