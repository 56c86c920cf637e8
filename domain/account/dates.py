"""What is dated for an account: the next day on which something changes by itself, and what its next bill needs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from domain.account.media import issues_to_credit
from domain.account.state import AccountState, Subscription
from domain.account_credit import balance_on
from domain.amendments import running_items
from domain.periods import boundary
from domain.subscriptions import State, state_on
from domain.tax import Treatment


def next_dated(account: AccountState, subscription: Subscription) -> date | None:
    """The first local day after today on which the subscription changes by itself: it starts, a trial or an intro ends,
    a change or the end of a pause comes, it ends. None when it is quiet; a plain renewal is no change."""
    return min((day for day in _dated(account, subscription) if day > account.today), default=None)


def _dated(account: AccountState, subscription: Subscription) -> Iterator[date]:
    terms = subscription.terms
    if terms.status in (State.CANCELED, State.EXPIRED):
        return
    if terms.ends_on is not None:
        if terms.ends_on <= account.today:
            return
        yield terms.ends_on
    if subscription.resumes_on is not None:
        yield subscription.resumes_on
    if terms.status is State.PAUSED:
        return
    if subscription.later is not None:
        yield subscription.later[0]
    yield terms.starts_on
    if terms.trial_ends_on is not None:
        yield terms.trial_ends_on
    for item in running_items(terms, account.today):
        yield item.starts_on
        version = account.book.version(item.plan, item.plan_version, account.currency)
        had = -item.phase_shift
        for phase in version.phases:
            if phase.periods is not None:
                had += phase.periods
                yield boundary(terms.anchor, terms.interval, had)


def recorded_status(account: AccountState, subscription: Subscription) -> State:
    """Its state today as its row has it: canceled only where a cancel took effect at once."""
    terms = subscription.terms
    return state_on(
        terms.status,
        starts_on=terms.starts_on,
        trial_ends_on=terms.trial_ends_on,
        ends_on=terms.ends_on,
        day=account.today,
    )


def billed_whole(account: AccountState) -> bool:
    """Whether the next bill needs all of the account: what waits, credit in hand, dunning, a pause or a change that
    ends by itself, holiday stops, a tax of its own kind. Otherwise its subscriptions alone say what it owes."""
    tax = account.terms.tax
    return bool(
        account.pending
        or account.collecting is not None
        or account.holds
        or account.dunning[-1][1] != account.policy.dunning.clear.name
        or balance_on(account.credit, account.today)
        or tax.inclusive
        or tax.treatment is not Treatment.TAXABLE
        or any(record.billed == 0 for record in account.usage)
        or any(
            each.resumes_on is not None or each.later is not None or each.stops
            for each in account.subscriptions.values()
        )
    )


def whole_due_on(account: AccountState) -> date | None:
    """The day on which a bill has something to do that no subscription's next bill day tells: what waits for the next
    bill, a pause that ends, a change of interval that comes, an issue that was missed and that no bill will credit."""
    days = [account.today] if account.pending else []
    for subscription in account.subscriptions.values():
        if subscription.resumes_on is not None:
            days.append(subscription.resumes_on)
        if subscription.later is not None and subscription.terms.status is not State.PAUSED:
            days.append(subscription.later[0])
        if subscription.stops and subscription.terms.next_bill_on is None:
            last = max(stop.wished.until for stop in subscription.stops)
            days += [day for day in (account.today, last) if issues_to_credit(account, subscription, day)][:1]
    return min(days, default=None)
