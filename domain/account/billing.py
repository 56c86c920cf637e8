"""Billing of an account: what is due and what waits becomes an invoice, through the functions of the bill run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import NamedTuple

from domain.account import corrections
from domain.account.state import AccountState, Books, Invoice, Subscription, UsageRecord
from domain.account_credit import balance_on, use
from domain.credits import CreditLine
from domain.dunning import blocked
from domain.dunning_policy import Blocked
from domain.invoice_lines import billed_lines, credit_lines
from domain.invoices import Draft, Payer
from domain.ledger import settle
from domain.ledger_events import Event
from domain.lines import Line
from domain.pending import Waiting, laid_out, shortened
from domain.periods import start_of_day
from domain.rating import Usage, UsageKey, Window, rate_subscription, usage_windows
from domain.receivables import Balance, use_credit
from domain.revenue import credit_of, earned_at_issue, last_document, schedule_of, split_credit, with_credit
from domain.subscription_terms import SubscriptionTerms
from domain.tax import Rounding, TaxPolicy


def payer(account: AccountState) -> Payer:
    """The account as invoices need it."""
    tax = account.terms.tax
    policy = TaxPolicy(tax.inclusive, tax.treatment, Rounding(account.policy.tax_rounding))
    days = account.terms.payment_terms_days
    if days is None:
        days = account.policy.payment_terms_days
    return Payer(account.id, account.mode, account.currency, tax.region, False, days, policy)


def take_credits(account: AccountState, credits: Sequence[CreditLine]) -> list[CreditLine]:
    """Take the credits of an amendment off what waits. The answer are those of finalised lines, which the caller puts
    on the next invoice or a credit note."""
    waits = {each.head.charge_key for each in account.pending}
    account.pending = shortened(account.pending, [credit for credit in credits if credit.corrects in waits])
    return [credit for credit in credits if credit.corrects not in waits]


def credit_next(account: AccountState, credits: Sequence[CreditLine], cause: str) -> None:
    """Put `credits` of finalised lines on the next invoice."""
    for credit in credits:
        found = account.billed_line(credit.corrects)
        if found is not None:
            account.credits.append(credit)
        if found is not None and (credit.net or credit.tax):
            account.pending.append(Waiting(tuple(credit_lines(credit, found[1], cause))))


class Used(NamedTuple):
    """What was used and is not billed: by the windows that rating asks for, and the records behind it."""

    answer: dict[UsageKey, Decimal | Usage]
    records: list[UsageRecord]


def used_by(account: AccountState, terms: SubscriptionTerms, as_of: date) -> Used:
    """What was used under `terms` in the windows that are due on `as_of`."""
    found = Used({}, [])
    for window in usage_windows(account.book, account.currency, terms, as_of):
        records = _within(account, window)
        if records:
            events = tuple(record.quantity for record in records)
            key = window.item_id, window.meter, window.until
            found.answer[key] = Usage(sum(events, Decimal(0)), events)
            found.records.extend(records)
    return found


def wait_with(used: Used) -> None:
    """Note that the charges for `used` wait for the next invoice."""
    for record in used.records:
        record.billed = 0


def _within(account: AccountState, window: Window) -> list[UsageRecord]:
    first = start_of_day(window.since, account.zone) if window.since is not None else None
    last = start_of_day(window.until, account.zone)
    return sorted(
        (
            record
            for record in account.usage
            if (record.item_id, record.meter) == (window.item_id, window.meter)
            and record.billed is None
            and record.at < last
            and (first is None or record.at >= first)
        ),
        key=lambda record: record.at,
    )


def bill(account: AccountState, day: date) -> Invoice | None:
    """One bill run as of `day`: what is due of every subscription and what waits, on one invoice. None when nothing is
    due, or when dunning blocks billing. What comes to less than nothing is credited, not invoiced."""
    if blocked(account.policy.dunning, account.dunning[-1][1], Blocked.BILLING):
        return None
    lines = laid_out(account.pending)
    moves = []
    used = [record for record in account.usage if record.billed == 0]
    for subscription in account.subscriptions.values():
        as_of = _unchanged_until(subscription, day)
        found = used_by(account, subscription.terms, as_of)
        rated = rate_subscription(account.book, account.currency, subscription.terms, as_of, found.answer)
        if rated is None:
            continue
        used += found.records
        base = len(lines)
        for line in rated.lines:
            lines.append(line if line.parent is None else replace(line, parent=line.parent + base))
        moves.append((subscription, rated))
    for subscription, rated in moves:
        subscription.terms = replace(
            subscription.terms,
            charged_through=rated.charged_through,
            arrears_through=rated.arrears_through,
            next_bill_on=rated.next_bill_on,
        )
    account.pending = []
    for record in used:
        record.billed = len(account.invoices) + 1
    return issue(account, lines) if lines else None


def _unchanged_until(subscription: Subscription, day: date) -> date:
    """`day`, or the last day before a change of interval that waits: what is charged from then on is not known yet."""
    if subscription.later is None or subscription.later[0] > day:
        return day
    return subscription.later[0] - timedelta(days=1)


def issue(account: AccountState, lines: list[Line]) -> Invoice | None:
    """An invoice of `lines`, dated the billing day: taxed, numbered, posted, account credit used on it. When the
    credits among the lines are more than the charges, they become credit notes first, and the charges an invoice that
    uses them."""
    draft = Draft("", payer(account), account.billing_day, list(lines))
    account.put_tax(draft)
    if sum(line.amount for line in draft.lines) < 0:
        charges = corrections.split_off_credits(account, lines)
        if not charges:
            return None
        if len(charges) < len(lines):
            return issue(account, charges)
    return finalise(account, draft)


def finalise(account: AccountState, draft: Draft) -> Invoice:
    """Number and post a taxed draft, and use account credit on it."""
    deferred = earned_at_issue(draft.lines, account.billing_day) | _take_off_schedules(account, draft.lines)
    draft.subtotal, draft.tax, postings = settle(draft.lines, deferred)
    number = len(account.invoices) + 1
    balance = Balance(str(number), account.currency, draft.total, draft.due_on)
    invoice = Invoice(
        number,
        account.billing_day,
        draft.lines,
        billed_lines(str(number), draft.lines),
        draft.subtotal,
        draft.tax,
        balance,
    )
    account.invoices.append(invoice)
    account.tell(invoice.id, "invoice")
    moved = {posting.account: posting.credit - posting.debit for posting in postings}
    if moved:
        account.post(
            Event.INVOICE_FINALISED,
            {
                "receivable": draft.total,
                "deferred": moved.get("deferred_revenue", 0),
                "revenue": moved.get("revenue", 0),
                "tax": draft.tax,
            },
            f"invoice {number}",
            on=account.billing_day,
        )
    for line in invoice.billed:
        schedule = schedule_of(
            line,
            currency=account.currency,
            billed_on=account.billing_day,
            deliveries=corrections.delivery_days(account, line),
        )
        account.revenue[line.key] = Books(schedule, 0 if schedule.deferred else line.net)
    apply_credit(account, invoice)
    return invoice


def _take_off_schedules(account: AccountState, lines: Sequence[Line]) -> dict[int, int]:
    """What of each credit on the invoice is deferred revenue, by its place, after taking it off its schedule."""
    deferred: dict[int, int] = {}
    for place, line in enumerate(lines):
        if (
            line.reference is None
            or line.reference not in account.revenue
            or line.kind in ("discount", "tax")
        ):
            continue
        if line.amount > 0:
            continue
        credit = CreditLine(line.reference, line.kind, line.period_start, line.period_end, line.amount)
        deferred[place] = -take_off_schedule(account, credit)
    return deferred


def take_off_schedule(account: AccountState, credit: CreditLine) -> int:
    """Take `credit` off the schedule of its line; how much of it was deferred still, minor units. A line billed ahead
    is earned from the day of its invoice on, and given back by that day at the earliest."""
    books = account.revenue[credit.corrects]
    given = credit_of(credit, max(account.billing_day, last_document(books.schedule)))
    split = split_credit(books.schedule, given, books.recognised)
    books.schedule = with_credit(books.schedule, given)
    books.recognised -= split.earned
    return split.deferred


def apply_credit(account: AccountState, invoice: Invoice) -> None:
    """Use account credit, oldest first, on what is open of `invoice`."""
    if invoice.balance.open <= 0 or not balance_on(account.credit, account.today):
        return
    account.credit, used = use(
        account.credit, f"invoice {invoice.number}", invoice.balance.open, account.today
    )
    if used:
        invoice.balance = use_credit(invoice.balance, used)
        account.tell(f"{account.money(used)} of account credit used on invoice {invoice.number}")
        account.post(Event.ACCOUNT_CREDIT_USED, {"amount": used}, f"invoice {invoice.number}")
