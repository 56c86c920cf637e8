"""Coupons of an account: a code of the rule book becomes a discount of a subscription."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from domain.account.state import AccountState, Subscription
from domain.amendments import Refused
from domain.coupons import Coupon, CouponStacking, discount_for, in_order, refuse_unless_combinable


def apply(account: AccountState, subscription: Subscription, code: str, day: date) -> None:
    """The coupon `code` for `subscription`, asked for on `day`. Raises Refused when there is no such coupon."""
    coupon = _coupon(account, code)
    terms = subscription.terms
    known = {each.code: each.stacking for each in account.rules.coupons}
    held = [each.code for each in terms.discounts if each.ends_on is None or each.ends_on > day]
    # A discount that was imported, or whose coupon is offered no more, forbids none beside it.
    refuse_unless_combinable(coupon, {code: known.get(code, CouponStacking.COMBINABLE) for code in held})
    discount = discount_for(coupon, account.currency, terms.anchor, terms.interval, day, terms.next_bill_on)
    places = {each.code: each.order for each in account.rules.coupons}
    discounts = in_order([*terms.discounts, discount], account.policy.discount_order, places)
    subscription.terms = replace(terms, discounts=discounts)


def _coupon(account: AccountState, code: str) -> Coupon:
    for coupon in account.rules.coupons:
        if coupon.code == code:
            return coupon
    raise Refused(f"there is no coupon {code!r}")
