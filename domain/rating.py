"""Rating: what a subscription owes on a day, from its rows and the price book. The bill run, its preview, amendments
and the simulator all come through here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from typing import NamedTuple

from domain.billing_steps import MOST_STEPS, Step, Stretch, due_steps, stretches
from domain.discounts import Discount, apply_discounts
from domain.lines import ONE, Line
from domain.money import scaled
from domain.price_book import PriceBook, ReadyVersion
from domain.proration import Moment, before, day_of, part
from domain.rating_recurring import (
    charge_advance,
    charge_arrears,
    charge_stretch,
    charge_stretch_in_arrears,
)
from domain.rating_usage import (
    Usage,
    UsageAnswers,
    UsageKey,
    Window,
    charge_usage,
    metered_by_event,
    usage_windows,
)
from domain.subscription_terms import Item, SubscriptionTerms
from domain.subscriptions import State, state_on

__all__ = [
    "MOST_STEPS",
    "ONE",
    "Discount",
    "Item",
    "Line",
    "Rated",
    "Step",
    "SubscriptionTerms",
    "Usage",
    "UsageAnswers",
    "UsageKey",
    "Window",
    "due_steps",
    "metered_by_event",
    "rate_advance",
    "rate_arrears",
    "rate_subscription",
    "usage_windows",
]


class Rated(NamedTuple):
    """What a subscription owes, and where its row stands afterwards."""

    lines: list[Line]
    charged_through: date
    arrears_through: date
    next_bill_on: date | None


def rate_subscription(
    book: PriceBook,
    currency: str,
    terms: SubscriptionTerms,
    as_of: date,
    usage: UsageAnswers | None = None,
) -> Rated | None:
    """What `terms` owe on the local day `as_of`, or None when nothing is due.

    `usage` answers the windows of `usage_windows` by (item, meter, end). Raises MoneyError when the catalog has
    no price for what is subscribed to.
    """
    due = terms.next_bill_on
    if due is None or due > as_of:
        return None
    if terms.status is not State.ACTIVE or terms.ends_on is not None or due < terms.starts_on:
        state = state_on(
            terms.status,
            starts_on=terms.starts_on,
            trial_ends_on=terms.trial_ends_on,
            ends_on=terms.ends_on,
            day=due,
        )
        if state in (State.DRAFT, State.PAUSED, State.CANCELED):
            return None
    versions = [book.version(item.plan, item.plan_version, currency) for item in terms.items]
    in_arrears = False
    for version in versions:
        if version.in_arrears:
            in_arrears = True
    steps, next_bill_on = due_steps(terms, in_arrears, as_of)
    lines: list[Line] = []
    for step in steps:
        first = len(lines)
        for item, pinned in zip(terms.items, versions, strict=True):
            if pinned.in_arrears and step.used_from < step.bill_on:
                charge_arrears(lines, book, currency, terms, item, pinned, step)
                charge_usage(lines, book, currency, terms, item, pinned, step, usage or {})
            if step.period is not None:
                charge_advance(lines, book, currency, terms, item, pinned, step, step.period)
        if terms.discounts and len(lines) > first:
            apply_discounts(lines, first, terms.discounts, step.bill_on)
    last = steps[-1]
    return Rated(lines, last.end, max(last.used_from, last.bill_on), next_bill_on)


def rate_advance(
    book: PriceBook, currency: str, terms: SubscriptionTerms, item: Item, start: Moment, end: Moment
) -> list[Line]:
    """What `item` (one of `terms`) is charged in advance from `start` to `end`: the catch-up of an item that begins
    within a stretch that is charged already. Lines per billing period, each followed by its discounts.

    A percentage holds for stretches that begin while it lasts. A fixed amount stands once per period: another item that
    was there before has it, so it is not given again; where there is none (the item replaces what was credited, its
    share of the discount with it), the part of it that the stretch is of its period. One-time prices come with the
    first stretch of an item, unless it replaces one of the same plan. Raises MoneyError like `rate_subscription`.
    """
    return _rate_stretches(charge_stretch, book, currency, terms, item, start, end)


def rate_arrears(
    book: PriceBook, currency: str, terms: SubscriptionTerms, item: Item, start: Moment, end: Moment
) -> list[Line]:
    """The same of what `item` is charged in arrears: the catch-up of an item that begins within a stretch that a bill
    dated ahead has charged already."""
    return _rate_stretches(charge_stretch_in_arrears, book, currency, terms, item, start, end)


def _rate_stretches(
    charge: Callable[[list[Line], PriceBook, str, SubscriptionTerms, Item, ReadyVersion, Stretch], None],
    book: PriceBook,
    currency: str,
    terms: SubscriptionTerms,
    item: Item,
    start: Moment,
    end: Moment,
) -> list[Line]:
    pinned = book.version(item.plan, item.plan_version, currency)
    lines: list[Line] = []
    for stretch in stretches(terms, item, start, end):
        first = len(lines)
        charge(lines, book, currency, terms, item, pinned, stretch)
        if terms.discounts and len(lines) > first:
            discounts = _for_stretch(terms, item, stretch)
            apply_discounts(lines, first, discounts, day_of(stretch.start))
    return lines


def _for_stretch(terms: SubscriptionTerms, item: Item, stretch: Stretch) -> Sequence[Discount]:
    period, start, end = stretch
    kept = any(
        before(other.start, item.start) and (other.end is None or before(start, other.end))
        for other in terms.items
        if other.id != item.id
    )
    numerator, denominator = (0, 1) if kept else part(start, end, period.start, period.end)
    return [
        discount
        if discount.amount is None
        else replace(discount, amount=scaled(discount.amount, numerator, denominator))
        for discount in terms.discounts
    ]
