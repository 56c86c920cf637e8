"""Changes of plan, version, quantity or price: one item of a subscription replaced by another (laws 4 and 6)."""

from __future__ import annotations

from collections.abc import Sequence
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
    charged_at,
    close_stretch,
    in_whole_days,
    must_run,
    period_end,
    running_items,
    unserved_credits,
    unused_credits,
    with_anchor,
)
from domain.catalog import PriceModel
from domain.credits import CreditLine
from domain.lines import Line
from domain.periods import Anchor, Interval, Unit, period_at, period_index
from domain.policy import Behaviour, ChangePolicy
from domain.price_book import ReadyVersion
from domain.pricing import amount_for, round_fraction
from domain.proration import Moment, before, day_of, later
from domain.rating import rate_advance, rate_arrears
from domain.subscription_terms import Item, SubscriptionTerms
from domain.undone_changes import charged_from, replaced_now, restored, same_terms, unearned_fees

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
    Several changes at one moment amount to one: there and back nets zero. Where the plan changed from comes back, and
    none of its time from then on was ever charged, its item goes on, and `new_id` is not used. Raises Refused.
    """
    day = day_of(at)
    must_run(terms, day, "changed")
    waits = change_that_waits(terms, swap.old, day)
    dropped = [] if waits is None else unserved_credits(history, [waits])
    terms = without_waiting(terms, swap.old, day, history)
    old = item_at(terms, swap.old, at)
    interval = swap.interval or terms.interval
    if behaviour is Behaviour.RESTART and not (interval == terms.interval and _just_begun(terms, day)):
        made = _restart(account, terms, history, swap, old, day, interval, intro_again)
    elif behaviour is Behaviour.RESTART:
        made = _prorate(account, terms, history, swap, old, day, intro_again, dropped)
    elif behaviour is Behaviour.PRORATED:
        if interval != terms.interval:
            raise Refused("a change to another billing interval restarts the period, or waits for its end")
        made = _prorate(account, terms, history, swap, old, at, intro_again, dropped)
    else:
        made = _later(account, terms, swap, old, day, interval, intro_again, waits)
    return replace(made, credits=(*made.credits, *dropped))


def change_that_waits(terms: SubscriptionTerms, item_id: str, day: date) -> Item | None:
    """The item that is to take the place of `item_id` after `day`, if there is one."""
    return next((item for item in terms.items if item.replaces == item_id and item.starts_on > day), None)


def without_waiting(
    terms: SubscriptionTerms, item_id: str, day: date, history: History | None = None
) -> SubscriptionTerms:
    """`terms` without a change of the item that was to come after `day`: a newer change takes its place. What it was
    billed by, as `history` says, keeps its item, which is never served."""
    waits = change_that_waits(terms, item_id, day)
    if waits is None:
        return terms
    items = [
        replace(item, ends_on=waits.ends_on) if item.id == item_id else item
        for item in terms.items
        if item.id != waits.id
    ]
    if history is not None and any(line.item_id == waits.id for line in history.billed):
        never = replace(waits, starts_on=day, ends_on=day, replaces=None)
        items = [never if item.id == waits.id else item for item in items]
    return replace(terms, items=items)


def _begins(terms: SubscriptionTerms, day: date) -> date:
    """The day on which a period that restarts on `day` begins: a trial is not cut short."""
    return day if terms.trial_ends_on is None else max(day, terms.trial_ends_on)


def _just_begun(terms: SubscriptionTerms, day: date) -> bool:
    """Whether a period that is charged begins where one that restarted on `day` would: it would be the same, and the
    other items would be charged the same again (I3)."""
    begins = _begins(terms, day)
    period = period_at(terms.anchor, terms.interval, begins)
    return period.start == begins and period.end <= terms.charged_through


def _prorate(
    account: Account,
    terms: SubscriptionTerms,
    history: History,
    swap: Swap,
    old: Item,
    at: Moment,
    intro_again: bool,
    dropped: Sequence[CreditLine],
) -> Amendment:
    day = day_of(at)
    instant = at if isinstance(at, datetime) else None
    replaced = replaced_now(terms, old, at)
    new = _new_item(account, terms, swap, old, day, intro_again, replaced)
    new.starts_at = instant
    ended = replace(old, ends_on=day, ends_at=instant)
    changed = _swapped(terms, ended, new)
    credits = [*unused_credits(history, [old], at), *unearned_fees(history, old, replaced)]
    same = [item for item in replaced if same_terms(item, new)]
    charges: list[Line] = []
    # Days of a trial count as charged, and cost nothing.
    since = later(at, terms.trial_ends_on or terms.starts_on)
    if before(since, max(terms.charged_through, terms.arrears_through)):
        rated = _in_charged_phase(account, terms, history, old, new, at)
        charges, reached = restored(history, same, new, at)
        if reached is not None and before(max(terms.charged_through, terms.arrears_through), reached):
            # It was billed further ahead than what is charged now.
            charges, reached = [], since
        if reached is not None:
            charges = _joined(charges, _catch_up(account, changed, rated, later(since, reached)))
    if same and not (credits or dropped or charges) and not charged_from(history, same[0], at):
        again = replace(same[0], ends_on=old.ends_on, ends_at=None)
        items = [
            again if item.id == again.id else ended if item.id == old.id else item for item in terms.items
        ]
        return Amendment(replace(terms, items=items))
    return Amendment(changed, tuple(credits), tuple(charges))


def _catch_up(account: Account, terms: SubscriptionTerms, item: Item, since: Moment) -> list[Line]:
    """What `item` costs from `since` on of the time that is charged already: in advance, and, where a bill was dated
    ahead, in arrears."""
    advance = rate_advance(account.book, account.currency, terms, item, since, terms.charged_through)
    arrears = rate_arrears(account.book, account.currency, terms, item, since, terms.arrears_through)
    return _joined(advance, arrears)


def _joined(lines: Sequence[Line], more: Sequence[Line]) -> list[Line]:
    place = len(lines)
    behind = [line if line.parent is None else replace(line, parent=line.parent + place) for line in more]
    return [*lines, *behind]


def _in_charged_phase(
    account: Account, terms: SubscriptionTerms, history: History, old: Item, new: Item, at: Moment
) -> Item:
    """`new` as the time that is charged already is rated: in the phase that `old` was charged by. Where a bill cycle
    day was moved, or a pause kept time, periods are counted anew from the end of that time, and the phase of the next
    one would be taken."""
    ahead = period_index(terms.anchor, terms.interval, day_of(at)) < 0
    if not ahead or new.plan != old.plan:
        return new
    charged = {line.price_id for line in charged_at(history, old, at)}
    version = account.book.version(old.plan, old.plan_version, account.currency)
    one_before, one_after = (
        {price.id for price in version.phase(new.phase_shift - back).advance} for back in (1, 0)
    )
    if charged & one_after or not charged & one_before:
        return new
    return replace(new, phase_shift=new.phase_shift - 1)


def _later(
    account: Account,
    terms: SubscriptionTerms,
    swap: Swap,
    old: Item,
    day: date,
    interval: Interval,
    intro_again: bool,
    waits: Item | None,
) -> Amendment:
    # It comes in the place of one that was billed ahead on the day of that one, and is charged for the same time.
    billed = waits is not None and waits.starts_on < terms.charged_through
    boundary = waits.starts_on if waits is not None and billed else period_end(terms, day)
    if terms.ends_on is not None and boundary >= terms.ends_on:
        raise Refused(f"the subscription ends on {terms.ends_on}, before the change would take effect")
    if interval != terms.interval:
        raise Refused("a change of the interval at the end of the period is made when that day comes")
    new = _new_item(account, terms, swap, old, boundary, intro_again)
    changed = _swapped(terms, replace(old, ends_on=boundary), new)
    return Amendment(changed, (), tuple(_catch_up(account, changed, new, boundary)))


def _restart(
    account: Account,
    terms: SubscriptionTerms,
    history: History,
    swap: Swap,
    old: Item,
    day: date,
    interval: Interval,
    intro_again: bool,
) -> Amendment:
    begins = _begins(terms, day)
    terms, ended = in_whole_days(terms, day)
    old = next(item for item in terms.items if item.id == old.id)
    replaced = replaced_now(terms, old, day)
    # The new period has the whole of its first day, whenever on that day the change came.
    credits = [
        *unused_credits(history, [*running_items(terms, day), *ended], begins),
        *unearned_fees(history, old, replaced),
    ]
    charges = close_stretch(account, terms, day)
    moved = with_anchor(terms, Anchor.at(begins), interval, begins)
    old = next(item for item in moved.items if item.id == old.id)
    new = _new_item(account, moved, swap, old, day, intro_again, replaced_now(moved, old, day))
    changed = _swapped(moved, replace(old, ends_on=day), new)
    restarted = replace(changed, charged_through=begins, arrears_through=begins, next_bill_on=begins)
    return Amendment(restarted, tuple(credits), tuple(charges))


def _new_item(
    account: Account,
    terms: SubscriptionTerms,
    swap: Swap,
    old: Item,
    day: date,
    intro_again: bool,
    replaced: Sequence[Item] = (),
) -> Item:
    """The item that replaces `old`, and with it those that `old` has `replaced` at the same moment, from `day` on. On
    the plan of one of them it goes on in the phase that this one is in; another plan's intro phases are passed over,
    unless the policy gives them again."""
    kin = next((item for item in (old, *replaced) if item.plan == swap.plan), None)
    if kin is not None:
        shift = kin.phase_shift
    else:
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
