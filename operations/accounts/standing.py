"""How a subscription stands, as plain values for JSON: days as text, money in minor units."""

from __future__ import annotations

from typing import Any

from domain.account import lifecycle
from domain.account.dates import next_dated
from domain.account.state import AccountState, Subscription
from domain.amendments import running_items
from domain.subscription_terms import Item


def subscription_standing(account: AccountState, subscription: Subscription) -> dict[str, Any]:
    """Its state today, what it consists of, and what comes next."""
    terms = subscription.terms
    dated = next_dated(account, subscription)
    return {
        "id": terms.id,
        "external_key": subscription.name,
        "state": lifecycle.state(subscription, account.today).value,
        "items": [_item(item) for item in running_items(terms, account.today)],
        "charged_through": str(terms.charged_through),
        "next_bill_on": terms.next_bill_on and str(terms.next_bill_on),
        "ends_on": terms.ends_on and str(terms.ends_on),
        "trial_ends_on": terms.trial_ends_on and str(terms.trial_ends_on),
        "resumes_on": subscription.resumes_on and str(subscription.resumes_on),
        "changes_on": subscription.later and str(subscription.later[0]),
        "next_change_on": dated and str(dated),
        "discounts": [each.code for each in terms.discounts],
    }


def _item(item: Item) -> dict[str, Any]:
    return {
        "id": item.id,
        "plan": item.plan,
        "version": item.plan_version,
        "quantity": str(item.quantity),
        "price_override": item.price_override,
        "starts_on": str(item.starts_on),
        "ends_on": item.ends_on and str(item.ends_on),
    }
