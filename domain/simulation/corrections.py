"""Corrections in a simulation: credit notes, voids, write-offs and adjustments of finalised invoices (law 9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from domain import credit_notes
from domain.account_credit import Grant, Source, add_grant, expire, return_uses
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
from domain.received_payments import Payment, PaymentStatus
from domain.refunds import RefundRefused, refund, refund_limit
from domain.simulation import billing
from domain.simulation.spans import live_days
from domain.simulation.world import Invoice, Receipt, Subscription, World
from domain.voids import void
from domain.write_offs import write_off


_BY_USE = ("usage", "minimum")


def grant(world: World, amount: int, source: Source, what: str, expires_on: date | None = None) -> None:
    """Account credit of `amount` minor units, which expires as the policy says unless a day is given."""
    days = world.policy.credit_expires_after_days
    if expires_on is None and days is not None:
        expires_on = world.today + timedelta(days=days)
    world.credit = add_grant(world.credit, Grant(f"{what}", world.today, amount, source, expires_on))


def expire_credit(world: World) -> None:
    """Account credit that is gone today: breakage."""
    world.credit, movements = expire(world.credit, world.today)
    for movement in movements:
        world.tell(f"{world.money(movement.amount)} of account credit expired ({movement.grant})")
        world.post(Event.ACCOUNT_CREDIT_EXPIRED, {"amount": movement.amount}, movement.grant)


def delivery_days(world: World, line: BilledLine) -> list[date]:
    """The days on which issues of `line` are delivered: of printed products, where the scenario has a calendar."""
    if world.scenario.delivery is None or line.start is None or line.end is None:
        return []
    if line.product != world.scenario.delivery.edition:
        return []
    issues = issues_delivered(world.scenario.delivery, day_of(line.start), day_of(line.end))
    return [issue.delivered_on for issue in issues]


def split_off_credits(world: World, lines: Sequence[Line]) -> list[Line]:
    """Credit notes for the credits of finalised lines among `lines`; the lines that are left."""
    groups = waiting(lines)
    credits: list[CreditLine] = []
    rest: list[Waiting] = []
    for each in groups:
        if each.head.reference in world.revenue and each.head.amount <= 0:
            taxes = tuple(
                TaxAmount(line.reference or "", line.rate or ONE, line.amount) for line in each.lines[1:]
            )
            head = each.head
            credits.append(
                CreditLine(
                    head.reference or "", head.kind, head.period_start, head.period_end, head.amount, taxes
                )
            )
        else:
            rest.append(each)
    give_back(world, credits, Destination.ACCOUNT_CREDIT, "unused time", noted=True)
    return laid_out(rest)


def give_back(
    world: World, credits: Sequence[CreditLine], to: Destination, reason: str, *, noted: bool = False
) -> None:
    """A credit note for each invoice that `credits` correct. `noted`: they stand in the world's credits already."""
    by_invoice: dict[int, list[CreditLine]] = {}
    for credit in credits:
        found = world.billed_line(credit.corrects)
        if not credit.gross and not noted:
            world.credits.append(credit)
        elif found is not None:
            by_invoice.setdefault(found[0].number, []).append(credit)
    for number, lines in by_invoice.items():
        _note(world, world.invoice(number), lines, to, reason, noted=noted)


