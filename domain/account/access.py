"""What of an account decides on access to what it has, as `domain.entitlements` takes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from domain.account.collecting import unpaid
from domain.account.media import SOMEBODY, invoice_of
from domain.account.state import AccountState, Subscription, plan_version
from domain.entitlements import AccessFacts, Given, Grant, Span, Subscribed, claimed, grants_of
from domain.subscription_terms import Item, SubscriptionTerms
from domain.withholding import withheld


def grants(account: AccountState) -> list[Grant]:
    """All grants of the account as it stands today. Its own reader is called by its id."""
    plans = {plan.code: plan.versions for plan in account.catalog.plans}
    return grants_of(access_facts(account), plans, account.policy.access)


def access_facts(account: AccountState) -> AccessFacts:
    """What the grants of `account` follow from."""
    open_invoices = unpaid(account)
    return AccessFacts(
        account.id,
        account.zone,
        tuple(_subscribed(each) for each in account.subscriptions.values()),
        tuple(given for name in account.gifts if (given := _given(account, name)) is not None),
        withheld(account.policy, account.dunning, open_invoices, account.today),
        bool(open_invoices),
    )


def _subscribed(subscription: Subscription) -> Subscribed:
    pauses = [Span(start, end) for start, end in subscription.pauses]
    if pauses and pauses[-1].end is None:
        pauses[-1] = Span(pauses[-1].start, subscription.resumes_on)
    terms = _with_later(subscription)
    return Subscribed(replace(terms, items=_as_read(terms.items, subscription.entitled)), tuple(pauses))


def _with_later(subscription: Subscription) -> SubscriptionTerms:
    """The terms as they will be when a change of interval that waits has come."""
    terms = subscription.terms
    if subscription.later is None:
        return terms
    day, swap = subscription.later
    old = swap.old
    while heir := next((item.id for item in terms.items if item.replaces == old), None):
        old = heir
    items = [replace(item, ends_on=day, ends_at=None) if item.id == old else item for item in terms.items]
    new = Item(
        swap.new_id, swap.plan, swap.plan_version, swap.quantity, swap.price_override, day, None, replaces=old
    )
    return replace(terms, items=[*items, new])


def _as_read(items: list[Item], entitled: list[tuple[date, str]]) -> list[Item]:
    """`items` as they are read, which for a change that is charged later is earlier than they are charged: `entitled`
    tells from when on."""
    found = {item.id: item for item in items}
    for item in items:
        old = found.get(item.replaces or "")
        if old is None or old.plan == item.plan:
            continue
        since = [day for day, plan in entitled if plan == item.plan and day <= item.starts_on]
        if since and old.starts_on <= since[-1] < item.starts_on:
            found[old.id] = replace(old, ends_on=since[-1], ends_at=None)
            found[item.id] = replace(found[item.id], starts_on=since[-1], starts_at=None)
    return list(found.values())


def _given(account: AccountState, name: str) -> Given | None:
    gift = account.gifts[name]
    plan, _price = account.prices[invoice_of(account, name).lines[0].price_id or ""]
    given = claimed(gift, plan, plan_version(account, plan, None, gift.bought_on).version)
    if given is None or given.reader != SOMEBODY:
        return given
    return replace(given, reader=None)
