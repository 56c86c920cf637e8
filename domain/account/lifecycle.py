"""The life of an account's subscriptions: each command is one pure amendment, and what follows from it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

from domain.account import billing, corrections, coupons
from domain.account.commands import ChangePlan, ChangeQuantity, Subscribe
from domain.account.state import AccountState, Subscription, minor, plan_version
from domain.amendments import Amendment, Moved, Refused, closing, must_run, period_end, running_items
from domain.billing_days import move_bill_cycle_day
from domain.credit_placement import Destination
from domain.dunning import blocked
from domain.dunning_policy import Blocked
from domain.endings import CancelCredit, cancel_at_period_end, cancel_now, items_at_end, reactivate
from domain.metered_items import item_charged_by
from domain.pauses import pause, resume
from domain.pending import waiting
from domain.periods import Anchor
from domain.plan_changes import (
    Swap,
    behaviour_for,
    change,
    direction,
    item_at,
    recurring_amount,
    without_waiting,
)
from domain.policy import Behaviour
from domain.proration import Moment, day_of
from domain.subscription_terms import Item, SubscriptionTerms
from domain.subscriptions import State, open_subscription, state_on


def subscribe(account: AccountState, step: Subscribe, day: date) -> None:
    """A new subscription from `day` on."""
    if step.name in account.subscriptions:
        raise Refused(f"there is a subscription {step.name!r} already; give the new one another name")
    version = plan_version(account, step.plan, step.version, day)
    add_ons = [plan_version(account, plan, None, day) for plan in step.add_ons]
    opening = open_subscription(
        version,
        starts_on=day,
        as_of=day,
        charged_through=None,
        bill_cycle_day=account.bill_cycle_day,
        ends_on=step.ends_on,
        zone=account.zone,
        add_ons=add_ons,
    )
    override = None if step.price_override is None else minor(account, step.price_override)
    items = [Item(account.new_id(), step.plan, version.version, step.quantity, override, day, None)]
    for code, add_on in zip(step.add_ons, add_ons, strict=True):
        items.append(Item(account.new_id(), code, add_on.version, Decimal(1), None, day, None))
    for item in items:
        account.book.version(item.plan, item.plan_version, account.currency)
    terms = SubscriptionTerms(
        account.new_id(),
        1,
        State.ACTIVE,
        opening.starts_on,
        opening.trial_ends_on,
        Anchor(opening.anchor_on, opening.anchor_day),
        version.interval.interval(),
        opening.ends_on,
        opening.charged_through,
        opening.arrears_through,
        opening.next_bill_on,
        items,
    )
    subscription = Subscription(step.name, terms, opening.ends_on, entitled=[(day, step.plan)])
    account.subscriptions[step.name] = subscription
    for code in step.coupons:
        coupons.apply(account, subscription, code, day)


def runs(account: AccountState, subscription: Subscription) -> bool:
    """Whether it can still be canceled."""
    terms = subscription.terms
    if terms.status in (State.CANCELED, State.EXPIRED):
        return False
    return terms.ends_on is None or terms.ends_on > account.today


def state(subscription: Subscription, day: date) -> State:
    """Its state on `day`, from its rows; one that was canceled and has ended is canceled, not expired."""
    terms = subscription.terms
    found = state_on(
        terms.status,
        starts_on=terms.starts_on,
        trial_ends_on=terms.trial_ends_on,
        ends_on=terms.ends_on,
        day=day,
    )
    if found is State.EXPIRED and subscription.canceled_on is not None:
        return State.CANCELED
    return found


def _used_until(account: AccountState, terms: SubscriptionTerms, day: date) -> billing.Used:
    """What an amendment charges for that closes the stretch before `day`."""
    return billing.used_by(account, closing(terms, day), day)


def _amend(
    account: AccountState, subscription: Subscription, amendment: Amendment, cause: str, used: billing.Used
) -> None:
    """Take the new terms; credits wait for the next invoice, and charges behind them, for what was `used` too."""
    credits = billing.take_credits(account, amendment.credits)
    subscription.terms = amendment.terms
    billing.credit_next(account, credits, cause)
    account.pending += waiting(amendment.charges)
    billing.wait_with(used)


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
    closes = behaviour is Behaviour.RESTART
    used = _used_until(account, terms, day_of(at)) if closes else billing.Used({}, [])
    amendment = change(
        account.rating(used.answer),
        terms,
        account.history(subscription),
        swap,
        at,
        behaviour,
        intro_again=account.policy.changes.intro_again,
    )
    _amend(account, subscription, amendment, swap.new_id, used)
    subscription.later = None
    served = amendment.terms.items[-1].starts_on if behaviour is Behaviour.PERIOD_END else day_of(at)
    _entitle(subscription, served, swap.plan, day_of(at))
    if behaviour is Behaviour.PERIOD_END:
        account.tell(f"it takes effect on {served}")


def _entitle(subscription: Subscription, since: date, plan: str, day: date) -> None:
    """What is read from `since` on; what was to be read later, until today's change, is not any more."""
    subscription.entitled = [each for each in subscription.entitled if each[0] <= day]
    subscription.entitled.append((since, plan))


def _change_interval_later(account: AccountState, subscription: Subscription, swap: Swap, day: date) -> None:
    must_run(subscription.terms, day, "changed")
    subscription.terms = without_waiting(subscription.terms, swap.old, day)
    item_at(subscription.terms, swap.old, day)
    end = period_end(subscription.terms, day)
    if end == subscription.terms.ends_on:
        raise Refused(f"the subscription ends on {end}, before the change would take effect")
    subscription.later = (end, swap)
    account.tell(f"it takes effect on {end}")
    _entitle(subscription, end, swap.plan, day)


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
    used = _used_until(account, subscription.terms, account.today)
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
    _amend(account, subscription, amendment, swap.new_id, used)