def _note(
    world: World, invoice: Invoice, lines: Sequence[CreditLine], to: Destination, reason: str, *, noted: bool
) -> None:
    number = len(world.credit_notes) + 1
    mine = list(world.credits)
    if noted:
        for line in lines:
            mine.remove(line)
    heading = credit_notes.Heading(f"CN-{number}", world.today, reason)
    note = credit_notes.credit_note(heading, invoice.billed, mine, lines)
    receipt = _last_payment(world, invoice)
    refundable = 0
    if to is Destination.REFUND and receipt is not None:
        refundable = refund_limit(receipt.payment, [invoice.balance])
    placed = place(invoice.balance, note.amount, to, refundable)
    deferred = sum(billing.take_off_schedule(world, line) for line in lines) if invoice.gift is None else 0
    invoice.balance = placed.balance
    world.credit_notes.append(note)
    world.tell(str(number), "credit_note")
    if not noted:
        world.credits += lines
    given = {"gift": -note.net} if invoice.gift else {"deferred": deferred, "revenue": -note.net - deferred}
    world.post(
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
        world.tell(f"{world.money(placed.to_account_credit)} of it became account credit")
        grant(world, placed.to_account_credit, Source.CREDIT_NOTE, f"credit note {number}")
    if placed.to_refund and receipt is not None:
        pay_back(world, receipt, [invoice], placed.to_refund)


def _last_payment(world: World, invoice: Invoice) -> Receipt | None:
    for receipt in reversed(world.receipts):
        if receipt.payment.status is PaymentStatus.SUCCEEDED and any(
            each.invoice == invoice.id for each in receipt.applied
        ):
            return receipt
    return None


def pay_back(world: World, receipt: Receipt, invoices: Sequence[Invoice], amount: int) -> None:
    """Refund `amount` of a payment for `invoices`, promised by credit notes before."""
    done = refund(receipt.payment, [invoice.balance for invoice in invoices], amount)
    receipt.payment = done.payment
    for invoice, balance in zip(invoices, done.balances, strict=True):
        invoice.balance = balance
    world.tell(f"{world.money(amount)} of payment {receipt.number} refunded")
    world.post(Event.REFUND_PAID, {"refund": amount, "clearing": amount}, f"payment {receipt.number}")


def write_credit_note(
    world: World, number: int, places: Sequence[int], amount: int | None, to: Destination, reason: str
) -> None:
    """A credit note on an invoice: over the lines at `places` (from 1), or of `amount`, or whole."""
    invoice = world.invoice(number)
    keys = [_line_at(invoice, place).key for place in places]
    if keys and amount is not None and len(keys) > 1:
        raise Refused("an amount can be credited on one line or on the whole invoice; name one line, or none")
    if keys:
        lines = credit_notes.by_line(invoice.billed, world.credits, dict.fromkeys(keys, amount))
    elif amount is not None:
        lines = credit_notes.by_amount(invoice.billed, world.credits, amount)
    else:
        lines = credit_notes.whole(invoice.billed, world.credits)
    _note(world, invoice, lines, to, reason, noted=False)


def _line_at(invoice: Invoice, place: int) -> BilledLine:
    """The charge at `place` of the lines as the report shows them, taxes left out."""
    shown = [line for line in invoice.lines if line.kind != "tax"]
    if place > len(shown):
        raise Refused(f"invoice {invoice.number} has {len(shown)} lines, so there is no line {place}")
    for line in invoice.billed:
        if line.key == shown[place - 1].charge_key:
            return line
    raise Refused(f"line {place} of invoice {invoice.number} is a {shown[place - 1].kind}, no charge")


def adjust_line(world: World, number: int, place: int, amount: int, reason: str) -> None:
    """A charge adjusted by `amount` minor units before tax: down by a credit note, up on the next invoice."""
    invoice = world.invoice(number)
    line = _line_at(invoice, place)
    done = adjust(line, world.credits, amount, reason).line
    if isinstance(done, ExtraCharge):
        text = f"adjustment|{world.new_id()}"
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
        world.pending.append(Waiting((extra,)))
    else:
        _note(world, invoice, [done], Destination.ACCOUNT_CREDIT, reason, noted=False)


def void_invoice(world: World, number: int, reason: str) -> None:
    """An open invoice taken back. Where it charged the last of a subscription, charged-through moves back with it
    (law I13), so that the next bill charges those days; usage on it is free to be billed again."""
    invoice = world.invoice(number)
    if invoice.gift is not None:
        raise Refused(f"invoice {number} is of a gift: refund the gift, so that nobody can claim it any more")
    done = void(invoice.balance, _all_lines(invoice), world.credits, world.today, reason)
    if done.used:
        world.credit, _ = return_uses(world.credit, f"invoice {number}", world.today)
        world.post(
            Event.INVOICE_CREDIT_RELEASED,
            {"receivable": done.used, "account_credit": done.used},
            f"invoice {number}",
        )
        expire_credit(world)
    charges = {line.key for line in invoice.billed}
    reversed_ = [line for line in done.lines if line.corrects in charges]
    deferred = sum(billing.take_off_schedule(world, line) for line in reversed_)
    back = [line for line in invoice.lines if is_credit(line)]
    net, tax = -sum(line.net for line in done.lines), -sum(line.tax for line in done.lines)
    for line in back:
        deferred += _put_back(world, line)
    world.post(
        Event.INVOICE_VOIDED,
        {"receivable": net + tax, "deferred": deferred, "revenue": net - deferred, "tax": tax},
        f"invoice {number}",
    )
    invoice.balance = done.balance
    world.tell(f"invoice {number} is void: {reason}")
    world.credits += reversed_
    _wait_again(world, invoice)
    _give_days_back(world, invoice)
    _retire_keys(world, invoice)


def _put_back(world: World, line: Line) -> int:
    """Take the credit `line` off the schedule again; what comes back to deferred revenue, negative as in a void."""
    books = world.revenue[line.reference or ""]
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
                TaxAmount(tax.reference or "", tax.rate or ONE, tax.amount)
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


def _wait_again(world: World, invoice: Invoice) -> None:
    """Put the credits that stood on a voided invoice on the next one: they are owed all the same."""
    for each in waiting(invoice.lines):
        if is_credit(each.head):
            text = f"{each.head.charge}|after void of {invoice.number}"
            head = replace(each.head, charge=text, charge_key=charge_key(each.head.reference or "", text))
            world.pending.append(Waiting((head, *each.lines[1:])))


def _give_days_back(world: World, invoice: Invoice) -> None:
    for subscription in world.subscriptions.values():
        ids = {item.id for item in subscription.terms.items}
        mine = [line for line in invoice.billed if line.item_id in ids]
        if subscription.terms.next_bill_on is not None:
            _give_charged_days_back(world, subscription, [line for line in mine if line.kind == "recurring"])
            _give_used_days_back(world, subscription, [line for line in mine if line.kind in _BY_USE])
    for record in world.usage:
        if record.billed == invoice.number:
            record.billed = None


def _give_charged_days_back(world: World, subscription: Subscription, mine: Sequence[BilledLine]) -> None:
    """Charged-through goes back before `mine`, the recurring lines of an invoice, unless other lines cover later days
    still, or a pause lies there."""
    starts = [day_of(line.start) for line in mine if line.start is not None]
    if not starts or _paused_after(subscription, min(starts)):
        return
    terms = subscription.terms
    keys = {line.key for line in mine}
    for line in world.history(subscription).recurring(terms.items):
        if line.key not in keys and any(end > min(starts) for _, end in live_days(line, world.credits)):
            return
    subscription.terms = replace(
        terms,
        charged_through=min(starts),
        next_bill_on=terms.next_bill_on and min(max(starts), terms.next_bill_on),
    )
    world.voided |= keys


def _give_used_days_back(world: World, subscription: Subscription, mine: Sequence[BilledLine]) -> None:
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
        world.voided |= {line.key for line in mine}


def _paused_after(subscription: Subscription, day: date) -> bool:
    return any(end is None or end > day for _, end in subscription.pauses)


def _retire_keys(world: World, invoice: Invoice) -> None:
    """Charge keys are unique among live lines (law I3): those of a voided invoice make room for the same charges."""

    def old(key: str) -> str:
        return f"{key} void {invoice.number}"

    keys = {line.key for line in invoice.billed}
    world.revenue = {old(key) if key in keys else key: books for key, books in world.revenue.items()}
    world.credits = [
        replace(each, corrects=old(each.corrects)) if each.corrects in keys else each
        for each in world.credits
    ]
    world.voided = {old(key) if key in keys else key for key in world.voided}
    invoice.billed = [replace(line, key=old(line.key)) for line in invoice.billed]
    invoice.lines = [replace(line, charge_key=old(line.charge_key)) for line in invoice.lines]


def give_up(world: World, invoice: Invoice, amount: int | None = None) -> None:
    """Write off what is open of `invoice`, or `amount` of it."""
    invoice.balance, given = write_off(invoice.balance, amount)
    world.tell(f"{world.money(given)} of invoice {invoice.number} written off")
    world.post(
        Event.INVOICE_WRITTEN_OFF, {"bad_debt": given, "receivable": given}, f"invoice {invoice.number}"
    )


def refund_payment(world: World, number: int | None, amount: int | None, reason: str) -> None:
    """Money of a payment back to the payer: the invoices that it paid are credited by that amount first."""
    receipt = _receipt(world, number)
    paid = [world.invoice(int(each.invoice)) for each in receipt.applied]
    limit = refund_limit(receipt.payment, [invoice.balance for invoice in paid])
    wanted = limit if amount is None else amount
    if not 0 < wanted <= limit:
        raise RefundRefused(f"at most {limit} minor units of payment {receipt.number} can be refunded")
    for invoice in paid:
        part = min(wanted, invoice.balance.kept, _left(world, invoice))
        if part > 0:
            lines = credit_notes.by_amount(invoice.billed, world.credits, part)
            _note(world, invoice, lines, Destination.REFUND, reason, noted=False)
            wanted -= part
    if wanted:
        raise RefundRefused(
            f"{wanted} minor units were credited to the customer already; grant or use those instead"
        )


def _left(world: World, invoice: Invoice) -> int:
    rest = credit_notes.whole(invoice.billed, world.credits)
    return -sum(line.gross for line in rest)


def _receipt(world: World, number: int | None) -> Receipt:
    if number is not None:
        if not 0 < number <= len(world.receipts):
            raise Refused(f"there is no payment {number} at this point")
        return world.receipts[number - 1]
    for receipt in reversed(world.receipts):
        if receipt.payment.status is PaymentStatus.SUCCEEDED:
            return receipt
    raise Refused("no payment has succeeded so far, so there is nothing to refund")


def as_payment(world: World, amount: int, status: PaymentStatus) -> Payment:
    """A payment of the account with the next number."""
    return Payment(f"payment {len(world.receipts) + 1}", world.currency, amount, status)
