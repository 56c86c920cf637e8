"""Coupons: what one takes off, for how long, beside which others; and the discount that it becomes on a subscription.

A discount is taken before tax and never below zero (law 7): see `domain.discounts`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from domain.catalog import AmountText, Currency
from domain.discounts import Discount
from domain.money import MoneyError, parse_minor
from domain.periods import Anchor, Interval, boundary, period_at

DiscountOrder = Literal["as_applied", "percent_first", "fixed_first"]


class Duration(StrEnum):
    """How long a coupon holds: one bill, so many billing periods, or for good."""

    ONCE = "once"
    PERIODS = "periods"
    FOREVER = "forever"


class CouponStacking(StrEnum):
    """Whether a coupon may stand beside others."""

    COMBINABLE = "combinable"
    EXCLUSIVE = "exclusive"


class CouponRefused(ValueError):
    """A coupon that the subscription cannot have; the message says why."""


class Coupon(BaseModel):
    """A percentage, or an amount per currency (major units) of each bill. Of several coupons on one subscription the
    lower `order` cuts first, as far as the policy leaves that open."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    code: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")
    percent: Decimal | None = Field(default=None, gt=0, le=100)
    amounts: dict[Currency, AmountText] = Field(default_factory=dict)
    duration: Duration = Duration.ONCE
    periods: int | None = Field(default=None, gt=0, description="how many, where the duration is periods")
    stacking: CouponStacking = CouponStacking.COMBINABLE
    order: int = 0

    @model_validator(mode="after")
    def _fits_together(self) -> Coupon:
        problems = []
        if (self.percent is None) == (not self.amounts):
            problems.append("a coupon takes off either a percent or amounts; give one of the two")
        if (self.duration is Duration.PERIODS) != (self.periods is not None):
            problems.append("a coupon has periods just where its duration is periods")
        for currency, text in self.amounts.items():
            try:
                if parse_minor(text, currency) <= 0:
                    problems.append(f"{text} {currency} takes nothing off; it must be above 0")
            except MoneyError as error:
                problems.append(str(error))
        if problems:
            raise ValueError("; ".join(problems))
        return self


def discount_for(
    coupon: Coupon,
    currency: str,
    anchor: Anchor,
    interval: Interval,
    applied_on: date,
    next_bill_on: date | None = None,
) -> Discount:
    """`coupon` on a subscription with these periods, from its first bill on or after `applied_on`: that of
    `next_bill_on`, or else the first day of a period. A percentage then holds for all that is charged for periods
    from that bill on.

    Once is that bill alone. So many periods are counted from the first whole period: a leading stub before it has the
    discount too, as it has the price of the first phase. Raises CouponRefused when there is no amount in `currency`.
    """
    if next_bill_on is not None and next_bill_on >= applied_on:
        first = next_bill_on
    else:
        first = _first_boundary(anchor, interval, applied_on)
    amount = None
    if coupon.percent is None:
        if currency not in coupon.amounts:
            listed = ", ".join(coupon.amounts)
            raise CouponRefused(
                f"coupon {coupon.code} is for accounts in {listed}, and this one is in {currency}"
            )
        amount = parse_minor(coupon.amounts[currency], currency)
    return Discount(coupon.code, coupon.percent, amount, first, _end(coupon, anchor, interval, first))


def refuse_unless_combinable(coupon: Coupon, held: Mapping[str, CouponStacking]) -> None:
    """Raises CouponRefused when `coupon` cannot join those that the subscription holds, by code: it is there already,
    or one of them, or it, is exclusive."""
    if coupon.code in held:
        raise CouponRefused(f"coupon {coupon.code} is on the subscription already")
    exclusive = [code for code, stacking in held.items() if stacking is CouponStacking.EXCLUSIVE]
    if exclusive:
        raise CouponRefused(f"coupon {exclusive[0]}, which is on the subscription, allows no other beside it")
    if held and coupon.stacking is CouponStacking.EXCLUSIVE:
        raise CouponRefused(
            f"coupon {coupon.code} allows no other beside it, and {next(iter(held))} is there"
        )


def in_order(
    discounts: Iterable[Discount], order: DiscountOrder, places: Mapping[str, int] | None = None
) -> list[Discount]:
    """`discounts`, given as they were applied, in the order in which they cut: by the policy `order`, then by `places`
    (a coupon's own order by code; 0 by default), then as applied."""
    numbers = places or {}

    def place(discount: Discount) -> tuple[bool, int]:
        behind = order != "as_applied" and (discount.percent is None) == (order == "percent_first")
        return behind, numbers.get(discount.code, 0)

    return sorted(discounts, key=place)


def _first_boundary(anchor: Anchor, interval: Interval, day: date) -> date:
    period = period_at(anchor, interval, day)
    return day if period.start == day else period.end


def _end(coupon: Coupon, anchor: Anchor, interval: Interval, first: date) -> date | None:
    if coupon.duration is Duration.FOREVER:
        return None
    period = period_at(anchor, interval, first)
    if coupon.periods is None:
        return period.end
    whole = period.ordinal if period.start == first else period.ordinal + 1
    return boundary(anchor, interval, whole + coupon.periods)
