"""Coupons in a simulation: a code of the scenario becomes a discount of a subscription."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from domain.amendments import Refused
from domain.coupons import Coupon, discount_for, in_order, refuse_unless_combinable
from domain.simulation.world import Subscription, World


def apply(world: World, subscription: Subscription, code: str, day: date) -> None:
    """The coupon `code` for `subscription`, asked for on `day`. Raises Refused when there is no such coupon."""
    coupon = _coupon(world, code)
    terms = subscription.terms
    held = [
        _coupon(world, each.code) for each in terms.discounts if each.ends_on is None or each.ends_on > day
    ]
    refuse_unless_combinable(coupon, held)
    discount = discount_for(coupon, world.currency, terms.anchor, terms.interval, day, terms.next_bill_on)
    places = {each.code: each.order for each in world.scenario.coupons}
    discounts = in_order([*terms.discounts, discount], world.policy.discount_order, places)
    subscription.terms = replace(terms, discounts=discounts)


def _coupon(world: World, code: str) -> Coupon:
    for coupon in world.scenario.coupons:
        if coupon.code == code:
            return coupon
    known = ", ".join(coupon.code for coupon in world.scenario.coupons) or "none"
    raise Refused(f"the scenario has no coupon {code!r}; it has: {known}")
