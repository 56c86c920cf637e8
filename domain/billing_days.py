"""Moving the bill cycle day: what is charged stays, and a stub leads to the first new billing day."""

from __future__ import annotations

from datetime import date

from domain.amendments import Amendment, must_run, with_anchor
from domain.periods import Unit, first_anchor
from domain.subscription_terms import SubscriptionTerms


def move_bill_cycle_day(terms: SubscriptionTerms, day: date, bill_cycle_day: int) -> Amendment:
    """Periods that begin on `bill_cycle_day` (1 to 31) from the first such day after what is charged already. The days
    between are a leading stub, measured against the period that would have ended on the new anchor (law 3). Raises
    Refused when the subscription is not running; intervals of days and weeks have no bill cycle day and stay."""
    must_run(terms, max(day, terms.starts_on), "moved to another bill cycle day")
    anchor = first_anchor(terms.charged_through, terms.interval, bill_cycle_day)
    if anchor.on == terms.charged_through and anchor.day == terms.charged_through.day == terms.anchor.day:
        return Amendment(terms)
    if terms.interval.unit in (Unit.DAY, Unit.WEEK):
        return Amendment(terms)
    through = terms.charged_through
    return Amendment(with_anchor(terms, anchor, terms.interval, through, made_until=max(day, through)))
