"""What every amendment of a subscription comes to: its terms, what its credits and charges wait for, what is read."""

from __future__ import annotations

from datetime import date

from domain.account import billing
from domain.account.state import AccountState, Subscription
from domain.amendments import Amendment, closing
from domain.pending import waiting
from domain.subscription_terms import Item, SubscriptionTerms


def used_until(account: AccountState, terms: SubscriptionTerms, day: date) -> billing.Used:
    """What an amendment charges for that closes the stretch before `day`."""
    return billing.used_by(account, closing(terms, day), day)


def amend(
    account: AccountState, subscription: Subscription, amendment: Amendment, cause: str, used: billing.Used
) -> None:
    """Take the new terms; credits wait for the next invoice, and charges behind them, for what was `used` too."""
    credits = billing.take_credits(account, amendment.credits)
    take_terms(subscription, amendment.terms)
    billing.credit_next(account, credits, cause)
    account.pending += waiting(amendment.charges)
    billing.wait_with(used)


def take_terms(subscription: Subscription, terms: SubscriptionTerms) -> None:
    """Take `terms`; a change that waits, and is read when it is charged, is read on the day that it waits for now."""
    days = {item.id: item.starts_on for item in terms.items if item.starts_on != item.ends_on}
    moved = {
        (item.starts_on, item.plan): days[item.id]
        for item in subscription.terms.items
        if item.replaces is not None and days.get(item.id, item.starts_on) != item.starts_on
    }
    subscription.terms = terms
    subscription.entitled = [(moved.get(each, each[0]), each[1]) for each in subscription.entitled]


def unread(subscription: Subscription, dropped: Item, plan: str, day: date) -> None:
    """`plan` is read again from `day` on, where `dropped`, which falls away before it is charged, was read already."""
    before = [each for each in subscription.entitled if each[0] <= day]
    if before[-1][1] == dropped.plan != plan:
        entitle(subscription, day, plan, day)


def entitle(subscription: Subscription, since: date, plan: str, day: date) -> None:
    """What is read from `since` on; what was to be read later, until today's change, is not any more."""
    subscription.entitled = [each for each in subscription.entitled if each[0] <= day]
    subscription.entitled.append((since, plan))
