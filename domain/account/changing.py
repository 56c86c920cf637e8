"""Changes of plan and quantity, and those of the interval that wait for a day."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from domain.account import billing
from domain.account.amending import amend, entitle, unread, used_until
from domain.account.commands import ChangePlan, ChangeQuantity
from domain.account.lifecycle import runs
from domain.account.state import AccountState, Subscription, minor, plan_version
from domain.amendments import Refused, must_run, period_end
from domain.dunning import blocked
from domain.dunning_policy import Blocked
from domain.plan_changes import (
    Swap,
    behaviour_for,
    change,
    change_that_waits,
    direction,
    item_at,
    recurring_amount,
    without_waiting,
)
from domain.policy import Behaviour
from domain.proration import Moment, day_of
from domain.subscription_terms import Item
from domain.subscriptions import State


def _item(subscription: Subscription, plan: str | None, day: date) -> Item:
    running = [
        item
        for item in subscription.terms.items
        if (item.ends_on is None or item.ends_on > day)
        and item.starts_on <= max(day, subscription.terms.starts_on)
    ]
    for item in running:
        if plan is None or item.plan == plan:
            return item
    raise Refused(
        f"subscription {subscription.name!r} has no item of plan {plan!r} on {day}"
        if plan
        else f"subscription {subscription.name!r} is not served on {day}"
    )


def _amount(account: AccountState, plan: str, version: int, quantity: Decimal, override: int | None) -> int:
    return recurring_amount(account.book.version(plan, version, account.currency), quantity, override)


def change_plan(account: AccountState, step: ChangePlan, at: Moment) -> None:
    """Another plan for one item, as the policy says for the direction of the change."""
    subscription = account.subscription(step.subscription)
    day = day_of(at)
    old = _item(subscription, step.item, day)
    version = plan_version(account, step.to, step.version, day)
    interval = version.interval.interval()
    override = None if step.price_override is None else minor(account, step.price_override)
    swap = Swap(old.id, account.new_id(), step.to, version.version, old.quantity, override, interval)
    _swap(account, subscription, old, swap, at, step.behaviour)


def change_quantity(account: AccountState, step: ChangeQuantity, at: Moment) -> None:
    """Another quantity of one item: up is an upgrade, down a downgrade."""
    subscription = account.subscription(step.subscription)
    old = _item(subscription, step.item, day_of(at))
    swap = Swap(old.id, account.new_id(), old.plan, old.plan_version, step.quantity, old.price_override, None)
    _swap(account, subscription, old, swap, at, step.behaviour)


def _swap(
    account: AccountState,
    subscription: Subscription,
    old: Item,
    swap: Swap,
    at: Moment,
    wanted: Behaviour | None,
) -> None:
    if blocked(account.policy.dunning, account.dunning[-1][1], Blocked.PLAN_CHANGE):
        raise Refused("the account owes money, and dunning blocks changes of plan until it is paid")
    terms = subscription.terms
    interval = swap.interval or terms.interval
    way = direction(
        _amount(account, old.plan, old.plan_version, old.quantity, old.price_override),
        terms.interval,
        _amount(account, swap.plan, swap.plan_version, swap.quantity, swap.price_override),
        interval,
    )
    behaviour = wanted or behaviour_for(account.policy.changes, way)
    if behaviour is Behaviour.PERIOD_END and interval != terms.interval:
        _change_interval_later(account, subscription, swap, day_of(at))
        return
    waits = change_that_waits(terms, old.id, day_of(at))
    closes = behaviour is Behaviour.RESTART
    used = used_until(account, terms, day_of(at)) if closes else billing.Used({}, [])
    amendment = change(
        account.rating(used.answer),
        terms,
        account.history(subscription),
        swap,
        at,
        behaviour,
        intro_again=account.policy.changes.intro_again,
    )
    amend(account, subscription, amendment, swap.new_id, used)
    subscription.later = None
    if waits is not None:
        unread(subscription, waits, old.plan, day_of(at))
    served = amendment.terms.items[-1].starts_on if behaviour is Behaviour.PERIOD_END else day_of(at)
    entitle(subscription, served, swap.plan, day_of(at))
    if behaviour is Behaviour.PERIOD_END:
        account.tell(f"it takes effect on {served}")


def _change_interval_later(account: AccountState, subscription: Subscription, swap: Swap, day: date) -> None:
    must_run(subscription.terms, day, "changed")
    waits = change_that_waits(subscription.terms, swap.old, day)
    # One that was billed ahead comes first: what is charged is served, and the period's end is the end of that.
    comes = waits if waits is not None and waits.starts_on < subscription.terms.charged_through else None
    if waits is not None and comes is None:
        unread(subscription, waits, item_at(subscription.terms, swap.old, day).plan, day)
        subscription.terms = without_waiting(subscription.terms, swap.old, day)
    item_at(subscription.terms, swap.old, day)
    end = period_end(subscription.terms, day)
    if end == subscription.terms.ends_on:
        raise Refused(f"the subscription ends on {end}, before the change would take effect")
    subscription.later = (end, swap)
    account.tell(f"it takes effect on {end}")
    entitle(subscription, end, swap.plan, comes.starts_on if comes is not None else day)


def change_what_waited(account: AccountState) -> None:
    """Changes of interval whose day has come; one that came during a pause waits for its end."""
    for subscription in account.subscriptions.values():
        if subscription.later is None or subscription.later[0] > account.today:
            continue
        if subscription.terms.status is State.PAUSED:
            continue
        _, swap = subscription.later
        subscription.later = None
        if runs(account, subscription):
            # Items stand in the order of their ids: a pause in between may have made some.
            swap = replace(swap, old=_heir(subscription, swap.old), new_id=account.new_id())
            _restart_with(account, subscription, swap)


def _heir(subscription: Subscription, item_id: str) -> str:
    """The item that stands in the place of `item_id` now."""
    for item in subscription.terms.items:
        if item.replaces == item_id:
            return _heir(subscription, item.id)
    return item_id


def _restart_with(account: AccountState, subscription: Subscription, swap: Swap) -> None:
    used = used_until(account, subscription.terms, account.today)
    try:
        amendment = change(
            account.rating(used.answer),
            subscription.terms,
            account.history(subscription),
            swap,
            account.today,
            Behaviour.RESTART,
            intro_again=account.policy.changes.intro_again,
        )
    except Refused as refused:
        account.tell(f"a change of {subscription.name} that waited was not made: {refused}")
        return
    amend(account, subscription, amendment, swap.new_id, used)
