"""Charge models: from a quantity and a compiled price to an amount, rounded once (billing laws 3 and 8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from domain.catalog import Percentage, Price, PriceModel
from domain.money import MoneyError, exponent


@dataclass(frozen=True, slots=True)
class PricedTier:
    """A tier in one currency: `up_to` inclusive (None: no end), amounts in minor units, not yet rounded."""

    up_to: Fraction | None
    unit: Fraction
    flat: Fraction


@dataclass(frozen=True, slots=True)
class Share:
    """A percentage in one currency: `rate` is a fraction of one, amounts are minor units, not yet rounded; the least
    and the most are for an event."""

    rate: Fraction
    free_events: int
    free_amount: Fraction
    fee: Fraction
    least: Fraction
    most: Fraction | None

    @property
    def by_event(self) -> bool:
        """Whether single events have to be known, and not only their sum."""
        return bool(self.free_events or self.fee or self.least) or self.most is not None


@dataclass(frozen=True, slots=True)
class Schedule:
    """A price in one currency, ready to multiply. `unit` is minor units per unit, package or period; `whole` is
    the same as an int where a flat price has no fraction, which is the path that runs by the million."""

    model: PriceModel
    unit: Fraction
    whole: int | None
    tiers: tuple[PricedTier, ...] = ()
    package_size: Fraction = Fraction(1)
    share: Share | None = None


def minor_fraction(text: str, currency: str) -> Fraction:
    """Major units as text in exact minor units; a unit price may be a fraction of a minor unit."""
    return Fraction(Decimal(text).scaleb(exponent(currency)))


def schedule(price: Price, currency: str) -> Schedule:
    """`price` compiled for `currency`. Raises MoneyError when the price has no amount in it."""

    def amount(amounts: dict[str, str], default: Fraction | None = None) -> Fraction:
        if currency in amounts:
            return minor_fraction(amounts[currency], currency)
        if default is None:
            raise MoneyError(f"price {price.code!r} has no amount in {currency}")
        return default

    if price.model in (PriceModel.GRADUATED, PriceModel.VOLUME):
        tiers = []
        for tier in price.tiers:
            if currency not in tier.unit_amounts and currency not in tier.flat_amounts:
                raise MoneyError(f"a tier of price {price.code!r} has no amount in {currency}")
            tiers.append(
                PricedTier(
                    None if tier.up_to is None else Fraction(tier.up_to),
                    amount(tier.unit_amounts, Fraction(0)),
                    amount(tier.flat_amounts, Fraction(0)),
                )
            )
        return Schedule(price.model, Fraction(0), None, tuple(tiers))
    if price.percentage is not None:
        share = _share(price.code, price.percentage, currency)
        return Schedule(price.model, Fraction(0), None, share=share)
    unit = amount(price.amounts)
    whole = int(unit) if unit.denominator == 1 else None
    size = Fraction(price.package_size) if price.package_size is not None else Fraction(1)
    return Schedule(price.model, unit, whole, (), size)


def _share(code: str, percentage: Percentage, currency: str) -> Share:
    def amount(amounts: dict[str, str]) -> Fraction | None:
        if not amounts:
            return None
        if currency not in amounts:
            raise MoneyError(f"price {code!r} has no amount in {currency}")
        return minor_fraction(amounts[currency], currency)

    return Share(
        Fraction(percentage.rate) / 100,
        percentage.free_events,
        amount(percentage.free_amounts) or Fraction(0),
        amount(percentage.fixed_fees) or Fraction(0),
        amount(percentage.min_amounts) or Fraction(0),
        amount(percentage.max_amounts),
    )


def round_fraction(value: Fraction) -> int:
    """`value` rounded to a whole number, halves away from zero."""
    numerator, denominator = value.numerator, value.denominator
    if numerator >= 0:
        return (2 * numerator + denominator) // (2 * denominator)
    return -((denominator - 2 * numerator) // (2 * denominator))


def exact_amount(terms: Schedule, quantity: Fraction) -> Fraction:
    """What `quantity` costs in minor units, before rounding. Nothing costs nothing, flat prices and minimums
    apart.

    Graduated: each unit at its own tier's price, and the flat fee of every tier reached. Volume: all units at the
    price of the tier that the quantity ends in. Tiers' bounds are inclusive (law 8). Package: whole packages.
    Percentage: of what is above the free amount; for one that has to know single events, see `share_of_events`.
    """
    if terms.model in (PriceModel.FLAT, PriceModel.MINIMUM):
        return terms.unit
    if quantity <= 0:
        return Fraction(0)
    if terms.model is PriceModel.PER_UNIT:
        return terms.unit * quantity
    if terms.model is PriceModel.PACKAGE:
        return terms.unit * -(-quantity // terms.package_size)
    if terms.share is not None:
        return terms.share.rate * max(quantity - terms.share.free_amount, Fraction(0))
    total = Fraction(0)
    lower = Fraction(0)
    for tier in terms.tiers:
        last = tier.up_to is None or quantity <= tier.up_to
        if terms.model is PriceModel.VOLUME:
            if last:
                return tier.unit * quantity + tier.flat
            continue
        upper = quantity if last or tier.up_to is None else tier.up_to
        total += tier.unit * (upper - lower) + tier.flat
        if last:
            return total
        lower = upper
    raise MoneyError(f"a quantity of {quantity} is above the last tier; give the last tier no up_to")


def amount_for(terms: Schedule, quantity: Fraction, days: int, whole_days: int) -> int:
    """What `quantity` costs for `days` of a period that has `whole_days`, in minor units, rounded once."""
    value = exact_amount(terms, quantity)
    if days != whole_days:
        value = value * days / whole_days
    return round_fraction(value)


def share_of_events(share: Share, events: Iterable[Fraction]) -> Fraction:
    """What `events` (money in minor units, in the order of their time) cost by `share`, before rounding.

    An event that is free, by its place or because the free amount covers all of it, costs no fee and no least amount.
    One of zero or less (a reversal) takes off its rate, is no event otherwise, and makes no total below zero.
    """
    total = Fraction(0)
    free_events, free_amount = share.free_events, share.free_amount
    for money in events:
        if money <= 0:
            total += share.rate * money
            continue
        if free_events > 0:
            free_events -= 1
            continue
        free = min(money, free_amount)
        free_amount -= free
        if free == money:
            continue
        cost = max(share.rate * (money - free) + share.fee, share.least)
        total += cost if share.most is None else min(cost, share.most)
    return max(total, Fraction(0))
