"""What an account gives access to: its subscriptions with their pauses, and the gifts that were claimed."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import date

from domain.account.collecting import unpaid
from domain.account.media import SOMEBODY
from domain.account.state import AccountState, Subscription, plan_version
from domain.amendments import Refused
from domain.entitlements import AccessFacts, Given, Grant, Span, Subscribed, claimed, grants_of
from domain.subscription_terms import Item, SubscriptionTerms
from domain.withholding import withheld


def grants(
    account: AccountState,
    *,
    dunned: bool,
    awaiting: Collection[str] = (),
    purchases: Sequence[Given] = (),
) -> list[Grant]:
    """Every grant of the account as it stands; its own reader is called by its id. `dunned`: its debts keep readers out
    as the rule book says; otherwise nobody dunns it, and they do not: what dunning kept from them before is past.
    `awaiting` are the ids of subscriptions whose
    first payment has not come in, `purchases` what was bought once and paid for."""
    open_invoices = unpaid(account)
    holds = list(account.holds.values())
    debts = open_invoices if dunned else ()
    held = withheld(account.policy, account.dunning, debts, account.today, holds)
    facts = AccessFacts(
        account.id,
        account.zone,
        tuple(_subscribed(each, awaiting) for each in account.subscriptions.values()),
        (*purchases, *_given(account)),
        held,
        payment_open=bool(open_invoices),
    )
    plans = {plan.code: plan.versions for plan in account.catalog.plans}
    return grants_of(facts, plans, account.policy.access)


def _subscribed(subscription: Subscription, awaiting: Collection[str]) -> Subscribed:
    pauses = [
        Span(start, end or subscription.resumes_on) for start, end in subscription.pauses if start != end
    ]
    terms = _with_later(subscription)
    read = replace(terms, items=_as_read(terms.items, subscription.entitled))
    return Subscribed(read, tuple(pauses), subscription.terms.id in awaiting)


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
        if not since or since[-1] >= item.starts_on:
            continue
        # A pause in between may have made the old one begin anew.
        while since[-1] < old.starts_on and old.replaces in found:
            found[old.id] = replace(old, ends_on=old.starts_on, starts_at=None, ends_at=None)
            old = found[old.replaces]
        if old.starts_on <= since[-1]:
            if old.ends_on is None or old.ends_on > since[-1]:
                found[old.id] = replace(old, ends_on=since[-1], ends_at=None)
            found[item.id] = replace(found[item.id], starts_on=since[-1], starts_at=None)
    return list(found.values())


def _given(account: AccountState) -> Iterator[Given]:
    for gift in account.gifts.values():
        line = next(
            (
                line
                for invoice in account.invoices
                for line in invoice.billed
                if line.item_id == gift.id and line.price_id is not None
            ),
            None,
        )
        if line is None or line.price_id is None:
            continue
        plan, _ = account.prices[line.price_id]
        try:
            version = plan_version(account, plan, None, gift.bought_on).version
        except Refused:
            continue
        found = claimed(gift, plan, version)
        if found is not None:
            # A reader whom nobody named is the account's own: a name that all share would open one's gift to others.
            yield replace(found, reader=None) if found.reader == SOMEBODY else found
