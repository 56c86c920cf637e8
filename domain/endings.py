"""The end of a subscription and its return: cancel now, cancel at the end of the period, reactivate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from typing import Literal

from domain.amendments import (
    Account,
    Amendment,
    History,
    Refused,
    boundary_from,
    close_stretch,
    in_whole_days,
    must_run,
    period_end,
    running_items,
    time_of_line,
    unserved_credits,
    unused_credits,
    with_anchor,
)
from domain.credits import CreditLine, credit_rest
from domain.periods import first_anchor, period_at
from domain.proration import Moment, before, day_of
from domain.subscription_terms import Item, SubscriptionTerms
from domain.subscriptions import State
from domain.undone_changes import charged_from

CancelCredit = Literal["prorated", "none", "whole_period"]


def cancel_now(
    account: Account,
    terms: SubscriptionTerms,
    history: History,
    at: Moment,
    *,
    credit: CancelCredit,
    paused_on: date | None = None,
) -> Amendment:
    """A cancel that takes effect at `at`; the cancel day is not billed (law 4). What was served or used until then is
    charged. `credit` is what is given back of what was charged in advance: the unused time, nothing, or all of the
    running period. `paused_on` says since when the subscription is paused. Raises Refused when it has ended."""
    day = day_of(at)
    if paused_on is None:
        must_run(terms, max(day, terms.starts_on), "canceled")
    elif terms.status is not State.PAUSED:
        raise Refused("the subscription is not paused")
    running = running_items(terms, paused_on or day)
    charges = [] if paused_on else close_stretch(account, terms, max(day, terms.starts_on))
    credits: list[CreditLine] = []
    if credit == "prorated":
        credits = unused_credits(history, running, paused_on or at)
    elif credit == "whole_period":
        credits = _whole_period(terms, history, running, paused_on or at)
    through = terms.charged_through if credit == "none" else max(paused_on or day, terms.starts_on)
    if credit == "whole_period":
        # All days of the running period are given back, those that were served too (law I13).
        through = min([through, *(day_of(each.start) for each in credits if each.start is not None)])
    ended = replace(
        terms,
        status=State.CANCELED,
        ends_on=max(day, terms.starts_on),
        charged_through=through,
        arrears_through=max(terms.arrears_through, day),
        next_bill_on=None,
    )
    return Amendment(ended, tuple(credits), tuple(charges))


def _whole_period(
    terms: SubscriptionTerms, history: History, running: Sequence[Item], at: Moment
) -> list[CreditLine]:
    """All that is left of what was billed for the period that `at` lies in: also of items that a change replaced in the
    course of it."""
    begun = period_at(terms.anchor, terms.interval, day_of(at)).start
    ids = {item.id for item in running}
    found = []
    for line in history.recurring(terms.items):
        if line.end is None or not before(time_of_line(line, history.moved, at), line.end):
            continue
        credit = credit_rest(line, history.credits, "unused_credit")
        if credit is not None and (line.item_id in ids or (credit.end and before(begun, credit.end))):
            found.append(credit)
    return found


def cancel_at_period_end(terms: SubscriptionTerms, day: date, history: History | None = None) -> Amendment:
    """A cancel that lets the period that `day` lies in run out, or the trial: what is paid for is served, nothing is
    credited, but for what was billed ahead for the time after the trial. Before the start nothing is paid for, and
    nothing is served. Changes that wait for a later day fall away. Raises Refused when it has ended, or is paused."""
    must_run(terms, max(day, terms.starts_on), "canceled")
    credits: list[CreditLine] = []
    through, used_through = terms.charged_through, terms.arrears_through
    if terms.trial_ends_on is not None and day < terms.trial_ends_on:
        end = min(terms.trial_ends_on, terms.ends_on or terms.trial_ends_on)
        credits = unserved_credits(history or History(), running_items(terms, day))
        through, used_through = min(through, terms.trial_ends_on), min(used_through, terms.trial_ends_on)
    elif day < terms.starts_on:
        end = terms.charged_through
    else:
        end = period_end(terms, day)
    next_bill_on = terms.next_bill_on
    if next_bill_on is not None and next_bill_on > end:
        next_bill_on = end
    items = [item for item in terms.items if item.starts_on < end or item.replaces is None]
    items = [replace(item, ends_on=None) if item.ends_on and item.ends_on >= end else item for item in items]
    ending = replace(
        terms,
        ends_on=end,
        charged_through=through,
        arrears_through=used_through,
        next_bill_on=next_bill_on,
        items=items,
    )
    return Amendment(ending, tuple(credits))


def items_at_end(terms: SubscriptionTerms) -> list[Item]:
    """The items that a subscription had when it ended, those left out that were to begin later."""
    end = terms.ends_on
    return [
        item
        for item in terms.items
        if end is None or (item.starts_on <= end and (item.ends_on is None or item.ends_on > end))
    ]


def _charged_anew(terms: SubscriptionTerms, history: History, new_ids: Sequence[str]) -> list[Item]:
    """The items, those that were billed for time after charged-through in two: it is charged again for the second."""
    through = terms.charged_through
    again = [
        replace(item, id=new_id, starts_on=through, starts_at=None, replaces=item.id)
        for item, new_id in zip(items_at_end(terms), new_ids, strict=True)
        if charged_from(history, item, through)
    ]
    begun = {item.replaces for item in again}
    return [*(replace(item, ends_on=through) if item.id in begun else item for item in terms.items), *again]


def reactivate(
    account: Account,
    terms: SubscriptionTerms,
    day: date,
    new_ids: Sequence[str],
    *,
    bill_cycle_day: int | None,
    term_end: date | None,
    history: History | None = None,
    paused_on: date | None = None,
) -> Amendment:
    """A canceled subscription taken up again on `day`. Before its end, the cancel is taken back and the term ends on
    `term_end` again (None: evergreen); time after charged-through that was billed, as `history` says, and given back by
    the cancel, is charged again under new ids (law I3). After it, a new period begins on `day` with the same items
    under `new_ids` (one for each of `items_at_end`); there is no second trial and no second intro: periods of an intro
    that were begun are had; what was not billed until the end is charged, and what a pause since `paused_on` had kept
    is credited. Raises Refused when it has not been canceled."""
    history = history or History()
    if terms.ends_on is None:
        raise Refused("the subscription has not been canceled, so it cannot be reactivated")
    if terms.status is not State.CANCELED and day < terms.ends_on:
        through = terms.charged_through
        next_bill_on: date | None = (
            through if terms.next_bill_on is None else min(terms.next_bill_on, through)
        )
        items = terms.items
        if terms.status is State.PAUSED:
            next_bill_on = None
        else:
            items = _charged_anew(terms, history, new_ids)
        return Amendment(replace(terms, ends_on=term_end, next_bill_on=next_bill_on, items=items))
    if day < terms.ends_on:
        raise Refused(f"the subscription ended on {terms.ends_on} and cannot be reactivated on {day}")
    last = items_at_end(terms)
    if len(last) != len(new_ids):
        raise ValueError(f"{len(last)} items are taken up again, and {len(new_ids)} ids were given")
    anchor = first_anchor(day, terms.interval, bill_cycle_day)
    charges = close_stretch(account, terms, terms.ends_on)
    kept = [] if paused_on is None else unused_credits(history, last, paused_on)
    # A period that was begun counts as had, or who cancels in an intro would have it twice.
    had_until = boundary_from(terms.anchor, terms.interval, terms.ends_on)
    moved = with_anchor(terms, anchor, terms.interval, had_until)
    shifts = {item.id: item.phase_shift for item in moved.items}
    closed = [
        replace(item, ends_on=terms.ends_on) if item.ends_on is None or item.ends_on > terms.ends_on else item
        # The new period has the whole of its first day, and what was served on it by the second was charged.
        for item in in_whole_days(terms, terms.ends_on)[0].items
        if item.starts_on <= terms.ends_on
    ]
    again = [
        Item(
            new_id,
            item.plan,
            item.plan_version,
            item.quantity,
            item.price_override,
            day,
            None,
            shifts[item.id],
            replaces=item.id,
        )
        for item, new_id in zip(last, new_ids, strict=True)
    ]
    again_from_today = replace(
        moved,
        status=State.ACTIVE,
        trial_ends_on=terms.trial_ends_on and min(terms.trial_ends_on, terms.ends_on),
        ends_on=None,
        charged_through=day,
        arrears_through=day,
        next_bill_on=day,
        items=[*closed, *again],
    )
    return Amendment(again_from_today, tuple(kept), tuple(charges))
