"""Corrections of an account's documents: credit notes, voids, write-offs, adjustments of what is finalised (law 9)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from domain import credit_notes
from domain.account import billing
from domain.account.state import AccountState, Invoice, Promise, Receipt
from domain.account_credit import Grant, Source, add_grant, expire
from domain.adjustments import ExtraCharge, adjust
from domain.amendments import Refused
from domain.charge_key import charge_key
from domain.credit_placement import Destination, place
from domain.credits import BilledLine, CreditLine, TaxAmount
from domain.ledger_events import Event
from domain.lines import ONE, Line
from domain.media.deliveries import issues_delivered
from domain.pending import Waiting, laid_out, waiting
from domain.proration import day_of
from domain.received_payments import Application, Payment, PaymentStatus
from domain.refunds import RefundRefused, refund, refund_limit
from domain.write_offs import write_off


def grant(
    account: AccountState, amount: int, source: Source, what: str, expires_on: date | None = None
) -> None:
    """Account credit of `amount` minor units, which expires as the policy says unless a day is given."""
    days = account.policy.credit_expires_after_days
    if expires_on is None and days is not None:
        expires_on = account.today + timedelta(days=days)
    account.credit = add_grant(account.credit, Grant(f"{what}", account.today, amount, source, expires_on))


def expire_credit(account: AccountState) -> None:
    """Account credit that is gone today: breakage."""
    account.credit, movements = expire(account.credit, account.today)
    for movement in movements:
        account.tell(f"{account.money(movement.amount)} of account credit expired ({movement.grant})")
        account.post(Event.ACCOUNT_CREDIT_EXPIRED, {"amount": movement.amount}, movement.grant)


def delivery_days(account: AccountState, line: BilledLine) -> list[date]:
    """The days on which issues of `line` are delivered: of printed products, where the scenario has a calendar."""
    if account.rules.delivery is None or line.start is None or line.end is None:
        return []
    if line.product != account.rules.delivery.edition:
        return []
    issues = issues_delivered(account.rules.delivery, day_of(line.start), day_of(line.end))
    return [issue.delivered_on for issue in issues]


def split_off_credits(account: AccountState, lines: Sequence[Line]) -> list[Line]:
    """Credit notes for the credits of finalised lines among `lines`; the lines that are left."""
    groups = waiting(lines)
    credits: list[CreditLine] = []
    rest: list[Waiting] = []
    for each in groups:
        if each.head.reference in account.revenue and each.head.amount <= 0:
            taxes = tuple(
                TaxAmount(line.reference or "", ONE if line.rate is None else line.rate, line.amount)
                for line in each.lines[1:]
            )
            head = each.head
            credits.append(
                CreditLine(
                    head.reference or "", head.kind, head.period_start, head.period_end, head.amount, taxes
                )
            )
        else:
            rest.append(each)
    give_back(account, credits, Destination.ACCOUNT_CREDIT, "unused time", noted=True)
    return laid_out(rest)


def give_back(
    account: AccountState, credits: Sequence[CreditLine], to: Destination, reason: str, *, noted: bool = False
) -> None:
    """A credit note for each invoice that `credits` correct. `noted`: they stand in the account's credits already."""
    by_invoice: dict[int, list[CreditLine]] = {}
    for credit in credits:
        found = account.billed_line(credit.corrects)
        if not credit.gross and not noted:
            account.credits.append(credit)
        elif found is not None:
            by_invoice.setdefault(found[0].number, []).append(credit)
    for number, lines in by_invoice.items():
        _note(account, account.invoice(number), lines, to, reason, noted=noted)


def _note(
    account: AccountState,
    invoice: Invoice,
    lines: Sequence[CreditLine],
    to: Destination,
    reason: str,
    *,
    noted: bool,
    receipt: Receipt | None = None,
) -> None:
    """`receipt`: the payment that is refunded, else the last one of the invoice that succeeded."""
    number = len(account.credit_notes) + 1
    mine = list(account.credits)
    if noted:
        for line in lines:
            mine.remove(line)
    heading = credit_notes.Heading(f"CN-{number}", account.today, reason)
    note = credit_notes.credit_note(heading, invoice.billed, mine, lines)
    receipt = receipt or _last_payment(account, invoice)
    refundable = 0
    if to is Destination.REFUND and receipt is not None:
        refundable = refund_limit(receipt.payment, [invoice.balance])
    placed = place(invoice.balance, note.amount, to, refundable)
    deferred = sum(billing.take_off_schedule(account, line) for line in lines) if invoice.gift is None else 0
    invoice.balance = placed.balance
    account.credit_notes.append(note)
    account.tell(str(number), "credit_note")
    if not noted:
        account.credits += lines
    given = {"gift": -note.net} if invoice.gift else {"deferred": deferred, "revenue": -note.net - deferred}
    account.post(
        Event.CREDIT_NOTE_ISSUED,
        {
            **given,
            "tax": -note.tax,
            "receivable": placed.to_open,
            "account_credit": placed.to_account_credit,
            "refund": placed.to_refund,
            "bad_debt": placed.to_written_off,
        },
        f"credit note {number}",
    )
    if placed.to_account_credit:
        account.tell(f"{account.money(placed.to_account_credit)} of it became account credit")
        grant(account, placed.to_account_credit, Source.CREDIT_NOTE, f"credit note {number}")
    if placed.to_refund and receipt is not None:
        pay_back(account, receipt, [invoice], placed.to_refund, reason)


def _last_payment(account: AccountState, invoice: Invoice) -> Receipt | None:
    for receipt in reversed(account.receipts):
        if receipt.payment.status is PaymentStatus.SUCCEEDED and any(
            each.invoice == invoice.id for each in receipt.applied
        ):
            return receipt
    return None


