"""The billing days of a subscription: when something is due, and what each of them charges for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import NamedTuple

from domain.money import MoneyError
from domain.periods import Period, period_at
from domain.proration import Moment, before, day_of, earlier, later
from domain.subscription_terms import Item, SubscriptionTerms

MOST_STEPS = 400  # a year of daily bills, with room to spare


class Step(NamedTuple):
    """One billing day of a subscription: `start` to `end` is charged in advance (`period` None: nothing more), and
    `used_from` to `bill_on` in arrears."""

    bill_on: date
    used_from: date
    period: Period | None
    start: date
    end: date


class Stretch(NamedTuple):
    """A part of one billing period, or all of it."""

    period: Period
    start: Moment
    end: Moment


def due_steps(terms: SubscriptionTerms, in_arrears: bool, as_of: date) -> tuple[list[Step], date | None]:
    """The billing days of `terms` up to and including `as_of`, oldest first, and the next one after them.
    `in_arrears` says that something is charged in arrears, so that there is a bill on the day of the end.

    Raises MoneyError when more than MOST_STEPS are due at once: that is a date mistaken by years, not a bill.
    """
    steps: list[Step] = []
    bill_on = terms.next_bill_on
    through = terms.charged_through
    used_from = terms.arrears_through
    ends_on = terms.ends_on
    while bill_on is not None and bill_on <= as_of:
        if len(steps) >= MOST_STEPS:
            raise MoneyError(
                f"more than {MOST_STEPS} billing periods are due at once by {as_of}: is the date right?"
            )
        if ends_on is not None and bill_on >= ends_on:
            # Not charged until then is an item in advance that took the place of one in arrears: no bill came before.
            rest = period_at(terms.anchor, terms.interval, ends_on) if through < ends_on else None
            steps.append(Step(bill_on, used_from, rest, through, max(through, ends_on)))
            bill_on = None
            break
        period = period_at(terms.anchor, terms.interval, bill_on)
        end = period.end if ends_on is None or period.end < ends_on else ends_on
        steps.append(Step(bill_on, used_from, period, through, end))
        used_from = max(used_from, bill_on)
        through = bill_on = end
    if bill_on is not None and bill_on == ends_on and not in_arrears:
        bill_on = None
    return steps, bill_on


def stretches(terms: SubscriptionTerms, item: Item, start: Moment, end: Moment) -> Iterator[Stretch]:
    """What of `start` to `end` is `item`'s, divided at the boundaries of the billing periods, so that each stretch is
    measured against the whole period it lies in (law 3). The subscription's end bounds it too."""
    since = later(start, item.start)
    for limit in (item.end, terms.ends_on):
        if limit is not None:
            end = earlier(end, limit)
    while before(since, end):
        period = period_at(terms.anchor, terms.interval, day_of(since))
        until = earlier(end, period.end)
        yield Stretch(period, since, until)
        since = until
