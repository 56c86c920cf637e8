"""Changes of plan, version, quantity or price: one item of a subscription replaced by another (laws 4 and 6)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from domain.amendments import (
    Account,
    Amendment,
    History,
    Refused,
    close_stretch,
    must_run,
    period_end,
    running_items,
    unused_credits,
    with_anchor,
)
from domain.catalog import PriceModel
from domain.invoice_lines import restored_lines
from domain.lines import Line
from domain.periods import Anchor, Interval, Unit, period_index
from domain.policy import Behaviour, ChangePolicy
from domain.price_book import ReadyVersion
from domain.pricing import amount_for, round_fraction
from domain.proration import Moment, before, day_of, later
from domain.rating import rate_advance
from domain.subscription_terms import Item, SubscriptionTerms

_DAYS_OF_UNIT = {
    Unit.DAY: Fraction(1),
    Unit.WEEK: Fraction(7),
    Unit.MONTH: Fraction(1461, 48),
    Unit.YEAR: Fraction(1461, 4),
}


@dataclass(frozen=True, slots=True)
class Swap:
    """The item `old` replaced by one of `plan`, in `interval` (None: as before)."""

    old: str
    new_id: str
    plan: str
    plan_version: int
    quantity: Decimal
    price_override: int | None = None
    interval: Interval | None = None


class Direction(StrEnum):
    """What a change is, for the policy."""

    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    INTERVAL_CHANGE = "interval_change"


def direction(old_amount: int, old_interval: Interval, new_amount: int, new_interval: Interval) -> Direction:
    """Which way a change goes, from the recurring amounts a period (minor units). Another interval is a change of
    interval, whatever it costs; the same amount counts as an upgrade."""
    if old_interval != new_interval and daily(old_interval) != daily(new_interval):
        return Direction.INTERVAL_CHANGE
    return Direction.UPGRADE if new_amount >= old_amount else Direction.DOWNGRADE


def daily(interval: Interval) -> Fraction:
    """The average length of `interval` in days."""
    return _DAYS_OF_UNIT[interval.unit] * interval.length


def recurring_amount(version: ReadyVersion, quantity: Decimal, override: int | None) -> int:
    """What a whole evergreen period of a plan costs in recurring prices, minor units: what upgrades and downgrades are
    told by, whatever intro is running."""
    phase = version.phases[-1]
    total = 0
    for price in (*phase.advance, *phase.arrears):
        if override is not None and price.overridden:
            per_unit = price.terms.model is PriceModel.PER_UNIT
            total += round_fraction(Fraction(quantity) * override) if per_unit else override
        else:
            total += amount_for(price.terms, Fraction(quantity), 1, 1)
    return total


def behaviour_for(policy: ChangePolicy, way: Direction) -> Behaviour:
    """What the policy says of a change that goes `way`."""
    return Behaviour(getattr(policy, way.value))


def item_at(terms: SubscriptionTerms, item_id: str, at: Moment) -> Item:
    """The item `item_id`, which must be served at `at`. Raises Refused."""
    for item in running_items(terms, day_of(at)):
        if item.id == item_id:
            return item
    raise Refused(
        f"item {item_id} of the subscription is not served on {day_of(at)}, so it cannot be changed"
    )


def change(
    account: Account,
    terms: SubscriptionTerms,
    history: History,
    swap: Swap,
    at: Moment,
    behaviour: Behaviour,
    *,
    intro_again: bool = False,
) -> Amendment:
    """`swap` from `at` on, as `behaviour` says (law 6); the change day belongs to the new plan (law 4).

    immediate_with_proration: the unused time is credited, the rest of what was charged is charged anew.
    immediate_without_proration: what was charged stays; the new price holds from the next period.
    end_of_period: the same to the books; the reader keeps the old plan until then.
    restart_period: the unused time is credited, and a new period begins; the only way to another interval now.
    Several changes at one moment amount to one: there and back nets zero. Raises Refused.
    """
    day = day_of(at)
    must_run(terms, day, "changed")
    terms = without_waiting(terms, swap.old, day)
    old = item_at(terms, swap.old, at)
    interval = swap.interval or terms.interval
    if behaviour is Behaviour.RESTART:
        return _restart(account, terms, history, swap, old, at, interval, intro_again)
    if behaviour is Behaviour.PRORATED:
        if interval != terms.interval:
            raise Refused("a change to another billing interval restarts the period, or waits for its end")
        return _prorate(account, terms, history, swap, old, at, intro_again)
    return _later(account, terms, swap, old, day, interval, intro_again)


def without_waiting(terms: SubscriptionTerms, item_id: str, day: date) -> SubscriptionTerms:
    """`terms` without a change of the item that was to come after `day`: a newer change takes its place."""
    for waiting in terms.items:
        if waiting.replaces == item_id and waiting.starts_on > day:
            items = [
                replace(item, ends_on=waiting.ends_on, ends_at=None) if item.id == item_id else item
                for item in terms.items
                if item.id != waiting.id
            ]
            return replace(terms, items=items)
    return terms


def _prorate(
    account: Account,
    terms: SubscriptionTerms,
    history: History,
    swap: Swap,
    old: Item,
    at: Moment,
    intro_again: bool,
) -> Amendment:
    day = day_of(at)
    instant = at if isinstance(at, datetime) else None
    new = _new_item(account, terms, swap, old, day, intro_again)
    new.starts_at = instant
    changed = _swapped(terms, replace(old, ends_on=day, ends_at=instant), new)
    credits = unused_credits(history, [old], at)
    # Days of a trial count as charged, and cost nothing.
    since = later(at, terms.trial_ends_on or terms.starts_on)
    if not before(since, terms.charged_through):
        return Amendment(changed, tuple(credits))
    charges = _restored(terms, history, new, at) or rate_advance(
        account.book, account.currency, changed, new, since, terms.charged_through
    )
    return Amendment(changed, tuple(credits), tuple(charges))


def _restored(terms: SubscriptionTerms, history: History, new: Item, at: Moment) -> list[Line]:
    """The charge of an item that ended at this very moment and comes back: exactly what was credited for it."""
    same = [
        item
        for item in terms.items
        if (item.ends_at or item.ends_on) == at
        and (item.plan, item.plan_version, item.quantity, item.price_override)
        == (new.plan, new.plan_version, new.quantity, new.price_override)
    ]
    lines: list[Line] = []
    for item in same[-1:]:
        billed = {line.key: line for line in history.recurring([item])}
        for credit in history.credits:
            if credit.corrects in billed and credit.start == at:
                lines += restored_lines(credit, billed[credit.corrects], new.id, len(lines))
    return lines


def _later(
    account: Account,
    terms: SubscriptionTerms,
    swap: Swap,
    old: Item,
    day: date,
    interval: Interval,
    intro_again: bool,
) -> Amendment:
    boundary = period_end(terms, day)
    if terms.ends_on is not None and boundary >= terms.ends_on:
        raise Refused(f"the subscription ends on {terms.ends_on}, before the change would take effect")
    if interval != terms.interval:
        raise Refused("a change of the interval at the end of the period is made when that day comes")
    new = _new_item(account, terms, swap, old, boundary, intro_again)
    return Amendment(_swapped(terms, replace(old, ends_on=boundary, ends_at=None), new))


def _restart(
    account: Account,
    terms: SubscriptionTerms,
    history: History,
    swap: Swap,
    old: Item,
    at: Moment,
    interval: Interval,
    intro_again: bool,
) -> Amendment:
    day = day_of(at)
    if terms.trial_ends_on is not None and day < terms.trial_ends_on:
        # The trial is not cut short: the new interval begins when it ends.
        in_trial = replace(terms, anchor=Anchor.at(terms.trial_ends_on), interval=interval)
        new = _new_item(account, in_trial, swap, old, day, intro_again)
        return Amendment(_swapped(in_trial, replace(old, ends_on=day), new))
    credits = unused_credits(history, running_items(terms, day), at)
    charges = close_stretch(account, terms, day)
    moved = with_anchor(terms, Anchor.at(day), interval, day)
    new = _new_item(
        account, moved, swap, next(item for item in moved.items if item.id == old.id), day, intro_again
    )
    changed = _swapped(moved, replace(old, ends_on=day, ends_at=None), new)
    restarted = replace(changed, charged_through=day, arrears_through=day, next_bill_on=day)
    return Amendment(restarted, tuple(credits), tuple(charges))


def _new_item(
    account: Account, terms: SubscriptionTerms, swap: Swap, old: Item, day: date, intro_again: bool
) -> Item:
    """The item that replaces `old` from `day` on. On the same plan it goes on in the phase that `old` is in; another
    plan's intro phases are passed over, unless the policy gives them again."""
    shift = old.phase_shift
    if swap.plan != old.plan:
        index = max(0, period_index(terms.anchor, terms.interval, day))
        version = account.book.version(swap.plan, swap.plan_version, account.currency)
        intro = sum(phase.periods or 0 for phase in version.phases)
        shift = -index if intro_again else intro
    return Item(
        swap.new_id,
        swap.plan,
        swap.plan_version,
        swap.quantity,
        swap.price_override,
        day,
        old.ends_on if old.ends_on is None or old.ends_on > day else None,
        shift,
        replaces=old.id,
    )


def _swapped(terms: SubscriptionTerms, ended: Item, new: Item) -> SubscriptionTerms:
    items = [ended if item.id == ended.id else item for item in terms.items]
    return replace(terms, items=[*items, new])
