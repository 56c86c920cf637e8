"""Changes of plan, version, quantity or price: one item of a subscription replaced by another (laws 4 and 6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    time_of_line,
    unused_credits,
    with_anchor,
)
from domain.catalog import PriceModel
from domain.credits import BilledLine, CreditLine, credit_rest
from domain.invoice_lines import restored_lines
from domain.lines import Line
from domain.pending import UNCUT
from domain.periods import Anchor, Interval, Unit, period_at, period_index
from domain.policy import Behaviour, ChangePolicy
from domain.price_book import ReadyVersion
from domain.pricing import amount_for, round_fraction
from domain.proration import Moment, before, day_of, distances, later
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
        if item.id == item_id and item.starts_on <= day_of(at):
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
    restart_period: the unused time is credited, and a new period begins, on a whole day; the only way to another
    interval now.
    Several changes at one moment amount to one: there and back nets zero. Where the plan changed from comes back
    before the time from then on was charged, its item goes on, and `new_id` is not used. Raises Refused.
    """
    day = day_of(at)
    must_run(terms, day, "changed")
    terms = without_waiting(terms, swap.old, day)
    old = item_at(terms, swap.old, at)
    interval = swap.interval or terms.interval
    if behaviour is Behaviour.RESTART and not (interval == terms.interval and _just_begun(terms, day)):
        return _restart(account, terms, history, swap, old, at, interval, intro_again)
    if behaviour is Behaviour.RESTART:
        return _prorate(account, terms, history, swap, old, day, intro_again)
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


def _just_begun(terms: SubscriptionTerms, day: date) -> bool:
    """Whether the period that is charged begins on `day`: one that restarted then would be the same, and the other
    items would be charged the same again (I3)."""
    period = period_at(terms.anchor, terms.interval, day)
    return period.start == day and period.end == terms.charged_through


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
    replaced = list(_replaced_now(terms, old, at))
    new = _new_item(account, terms, swap, old, day, intro_again, replaced)
    new.starts_at = instant
    ended = replace(old, ends_on=day, ends_at=instant)
    changed = _swapped(terms, ended, new)
    credits = [*unused_credits(history, [old], at), *_unearned_fees(history, old, replaced)]
    same = [item for item in replaced if _terms_of(item) == _terms_of(new)]
    charges = _restored(history, same, new, at)
    # Days of a trial count as charged, and cost nothing.
    since = later(at, terms.trial_ends_on or terms.starts_on)
    if not charges and before(since, terms.charged_through):
        charges = rate_advance(account.book, account.currency, changed, new, since, terms.charged_through)
    if same and not credits and not charges:
        again = replace(same[0], ends_on=old.ends_on, ends_at=None)
        items = [
            again if item.id == again.id else ended if item.id == old.id else item for item in terms.items
        ]
        return Amendment(replace(terms, items=items))
    return Amendment(changed, tuple(credits), tuple(charges))


def _replaced_now(terms: SubscriptionTerms, old: Item, at: Moment) -> Iterator[Item]:
    """The items that changes at this very moment put `old` in the place of, the last one first."""
    items = {item.id: item for item in terms.items}
    item: Item | None = old
    while item is not None and item.replaces is not None and not any(distances(at, item.start)):
        item = items.get(item.replaces)
        if item is not None:
            yield item


def _terms_of(item: Item) -> tuple[str, int, Decimal, int | None]:
    return item.plan, item.plan_version, item.quantity, item.price_override


def _unearned_fees(history: History, old: Item, replaced: Sequence[Item]) -> list[CreditLine]:
    """Credits of the one-time charges of an item that came and goes at one moment: it was never served."""
    fees = [line for line in history.billed if line.kind == "one_time" and line.item_id == old.id]
    credits = [credit_rest(line, history.credits, "unused_credit") for line in fees if replaced]
    return [credit for credit in credits if credit is not None]


def _restored(history: History, same: Sequence[Item], new: Item, at: Moment) -> list[Line]:
    """The charge of an item that ended at this very moment and comes back: exactly what was credited for it, or cut off
    from what was not billed yet. `same` are such items, the last one first."""
    for item in same:
        lines: list[Line] = []
        for line in history.billed:
            if line.item_id != item.id:
                continue
            then = time_of_line(line, history.moved, at)
            moved = day_of(at) - day_of(then)
            for credit in _given_back(history, line, then):
                start, end = credit.start and credit.start + moved, credit.end and credit.end + moved
                again = replace(credit, start=start, end=end)
                lines += restored_lines(again, replace(line, kind=_kind(line)), new.id, len(lines))
        if lines:
            return lines
    return []


def _given_back(history: History, line: BilledLine, then: Moment) -> Iterator[CreditLine]:
    """What a change at the moment `then` gave back of `line`."""
    since = line.start and later(then, line.start)
    if line.kind == UNCUT:
        for rest in history.billed:
            if rest.key == line.key and rest.kind != UNCUT and since and not any(distances(since, rest.end)):
                taxes = [
                    tax._replace(amount=kept.amount - tax.amount)
                    for tax, kept in zip(line.taxes, rest.taxes, strict=True)
                ]
                yield CreditLine(
                    line.key, "unused_credit", since, line.end, rest.net - line.net, tuple(taxes)
                )
        return
    for credit in history.credits:
        if credit.corrects != line.key or credit.kind != "unused_credit":
            continue
        if credit.start is None or since is None:
            if credit.start is since:
                yield credit
        elif not any(distances(since, credit.start)):
            yield credit


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