def pause_subscription(account: AccountState, name: str, day: date, until: date | None) -> None:
    """A pause from `day` on, to be resumed on `until`, if given."""
    subscription = account.subscription(name)
    if until is not None and until <= day:
        raise Refused(f"a pause from {day} cannot end on {until}")
    keep = account.policy.pause.paid_time == "extend"
    used = _used_until(account, subscription.terms, day)
    rating = account.rating(used.answer)
    amendment = pause(rating, subscription.terms, account.history(subscription), day, keep_time=keep)
    _amend(account, subscription, amendment, account.new_id(), used)
    subscription.pauses.append((day, None))
    subscription.resumes_on = until


def resume_subscription(account: AccountState, subscription: Subscription, day: date) -> None:
    """The end of a pause."""
    if subscription.terms.status is not State.PAUSED:
        raise Refused(f"subscription {subscription.name!r} is not paused, so it cannot be resumed")
    paused_on = subscription.pauses[-1][0]
    kept = subscription.terms.charged_through > paused_on
    ids = [account.new_id() for _ in running_items(subscription.terms, paused_on)]
    amendment = resume(
        subscription.terms,
        day,
        paused_on,
        ids,
        arrears_only=not _has_advance(account, subscription),
        extends_term=account.policy.pause.extends_term,
    )
    subscription.terms = amendment.terms
    if subscription.term_end is not None and account.policy.pause.extends_term:
        subscription.term_end += day - paused_on
    subscription.pauses[-1] = (paused_on, day)
    subscription.resumes_on = None
    if kept and day > paused_on:
        subscription.moved.append(Moved(paused_on, day))


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


def cancel(
    account: AccountState,
    subscription: Subscription,
    at: Moment,
    credit: CancelCredit | None,
    to: Destination | None,
) -> None:
    """A cancel that takes effect at once; what it gives back goes on credit notes now, for no invoice may follow."""
    paused_on = subscription.pauses[-1][0] if subscription.terms.status is State.PAUSED else None
    used = _used_until(account, subscription.terms, max(day_of(at), subscription.terms.starts_on))
    amendment = cancel_now(
        account.rating(used.answer),
        subscription.terms,
        account.history(subscription),
        at,
        credit=credit or account.policy.cancel.credit,
        paused_on=paused_on,
    )
    credits = billing.take_credits(account, amendment.credits)
    account.pending += waiting(amendment.charges)
    subscription.terms = amendment.terms
    billing.wait_with(used)
    subscription.canceled_on = day_of(at)
    subscription.later = None
    subscription.resumes_on = None
    if paused_on is not None:
        subscription.pauses[-1] = (paused_on, day_of(at))
        if account.policy.pause.paid_time == "extend":
            subscription.moved.append(Moved(paused_on, day_of(at)))
    destination = to or Destination(account.policy.cancel.to)
    corrections.give_back(account, credits, destination, "canceled")


def cancel_later(account: AccountState, subscription: Subscription, day: date) -> None:
    """A cancel at the end of what is charged."""
    amendment = cancel_at_period_end(subscription.terms, day)
    kept = {item.id: item for item in amendment.terms.items}
    for item in subscription.terms.items:
        # A change that falls away is not read by any more, where it was read by before it was charged.
        if item.id not in kept and item.replaces in kept and subscription.entitled[-1][1] == item.plan:
            _entitle(subscription, day, kept[item.replaces].plan, day)
    subscription.terms = amendment.terms
    account.tell(f"subscription {subscription.name} will end on {amendment.terms.ends_on}")
    subscription.canceled_on = day
    subscription.later = None


def reactivate_subscription(account: AccountState, name: str, day: date) -> None:
    """A cancel taken back, or a new start after it."""
    subscription = account.subscription(name)
    if subscription.canceled_on is None:
        raise Refused(f"subscription {name!r} has not been canceled, so it cannot be reactivated")
    ids = [account.new_id() for _ in items_at_end(subscription.terms)]
    ends_on = subscription.terms.ends_on
    over = ends_on is not None and ends_on <= day
    used = _used_until(account, subscription.terms, ends_on) if ends_on and over else billing.Used({}, [])
    amendment = reactivate(
        account.rating(used.answer),
        subscription.terms,
        day,
        ids,
        bill_cycle_day=account.bill_cycle_day,
        term_end=subscription.term_end,
    )
    if subscription.pauses and subscription.pauses[-1][1] is None and subscription.terms.ends_on is not None:
        subscription.pauses[-1] = (subscription.pauses[-1][0], subscription.terms.ends_on)
    _amend(account, subscription, amendment, account.new_id(), used)
    subscription.canceled_on = None


def set_bill_cycle_day(account: AccountState, wanted: int, day: date) -> None:
    """Another bill cycle day for the account and all that runs."""
    for subscription in account.subscriptions.values():
        if runs(account, subscription) and subscription.terms.status is not State.PAUSED:
            subscription.terms = move_bill_cycle_day(subscription.terms, day, wanted).terms
    account.bill_cycle_day = wanted


def item_for_usage(account: AccountState, subscription: Subscription, meter: str, day: date) -> str:
    """The item, served on `day`, that is charged for `meter`. Raises Refused when none is."""
    terms = subscription.terms
    item = item_charged_by(
        meter,
        day,
        terms.items,
        terms.ends_on,
        lambda item: account.book.version(item.plan, item.plan_version, account.currency),
    )
    if item is not None:
        return item.id
    raise Refused(
        f"nothing that subscription {subscription.name!r} has on {day} is charged by meter {meter!r}"
    )