def pay_back(
    account: AccountState, receipt: Receipt, invoices: Sequence[Invoice], amount: int, reason: str
) -> None:
    """Refund `amount` of a payment for `invoices`, promised by credit notes before. Of a live account it stays promised
    until whoever pays it has done so, see `domain.account.refunding`."""
    done = refund(receipt.payment, [invoice.balance for invoice in invoices], amount)
    parts = tuple(
        Application(invoice.id, balance.refunded - invoice.balance.refunded)
        for invoice, balance in zip(invoices, done.balances, strict=True)
        if balance.refunded > invoice.balance.refunded
    )
    receipt.payment = done.payment
    for invoice, balance in zip(invoices, done.balances, strict=True):
        invoice.balance = balance
    account.promised.append(Promise(receipt.number, amount, parts, reason, paid=account.collected))
    if not account.collected:
        account.tell(f"{account.money(amount)} of payment {receipt.number} is to be refunded")
        return
    account.tell(f"{account.money(amount)} of payment {receipt.number} refunded")
    account.post(Event.REFUND_PAID, {"refund": amount, "clearing": amount}, f"payment {receipt.number}")


def write_credit_note(
    account: AccountState,
    number: int,
    places: Sequence[int],
    amount: int | None,
    to: Destination,
    reason: str,
) -> None:
    """A credit note on an invoice: over the lines at `places` (from 1), or of `amount`, or whole."""
    invoice = account.invoice(number)
    keys = [_line_at(invoice, place).key for place in places]
    if amount is not None and len(set(keys)) > 1:
        raise Refused("an amount can be credited on one line or on the whole invoice; name one line, or none")
    if keys:
        lines = credit_notes.by_line(invoice.billed, account.credits, dict.fromkeys(keys, amount))
    elif amount is not None:
        lines = credit_notes.by_amount(invoice.billed, account.credits, amount)
    else:
        lines = credit_notes.whole(invoice.billed, account.credits)
    _note(account, invoice, lines, to, reason, noted=False)


def _line_at(invoice: Invoice, place: int) -> BilledLine:
    """The charge at `place` of the lines as the report shows them, taxes left out."""
    shown = [line for line in invoice.lines if line.kind != "tax"]
    if place > len(shown):
        raise Refused(f"invoice {invoice.number} has {len(shown)} lines, so there is no line {place}")
    for line in invoice.billed:
        if line.key == shown[place - 1].charge_key:
            return line
    raise Refused(f"line {place} of invoice {invoice.number} is a {shown[place - 1].kind}, no charge")


def adjust_line(account: AccountState, number: int, place: int, amount: int, reason: str) -> None:
    """A charge adjusted by `amount` minor units before tax: down by a credit note, up on the next invoice."""
    invoice = account.invoice(number)
    line = _line_at(invoice, place)
    done = adjust(line, account.credits, amount, reason).line
    if isinstance(done, ExtraCharge):
        text = f"adjustment|{account.new_id()}"
        extra = Line(
            "adjustment",
            done.item_id,
            done.price_id,
            done.product,
            done.start,
            done.end,
            ONE,
            done.net,
            None,
            done.corrects,
            None,
            charge_key(line.key, text),
            text,
            done.category,
        )
        account.pending.append(Waiting((extra,)))
    else:
        _note(account, invoice, [done], Destination.ACCOUNT_CREDIT, reason, noted=False)


def give_up(account: AccountState, invoice: Invoice, amount: int | None = None) -> None:
    """Write off what is open of `invoice`, or `amount` of it."""
    invoice.balance, given = write_off(invoice.balance, amount)
    account.tell(f"{account.money(given)} of invoice {invoice.number} written off")
    account.post(
        Event.INVOICE_WRITTEN_OFF, {"bad_debt": given, "receivable": given}, f"invoice {invoice.number}"
    )


def refund_payment(account: AccountState, number: int | None, amount: int | None, reason: str) -> None:
    """Money of a payment back to the payer: the invoices that it paid are credited by that amount first."""
    receipt = _receipt(account, number)
    paid = [account.invoice(int(each.invoice)) for each in receipt.applied]
    limit = refund_limit(receipt.payment, [invoice.balance for invoice in paid])
    wanted = limit if amount is None else amount
    if not 0 < wanted <= limit:
        raise RefundRefused(f"at most {limit} minor units of payment {receipt.number} can be refunded")
    for invoice in paid:
        part = min(wanted, invoice.balance.kept, _left(account, invoice))
        if part > 0:
            lines = credit_notes.by_amount(invoice.billed, account.credits, part)
            _note(account, invoice, lines, Destination.REFUND, reason, noted=False, receipt=receipt)
            wanted -= part
    if wanted:
        raise RefundRefused(
            f"{wanted} minor units were credited to the customer already; grant or use those instead"
        )


def _left(account: AccountState, invoice: Invoice) -> int:
    rest = credit_notes.whole(invoice.billed, account.credits)
    return -sum(line.gross for line in rest)


def _receipt(account: AccountState, number: int | None) -> Receipt:
    if number is not None:
        if not 0 < number <= len(account.receipts):
            raise Refused(f"there is no payment {number} at this point")
        return account.receipts[number - 1]
    for receipt in reversed(account.receipts):
        if receipt.payment.status is PaymentStatus.SUCCEEDED:
            return receipt
    raise Refused("no payment has succeeded so far, so there is nothing to refund")


def as_payment(account: AccountState, amount: int, status: PaymentStatus) -> Payment:
    """A payment of the account with the next number."""
    return Payment(f"payment {len(account.receipts) + 1}", account.currency, amount, status)
