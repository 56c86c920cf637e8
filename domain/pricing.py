"""Charge models: from a quantity and a compiled price to an amount, rounded once (billing laws 3 and 8)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from domain.catalog import Price, PriceModel
from domain.money import MoneyError, exponent


@dataclass(frozen=True, slots=True)
class PricedTier:
    """A tier in one currency: `up_to` inclusive (None: no end), amounts in minor units, not yet rounded."""

    up_to: Fraction | None
    unit: Fraction
    flat: Fraction


@dataclass(frozen=True, slots=True)
class Schedule:
    """A price in one currency, ready to multiply. `unit` is minor units per unit, package or period; `whole` is
    the same as an int where a flat price has no fraction, which is the path that runs by the million."""

    model: PriceModel
    unit: Fraction
    whole: int | None
    tiers: tuple[PricedTier, ...] = ()
    package_size: Fraction = Fraction(1)


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
    unit = amount(price.amounts)
    whole = int(unit) if unit.denominator == 1 else None
    size = Fraction(price.package_size) if price.package_size is not None else Fraction(1)
    return Schedule(price.model, unit, whole, (), size)


def round_fraction(value: Fraction) -> int:
    """`value` rounded to a whole number, halves away from zero."""
    numerator, denominator = value.numerator, value.denominator
    if numerator >= 0:
        return (2 * numerator + denominator) // (2 * denominator)
    return -((denominator - 2 * numerator) // (2 * denominator))


def exact_amount(terms: Schedule, quantity: Fraction) -> Fraction:
    """What `quantity` costs in minor units, before rounding. Nothing costs nothing, flat prices apart.

    Graduated: each unit at its own tier's price, and the flat fee of every tier reached. Volume: all units at the
    price of the tier that the quantity ends in. Tiers' bounds are inclusive (law 8). Package: whole packages.
    """
    if terms.model is PriceModel.FLAT:
        return terms.unit
    if quantity <= 0:
        return Fraction(0)
    if terms.model is PriceModel.PER_UNIT:
        return terms.unit * quantity
    if terms.model is PriceModel.PACKAGE:
        return terms.unit * -(-quantity // terms.package_size)
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
