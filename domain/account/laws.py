"""The laws of the books over an account: what `masthead verify` asks of a database, asked of the memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime

from domain.account.spans import credited_days, live_days, moved_days, without
from domain.account.state import AccountState, Subscription
from domain.account_credit import balance_on
from domain.coverage import Days, cover
from domain.credits import left_of
from domain.ledger import ACCOUNT_CREDIT, DEFERRED, RECEIVABLE, REFUNDS_PAYABLE
from domain.ledger_events import trial_balance
from domain.periods import start_of_day
from domain.proration import Moment
from domain.subscription_terms import Item
from domain.subscriptions import State


def broken_laws(account: AccountState) -> list[str]:
    """Every law that does not hold, with the place; none when the books are sound."""
    return [*_documents(account), *_controls(account), *_credits(account), *uncovered(account)]


def _documents(account: AccountState) -> Iterator[str]:
    keys: set[str] = set()
    for place, invoice in enumerate(account.invoices, 1):
        if invoice.number != place:
            yield f"I4: invoice {invoice.number} stands in place {place}"
        total = sum(line.amount for line in invoice.lines)
        if total != invoice.total or invoice.balance.total != total:
            yield f"I9: the lines of invoice {invoice.number} come to {total}, not {invoice.total}"
        for line in [] if invoice.balance.voided else invoice.lines:
            if line.charge_key in keys:
                yield f"I3: invoice {invoice.number} charges {line.charge} again"
            keys.add(line.charge_key)
        if invoice.balance.open < 0:
            yield f"invoice {invoice.number} is settled by more than its total"


def _controls(account: AccountState) -> Iterator[str]:
    for entry in account.journal:
        if sum(each.debit - each.credit for each in entry.postings):
            yield f"I1: the entry of {entry.document} does not balance"
    books = trial_balance(account.journal).get(account.currency, {})
    for code, expected in (
        (RECEIVABLE, sum(invoice.balance.open for invoice in account.invoices)),
        (ACCOUNT_CREDIT, -balance_on(account.credit, account.today)),
        (REFUNDS_PAYABLE, 0),
        (DEFERRED, -_deferred(account)),
    ):
        if books.get(code, 0) != expected:
            yield f"I2: {code} stands at {books.get(code, 0)}, and its documents at {expected}"


def _deferred(account: AccountState) -> int:
    return sum(books.schedule.left - books.recognised for books in account.revenue.values())


def _credits(account: AccountState) -> Iterator[str]:
    for invoice in account.invoices:
        for line in invoice.billed:
            left = left_of(line, account.credits)
            if left.net * line.net < 0 or left.tax * line.tax < 0 or abs(left.net) > abs(line.net):
                yield f"law 5: {left.net} is left of {line.net} billed on invoice {invoice.number}"


def uncovered(account: AccountState) -> Iterator[str]:
    """I13: the days of each subscription item that are not covered once."""
    for subscription in account.subscriptions.values():
        for item in subscription.terms.items:
            yield from _covered(account, subscription, item)


def _covered(account: AccountState, subscription: Subscription, item: Item) -> Iterator[str]:
    """I13: each day of `item` from its start to charged-through, once: by a charge, a trial or a pause, or else by time
    that was credited."""
    terms = subscription.terms
    version = account.book.version(item.plan, item.plan_version, account.currency)
    if not any(phase.advance for phase in version.phases):
        return
    if item.end is not None and _instant(item.end, account) <= _instant(item.start, account):
        return
    until = terms.charged_through
    for end in (item.ends_on, terms.ends_on):
        if end is not None and end < until:
            until = end
    if subscription.terms.status is State.PAUSED:
        until = min(until, subscription.pauses[-1][0])
    live: set[Days] = set()
    credited: set[Days] = set()
    for line in account.history(subscription).recurring([item]):
        if line.start is None:
            continue
        for gone in credited_days(line, account.credits):
            credited |= set(moved_days(gone, line, subscription.moved))
        for span in live_days(line, account.credits):
            live |= set(moved_days(span, line, subscription.moved))
    for gap in _idle(subscription, account.today):
        live |= {(max(gap[0], item.starts_on), gap[1])} if gap[1] > item.starts_on else set()
    since = max(item.starts_on, subscription.opening_on or item.starts_on)
    found = cover(since, until, [span for span in live if span[0] < span[1]])
    where = f"of {item.plan} in subscription {subscription.name!r}"
    for start, end in found.double:
        yield f"I13: {start} to {end} {where} is covered twice"
    for start, end in found.missing:
        rest = [(start, end)]
        for gone in credited:
            rest = [piece for span in rest for piece in without(span, gone)]
        for since, last in rest:
            yield f"I13: {since} to {last} {where} is not covered"


def _instant(moment: Moment, account: AccountState) -> datetime:
    """As it lies in the account's time zone now, which may not be the one that it was written down in."""
    return moment if isinstance(moment, datetime) else start_of_day(moment, account.zone)


def _idle(subscription: Subscription, today: date) -> Iterator[Days]:
    terms = subscription.terms
    if terms.trial_ends_on is not None:
        yield terms.starts_on, terms.trial_ends_on
    for start, end in subscription.pauses:
        yield start, end or max(today, start)
