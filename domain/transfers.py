"""A subscription handed to another payer: it ends with the one when what is charged runs out, and goes on with the
other from that day on the same terms. No money moves, and no day is read for nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import NamedTuple

from domain.amendments import Refused
from domain.endings import cancel_at_period_end
from domain.subscription_terms import SubscriptionTerms
from domain.subscriptions import State


class Transfer(NamedTuple):
    """The terms with the payer who hands over, which end on `day`, and with the one who takes over from then."""

    day: date
    old: SubscriptionTerms
    new: SubscriptionTerms


def transfer(
    terms: SubscriptionTerms, day: date, term_end: date | None, new_id: Callable[[], str]
) -> Transfer:
    """`terms` handed over on the local `day`. The items that run when the period is over go on under new ids, with
    their prices and in the phase that they are in: periods tile from the same anchor. Discounts that still hold then
    go with them; a term that was agreed ends on `term_end` as before.

    Raises Refused for a subscription that has ended or is paused, and for one that ends with the period anyway.
    """
    if terms.trial_ends_on is not None and day < terms.trial_ends_on < terms.charged_through:
        raise Refused(
            f"what comes after the trial is billed until {terms.charged_through}: hand it over from"
            f" {terms.trial_ends_on} on, when the trial is over"
        )
    old = cancel_at_period_end(terms, day).terms
    end = old.ends_on
    if end is None or (terms.ends_on is not None and terms.ends_on <= end):
        raise Refused(
            f"the subscription ends on {terms.ends_on}, so there is nothing to hand over after that"
        )
    items = [
        replace(item, id=new_id(), starts_on=max(end, item.starts_on), replaces=None)
        for item in terms.items
        if (item.ends_on is None or item.ends_on > end) and item.starts_on != item.ends_on
    ]
    new = replace(
        terms,
        id=new_id(),
        version=1,
        status=State.ACTIVE,
        starts_on=end,
        trial_ends_on=None,
        ends_on=term_end if term_end is not None and term_end > end else None,
        charged_through=end,
        arrears_through=end,
        next_bill_on=end,
        items=items,
        discounts=[each for each in terms.discounts if each.ends_on is None or each.ends_on > end],
    )
    return Transfer(end, old, new)
