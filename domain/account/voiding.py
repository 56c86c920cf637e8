"""Voids: an open invoice is taken back whole (law 9), and what it charged can be billed again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from domain.account import billing, corrections
from domain.account.spans import live_days, moved_days
from domain.account.state import AccountState, Invoice, Subscription
from domain.account_credit import return_uses
from domain.amendments import Refused
from domain.charge_key import charge_key
from domain.credits import BilledLine, CreditLine, TaxAmount
from domain.ledger_events import Event
from domain.lines import ONE, Line
from domain.pending import Waiting, waiting
from domain.proration import day_of
from domain.voids import void

_BY_USE = ("usage", "minimum")


def take_back(account: AccountState, number: int, reason: str) -> None:
    """An open invoice taken back. Where it charged the last of a subscription, charged-through moves back with it
    (law I13), so that the next bill charges those days; usage on it is free to be billed again."""
    invoice = account.invoice(number)
    for subscription in account.subscriptions.values():
        _refuse_past_usage(subscription, invoice)
    if invoice.gift is not None:
        raise Refused(f"invoice {number} is of a gift: refund the gift, so that nobody can claim it any more")
    done = void(invoice.balance, _all_lines(invoice), account.credits, account.today, reason)
    if done.used:
        account.credit, _ = return_uses(account.credit, f"invoice {number}", account.today)
        account.post(
            Event.INVOICE_CREDIT_RELEASED,
            {"receivable": done.used, "account_credit": done.used},
            f"invoice {number}",
        )
        corrections.expire_credit(account)
    charges = {line.key for line in invoice.billed}
    reversed_ = [line for line in done.lines if line.corrects in charges]
    deferred = sum(billing.take_off_schedule(account, line) for line in reversed_)
    back = [line for line in invoice.lines if is_credit(line)]
    net, tax = -sum(line.net for line in done.lines), -sum(line.tax for line in done.lines)
    for line in back:
        deferred += _put_back(account, line)
    account.post(
        Event.INVOICE_VOIDED,
        {"receivable": net + tax, "deferred": deferred, "revenue": net - deferred, "tax": tax},
        f"invoice {number}",
    )
    invoice.balance = done.balance
    account.tell(f"invoice {number} is void: {reason}")
    account.credits += reversed_
    _wait_again(account, invoice)
    _give_days_back(account, invoice)
    _retire_keys(account, invoice)


def _refuse_past_usage(subscription: Subscription, invoice: Invoice) -> None:
    """Usage is asked for again only by the bill that follows the last one."""
    ids = {item.id for item in subscription.terms.items}
    ends = [
        day_of(line.end)
        for line in invoice.billed
        if line.item_id in ids and line.kind in _BY_USE and line.end is not None
    ]
    if ends and max(ends) < subscription.terms.arrears_through:
        raise Refused(
            f"invoice {invoice.number} charges usage, and later invoices have gone past it: write a credit note instead"
        )


def _put_back(account: AccountState, line: Line) -> int:
    """Take the credit `line` off the schedule again; what comes back to deferred revenue, negative as in a void."""
    books = account.revenue[line.reference or ""]
    credits = list(books.schedule.credits)
    credits.remove(next(each for each in reversed(credits) if each.amount == -line.amount))
    books.schedule = replace(books.schedule, credits=tuple(credits))
    return line.amount


def _all_lines(invoice: Invoice) -> list[BilledLine]:
    """The charges of an invoice and the credits on it, each with its tax: a void takes all of it back."""
    credits = [
        BilledLine(
            line.charge_key,
            invoice.id,
            line.kind,
            line.category,
            line.item_id,
            line.price_id,
            line.part,
            line.period_start,
            line.period_end,
            line.quantity,
            line.amount,
            tuple(
                TaxAmount(tax.reference or "", ONE if tax.rate is None else tax.rate, tax.amount)
                for tax in invoice.lines
                if tax.kind == "tax" and tax.parent == place
            ),
        )
        for place, line in enumerate(invoice.lines)
        if is_credit(line)
    ]
    return [*invoice.billed, *credits]


def is_credit(line: Line) -> bool:
    """Whether a line on an invoice gives back what another one charged."""
    return line.kind in ("unused_credit", "delivery_credit") or (
        line.kind == "adjustment" and line.amount < 0
    )


def _wait_again(account: AccountState, invoice: Invoice) -> None:
    """Put the credits that stood on a voided invoice on the next one: they are owed all the same."""
    for each in waiting(invoice.lines):
        if is_credit(each.head):
            text = f"{each.head.charge}|after void of {invoice.number}"
            head = replace(each.head, charge=text, charge_key=charge_key(each.head.reference or "", text))
            account.pending.append(Waiting((head, *each.lines[1:])))


def _give_days_back(account: AccountState, invoice: Invoice) -> None:
    for subscription in account.subscriptions.values():
        ids = {item.id for item in subscription.terms.items}
        mine = [line for line in invoice.billed if line.item_id in ids]
        if subscription.terms.next_bill_on is not None:
            _give_charged_days_back(
                account, subscription, [line for line in mine if line.kind == "recurring"]
            )
            _give_used_days_back(account, subscription, [line for line in mine if line.kind in _BY_USE])
    for record in account.usage:
        if record.billed == invoice.number:
            record.billed = None


def _give_charged_days_back(
    account: AccountState, subscription: Subscription, mine: Sequence[BilledLine]
) -> None:
    """Charged-through goes back before `mine`, the recurring lines of an invoice, unless other lines cover later days
    still, or a pause lies there."""
    starts = [
        moved_days((day_of(line.start), day_of(line.end)), line, subscription.moved)[0][0]
        for line in mine
        if line.start is not None and line.end is not None
    ]
    if not starts or _paused_after(subscription, min(starts)):
        return
    terms = subscription.terms
    keys = {line.key for line in mine}
    for line in account.history(subscription).recurring(terms.items):
        if line.key in keys:
            continue
        for span in live_days(line, account.credits):
            if any(end > min(starts) for _, end in moved_days(span, line, subscription.moved)):
                return
    subscription.terms = replace(
        terms,
        charged_through=min(starts),
        next_bill_on=terms.next_bill_on and min(max(starts), terms.next_bill_on),
    )
    account.voided |= keys


def _give_used_days_back(
    account: AccountState, subscription: Subscription, mine: Sequence[BilledLine]
) -> None:
    """What was used in the time of `mine`, the usage lines of an invoice, is asked for again by the next bill, in the
    same windows."""
    spans = [(day_of(line.start), day_of(line.end)) for line in mine if line.start and line.end]
    if not spans:
        return
    since, until = min(start for start, _ in spans), max(end for _, end in spans)
    terms = subscription.terms
    if terms.arrears_through == until and not _paused_after(subscription, since):
        subscription.terms = replace(
            terms, arrears_through=since, next_bill_on=terms.next_bill_on and min(until, terms.next_bill_on)
        )
        account.voided |= {line.key for line in mine}


def _paused_after(subscription: Subscription, day: date) -> bool:
    return any(end is None or end > day for _, end in subscription.pauses)


def _retire_keys(account: AccountState, invoice: Invoice) -> None:
    """Charge keys are unique among live lines (law I3): those of a voided invoice make room for the same charges."""

    def old(key: str) -> str:
        return f"{key} void {invoice.number}"

    keys = {line.key for line in invoice.billed}
    account.revenue = {old(key) if key in keys else key: books for key, books in account.revenue.items()}

    def renamed(credit: CreditLine) -> CreditLine:
        return replace(credit, corrects=old(credit.corrects)) if credit.corrects in keys else credit

    account.credits = [renamed(each) for each in account.credits]
    account.credit_notes = [
        replace(note, lines=tuple(renamed(each) for each in note.lines)) for note in account.credit_notes
    ]
    account.voided = {old(key) if key in keys else key for key in account.voided}
    for subscription in account.subscriptions.values():
        subscription.moved = [
            move
            if move.lines is None
            else replace(move, lines=tuple(old(key) if key in keys else key for key in move.lines))
            for move in subscription.moved
        ]
    invoice.billed = [replace(line, key=old(line.key)) for line in invoice.billed]
    invoice.lines = [replace(line, charge_key=old(line.charge_key)) for line in invoice.lines]
