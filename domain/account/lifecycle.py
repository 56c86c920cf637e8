"""The life of an account's subscriptions from their beginning to their end: each command is one pure amendment, and
what follows from it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from domain.account import billing, corrections, coupons
from domain.account.amending import amend, entitle, take_terms, unread, used_until
from domain.account.commands import Subscribe
from domain.account.state import AccountState, Subscription, minor, plan_version
from domain.amendments import Refused, moved_time
from domain.billing_days import move_bill_cycle_day
from domain.credit_placement import Destination
from domain.endings import CancelCredit, cancel_at_period_end, cancel_now, items_at_end, reactivate
from domain.metered_items import item_charged_by
from domain.pending import waiting
from domain.periods import Anchor
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


def cancel(
    account: AccountState,
    subscription: Subscription,
    at: Moment,
    credit: CancelCredit | None,
    to: Destination | None,
) -> None:
    """A cancel that takes effect at once; what it gives back goes on credit notes now, for no invoice may follow."""
    paused_on = subscription.pauses[-1][0] if subscription.terms.status is State.PAUSED else None
    used = used_until(account, subscription.terms, max(day_of(at), subscription.terms.starts_on))
    history = account.history(subscription)
    amendment = cancel_now(
        account.rating(used.answer),
        subscription.terms,
        history,
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
            subscription.moved.append(moved_time(history, paused_on, day_of(at)))
    destination = to or Destination(account.policy.cancel.to)
    corrections.give_back(account, credits, destination, "canceled")


def cancel_later(account: AccountState, subscription: Subscription, day: date) -> None:
    """A cancel at the end of what is charged, or of the trial: what was billed ahead for the time after that goes on
    credit notes now."""
    amendment = cancel_at_period_end(subscription.terms, day, account.history(subscription))
    kept = {item.id: item for item in amendment.terms.items}
    for item in subscription.terms.items:
        # A change that falls away is not read by any more, where it was read by before it was charged.
        if item.id not in kept and item.replaces in kept:
            unread(subscription, item, kept[item.replaces].plan, day)
    ends = (amendment.terms.ends_on, None if subscription.later is None else subscription.later[0])
    first, *changes = subscription.entitled
    end = min(each for each in ends if each is not None)
    subscription.entitled = [first, *(each for each in changes if each[0] < end)]
    credits = billing.take_credits(account, amendment.credits)
    subscription.terms = amendment.terms
    account.tell(f"subscription {subscription.name} will end on {amendment.terms.ends_on}")
    subscription.canceled_on = day
    subscription.later = None
    corrections.give_back(account, credits, Destination(account.policy.cancel.to), "canceled")


def reactivate_subscription(account: AccountState, name: str, day: date) -> None:
    """A cancel taken back, or a new start after it."""
    subscription = account.subscription(name)
    if subscription.canceled_on is None:
        raise Refused(f"subscription {name!r} has not been canceled, so it cannot be reactivated")
    ids = [account.new_id() for _ in items_at_end(subscription.terms)]
    ends_on = subscription.terms.ends_on
    over = ends_on is not None and ends_on <= day
    used = used_until(account, subscription.terms, ends_on) if ends_on and over else billing.Used({}, [])
    paused = bool(subscription.pauses) and subscription.pauses[-1][1] is None
    amendment = reactivate(
        account.rating(used.answer),
        subscription.terms,
        day,
        ids,
        bill_cycle_day=account.bill_cycle_day,
        term_end=subscription.term_end,
        history=account.history(subscription),
        paused_on=subscription.pauses[-1][0] if paused else None,
    )
    last = [item.plan for item in items_at_end(subscription.terms)]
    if over and last and subscription.entitled[-1][1] not in last:
        # A change that waited for a later day ended with it.
        entitle(subscription, day, last[0], day)
    if paused and over and ends_on is not None:
        subscription.pauses[-1] = (subscription.pauses[-1][0], subscription.terms.ends_on)
    amend(account, subscription, amendment, account.new_id(), used)
    subscription.canceled_on = None


def set_bill_cycle_day(account: AccountState, wanted: int, day: date) -> None:
    """Another bill cycle day for the account and all that runs."""
    for subscription in account.subscriptions.values():
        if runs(account, subscription) and subscription.terms.status is not State.PAUSED:
            take_terms(subscription, move_bill_cycle_day(subscription.terms, day, wanted).terms)
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
