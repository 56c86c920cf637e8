"""Which phase of which version a period is charged by, and where a subscription stands at a moment."""

from __future__ import annotations

from datetime import date, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domain.catalog import PhaseKind
from domain.periods import Period, boundary, local_date, period_at
from domain.price_book import PriceBook, ReadyPhase, ReadyVersion, recurring_amount
from domain.proration import Moment, before
from domain.subscription_terms import Item, SubscriptionTerms
from domain.subscriptions import State, state_on


def phase_of(
    book: PriceBook, currency: str, terms: SubscriptionTerms, item: Item, pinned: ReadyVersion, period: Period
) -> ReadyPhase:
    """The phase that `item` is charged by in `period`: of the version that the item's last renewal reached."""
    version = pinned
    if pinned.newer:
        renewed_on = _renewed_on(terms, pinned.term_periods, period)
        version = book.renewed(item.plan, pinned, currency, renewed_on)
    if len(version.phases) == 1:
        return version.phases[0]
    ordinal = period.ordinal if period.ordinal > 0 else 0
    return version.phase(ordinal + item.phase_shift)


def _renewed_on(terms: SubscriptionTerms, term_periods: int | None, period: Period) -> date:
    """When the term that `period` lies in was entered or last renewed."""
    if period.ordinal <= 0:
        return terms.starts_on
    if term_periods is None:
        return period.start
    ordinal = period.ordinal - period.ordinal % term_periods
    return boundary(terms.anchor, terms.interval, ordinal) if ordinal > 0 else terms.starts_on


class Standing(NamedTuple):
    """Where a subscription stands: `phase` is that of its first item, None while nothing is served; `amount` is what a
    whole period costs in recurring prices, minor units, before discounts and tax: nothing in a trial."""

    state: State
    phase: PhaseKind | None
    amount: int


def standing(
    book: PriceBook, currency: str, terms: SubscriptionTerms, as_of: Moment, zone: ZoneInfo
) -> Standing:
    """State, phase and price of `terms` on the local day `as_of`, or at that aware instant for an account in `zone`: a
    pure function of the rows, that needs no timer to have fired. Raises MoneyError like rating."""
    moment = as_of.astimezone(zone) if isinstance(as_of, datetime) else as_of
    day = local_date(moment, zone) if isinstance(moment, datetime) else moment
    state = state_on(
        terms.status,
        starts_on=terms.starts_on,
        trial_ends_on=terms.trial_ends_on,
        ends_on=terms.ends_on,
        day=day,
    )
    if state is State.TRIALING:
        return Standing(state, PhaseKind.TRIAL, 0)
    if state not in (State.ACTIVE, State.PAST_DUE):
        return Standing(state, None, 0)
    period = period_at(terms.anchor, terms.interval, day)
    kind = None
    amount = 0
    for item in terms.items:
        if before(moment, item.start) or (item.end is not None and not before(moment, item.end)):
            continue
        pinned = book.version(item.plan, item.plan_version, currency)
        phase = phase_of(book, currency, terms, item, pinned, period)
        kind = kind or phase.kind
        for price in phase.recurring:
            override = item.price_override if price.overridden else None
            amount += recurring_amount(price, item.quantity, override, 1, 1)
    return Standing(state, kind, amount)
