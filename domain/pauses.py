"""Pause and resume, by whole days: the day of the pause is not served, the day of resuming is."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import date, timedelta

from domain.amendments import (
    Account,
    Amendment,
    History,
    Refused,
    close_stretch,
    in_whole_days,
    must_run,
    running_items,
    unused_credits,
    with_anchor,
)
from domain.periods import Anchor, period_at
from domain.subscription_terms import Item, SubscriptionTerms
from domain.subscriptions import State


def pause(
    account: Account, terms: SubscriptionTerms, history: History, day: date, *, keep_time: bool
) -> Amendment:
    """A pause from `day` on. What was served or used until then is charged. Time that is paid for is credited, or, with
    `keep_time`, kept for the day of resuming: charged-through then stays ahead of the pause. Raises Refused unless
    the subscription is running."""
    must_run(terms, day, "paused")
    if terms.trial_ends_on is not None and day < terms.trial_ends_on:
        raise Refused(f"a trial cannot be paused; it ends on {terms.trial_ends_on}")
    terms, ended = in_whole_days(terms, day)
    charges = close_stretch(account, terms, day)
    credits = [] if keep_time else unused_credits(history, [*running_items(terms, day), *ended], day)
    through = terms.charged_through if keep_time and terms.charged_through > day else day
    paused = replace(
        terms,
        status=State.PAUSED,
        charged_through=through,
        arrears_through=max(terms.arrears_through, day),
        next_bill_on=None,
    )
    return Amendment(paused, tuple(credits), tuple(charges))


def resume(
    terms: SubscriptionTerms,
    day: date,
    paused_on: date,
    new_ids: Sequence[str],
    *,
    arrears_only: bool,
    extends_term: bool,
    charged: Collection[str] = (),
) -> Amendment:
    """The end, on `day`, of the pause that began on `paused_on`.

    The rest of the running period is charged at the next bill, for items that begin anew under `new_ids`, one for each
    of `running_items` on the day of the pause (law I3: a charge is named by the change that opened its span). Time that
    was kept runs on from `day` first, for the same items, and the billing day moves with it. `arrears_only` says that
    nothing of the subscription is charged in advance; `extends_term` that the end of a fixed term moves by the length
    of the pause; `charged` which items were billed for time after `paused_on`: one of them that had not begun then, and
    was billed ahead, begins anew as well. Raises Refused.
    """
    if terms.status is not State.PAUSED:
        raise Refused("the subscription is not paused, so it cannot be resumed")
    if day < paused_on:
        raise Refused(f"it was paused on {paused_on} and cannot be resumed on {day}, before that")
    length = (day - paused_on).days
    kept = (terms.charged_through - paused_on).days
    if extends_term and terms.ends_on is not None:
        terms = replace(terms, ends_on=terms.ends_on + timedelta(days=length))
    if terms.ends_on is not None and terms.ends_on <= day:
        raise Refused(f"the subscription ended on {terms.ends_on}, during the pause; reactivate it instead")
    if kept > 0:
        terms = replace(terms, items=_moved(terms.items, paused_on, timedelta(days=length)))
    through = day + timedelta(days=kept)
    if kept > 0 and length:
        anchor = Anchor.at(through)
        terms = with_anchor(terms, anchor, terms.interval, terms.charged_through, made_until=through)
    next_bill_on = through
    if kept <= 0 and arrears_only:
        next_bill_on = period_at(terms.anchor, terms.interval, day).end
    if terms.ends_on is not None and next_bill_on > terms.ends_on:
        next_bill_on = terms.ends_on
    if kept <= 0:
        terms = replace(terms, items=_begun_anew(terms, paused_on, day, new_ids, charged))
    return Amendment(
        replace(
            terms,
            status=State.ACTIVE,
            charged_through=through,
            arrears_through=day,
            next_bill_on=next_bill_on,
        )
    )


def _begun_anew(
    terms: SubscriptionTerms, paused_on: date, day: date, new_ids: Sequence[str], charged: Collection[str]
) -> list[Item]:
    """The items that were served when the pause began end there, and begin again on `day`; one that was to end during
    the pause begins no more, and what was to take its place begins on `day`."""
    running = running_items(terms, paused_on)
    if len(running) != len(new_ids):
        raise ValueError(f"{len(running)} items begin anew, and {len(new_ids)} ids were given")
    names = dict(zip((item.id for item in running), new_ids, strict=True))
    items = []
    again = []
    for item in terms.items:
        if item.id not in names:
            items.append(item)
            continue
        old = names.get(item.replaces or "", item.replaces)
        waits = item.starts_on > paused_on and (item.ends_on is None or item.ends_on > day)
        if waits and item.id in charged:
            items.append(replace(item, ends_on=item.starts_on, ends_at=None))
            again.append(replace(item, id=names[item.id], starts_on=max(item.starts_on, day), replaces=old))
        elif item.starts_on > day:
            items.append(replace(item, replaces=old))
        elif waits:
            items.append(replace(item, starts_on=day))
        else:
            items.append(replace(item, ends_on=max(paused_on, item.starts_on), ends_at=None))
            if item.ends_on is None or item.ends_on > day:
                again.append(
                    replace(item, id=names[item.id], starts_on=day, starts_at=None, replaces=item.id)
                )
    return [*items, *again]


def _moved(items: Sequence[Item], paused_on: date, by: timedelta) -> list[Item]:
    """Changes that wait for the end of what is paid for, moved with it."""
    found = []
    for item in items:
        if item.starts_on > paused_on:
            item = replace(item, starts_on=item.starts_on + by)
        if item.ends_on is not None and item.ends_on > paused_on:
            item = replace(item, ends_on=item.ends_on + by, ends_at=None)
        found.append(item)
    return found
