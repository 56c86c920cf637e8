"""Pauses of a subscription, those that end by themselves among them."""

from __future__ import annotations

from datetime import date

from domain.account.amending import amend, used_until
from domain.account.state import AccountState, Subscription
from domain.amendments import Refused, moved_time, running_items
from domain.pauses import pause, resume
from domain.subscriptions import State
from domain.undone_changes import charged_from


def pause_subscription(account: AccountState, name: str, day: date, until: date | None) -> None:
    """A pause from `day` on, to be resumed on `until`, if given."""
    subscription = account.subscription(name)
    if until is not None and until <= day:
        raise Refused(f"a pause from {day} cannot end on {until}")
    keep = account.policy.pause.paid_time == "extend"
    used = used_until(account, subscription.terms, day)
    rating = account.rating(used.answer)
    amendment = pause(rating, subscription.terms, account.history(subscription), day, keep_time=keep)
    amend(account, subscription, amendment, account.new_id(), used)
    subscription.pauses.append((day, None))
    subscription.resumes_on = until


def resume_subscription(account: AccountState, subscription: Subscription, day: date) -> None:
    """The end of a pause."""
    if subscription.terms.status is not State.PAUSED:
        raise Refused(f"subscription {subscription.name!r} is not paused, so it cannot be resumed")
    paused_on = subscription.pauses[-1][0]
    kept = subscription.terms.charged_through > paused_on
    running = running_items(subscription.terms, paused_on)
    history = account.history(subscription)
    amendment = resume(
        subscription.terms,
        day,
        paused_on,
        [account.new_id() for _ in running],
        charged={item.id for item in running if charged_from(history, item, paused_on)},
        arrears_only=not _has_advance(account, subscription),
        extends_term=account.policy.pause.extends_term,
    )
    subscription.terms = amendment.terms
    if subscription.term_end is not None and account.policy.pause.extends_term:
        subscription.term_end += day - paused_on
    subscription.pauses[-1] = (paused_on, day)
    subscription.resumes_on = None
    if kept and day > paused_on:
        move = moved_time(history, paused_on, day)
        subscription.moved.append(move)
        # What is to come when the paid time is over moves with it.
        if subscription.later is not None:
            subscription.later = (subscription.later[0] + move.days, subscription.later[1])
        subscription.entitled = [
            (since + move.days if since > paused_on else since, plan) for since, plan in subscription.entitled
        ]


def _has_advance(account: AccountState, subscription: Subscription) -> bool:
    return any(
        phase.advance
        for item in subscription.terms.items
        for phase in account.book.version(item.plan, item.plan_version, account.currency).phases
    )


def resume_what_waited(account: AccountState) -> None:
    """Pauses that were to end today."""
    for subscription in account.subscriptions.values():
        if subscription.resumes_on is None or subscription.resumes_on > account.today:
            continue
        subscription.resumes_on = None
        if subscription.terms.status is State.PAUSED:
            try:
                resume_subscription(account, subscription, account.today)
                account.tell(f"subscription {subscription.name} is resumed")
            except Refused as refused:
                account.tell(f"{subscription.name} was not resumed: {refused}")
