"""Sales whose first payment never came in: nobody had anything for them, so nothing is owed for them."""

from __future__ import annotations

from collections.abc import Collection

from domain.account import collecting, corrections, media, voiding
from domain.account.buying import never_started
from domain.account.state import AccountState, Invoice
from domain.credit_placement import Destination
from domain.credits import BilledLine, credit_rest
from domain.receivables import InvoiceStatus


def take_back_sale(
    account: AccountState, subscription_ids: Collection[str], first: Invoice | None, reason: str
) -> None:
    """Take a sale out of the books: its invoice `first`, and what bills have charged for its subscriptions since, where
    weeks have passed until a debit came back. An invoice that is unpaid and charges nothing else is void; of any other
    what was charged for the sale is credited, which is account credit where it was paid. The subscriptions end as if
    they had never started; of what else the account owes dunning judges as before. A repetition changes nothing."""
    mine = [each for each in account.subscriptions.values() if each.terms.id in subscription_ids]
    items = {item.id for subscription in mine for item in subscription.terms.items}
    # The latest first: what is charged moves back step by step.
    for invoice in reversed(account.invoices):
        charged = [line for line in invoice.billed if invoice is first or line.item_id in items]
        if charged:
            _take_back(account, invoice, charged, reason)
    for subscription in mine:
        never_started(account, subscription)
    collecting.judge(account)


def _take_back(account: AccountState, invoice: Invoice, charged: list[BilledLine], reason: str) -> None:
    balance = invoice.balance
    if balance.status is InvoiceStatus.VOID:
        return
    if invoice.gift is not None:
        # Nobody can claim it any more.
        if account.gifts[invoice.gift].refunded_on is None:
            media.refund(account, invoice.gift)
        return
    if balance.status is InvoiceStatus.OPEN and len(charged) == len(invoice.billed):
        try:
            voiding.take_back(account, invoice.number, reason)
        except ValueError:
            pass  # it is paid or credited in part, or later bills have gone past its usage
        else:
            return
    rests = [credit_rest(line, account.credits) for line in charged if line.gross > 0]
    credits = [rest for rest in rests if rest is not None and rest.gross]
    corrections.give_back(account, credits, Destination.ACCOUNT_CREDIT, reason)
