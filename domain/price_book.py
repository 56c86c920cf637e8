"""The catalog compiled for rating: prices per plan version and currency, found by dictionary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import Literal

from domain.catalog import (
    AppliesTo,
    Billed,
    BundlePart,
    Phase,
    PhaseKind,
    PlanVersion,
    Price,
    PriceModel,
    PriceType,
    ZeroUsage,
)
from domain.lines import ONE
from domain.money import MoneyError, scaled
from domain.phase_prices import prices_of
from domain.pricing import Schedule, amount_for, minor_fraction, schedule


@dataclass(frozen=True, slots=True)
class PricedPart:
    """Where a share of a price goes: the product that earns it, its tax category, its weight."""

    product: str
    category: str
    weight: int


@dataclass(frozen=True, slots=True)
class ReadyPrice:
    """A price in one currency with everything that a line needs. `flat` is what a whole period costs, in minor units,
    whatever the quantity (None: it has to be worked out); `overridden` says that an item's price override takes its
    place, `by_event` that single usage events have to be known, `zero_line` that no usage makes a line too."""

    id: str
    code: str
    type: PriceType
    terms: Schedule
    meter: str | None
    allowance: Fraction
    parts: tuple[PricedPart, ...]
    flat: int | None
    overridden: bool
    by_event: bool
    zero_line: bool


@dataclass(frozen=True, slots=True)
class ReadyPhase:
    """A phase: `periods` is its length in billing periods, None for evergreen. Of the recurring prices, `advance` are
    charged when a period begins and `arrears` when it is over."""

    kind: PhaseKind
    periods: int | None
    recurring: tuple[ReadyPrice, ...]
    advance: tuple[ReadyPrice, ...]
    arrears: tuple[ReadyPrice, ...]
    usage: tuple[ReadyPrice, ...]
    minimum: tuple[ReadyPrice, ...]
    one_time: tuple[ReadyPrice, ...]


@dataclass(frozen=True, slots=True)
class ReadyVersion:
    """A plan version in one currency; trial phases are gone, for they are dates of the subscription.

    `newer` are the later versions that reach existing subscribers at renewal. Of this version and those, `has_usage`
    says whether one charges for usage, and `in_arrears` whether one charges anything when its period is over.
    """

    version: int
    effective: date
    term_periods: int | None
    phases: tuple[ReadyPhase, ...]
    newer: tuple[PlanVersion, ...]
    has_usage: bool
    in_arrears: bool

    def phase(self, index: int) -> ReadyPhase:
        """The phase of the billing period `index`, counted from the anchor; what lies before it is part of the
        first phase."""
        for phase in self.phases:
            if phase.periods is None or index < phase.periods:
                return phase
            index -= phase.periods
        return self.phases[-1]


class PriceBook:
    """Plan versions, price ids, products and their tax categories, compiled on demand per currency.

    `plans` maps a plan's code to its versions, `price_ids` (plan, version, phase kind, price code, currency) to
    the id of the stored price, `plan_products` plans to products, `product_tax` products to tax categories.
    `zero_usage` is the policy for usage prices without usage: as the price itself says, or one way for all.
    """

    def __init__(
        self,
        plans: Mapping[str, tuple[PlanVersion, ...]],
        plan_products: Mapping[str, str],
        product_tax: Mapping[str, str],
        price_ids: Mapping[tuple[str, int, str, str, str], str],
        zero_usage: Literal["price", "omit", "line"] = "price",
    ) -> None:
        self._plans = plans
        self._plan_products = plan_products
        self._product_tax = product_tax
        self._price_ids = price_ids
        self._zero_usage = zero_usage
        self._ready: dict[tuple[str, int, str], ReadyVersion] = {}

    def category(self, product: str | None) -> str:
        """The tax category of a product; empty for one that is not known."""
        return self._product_tax.get(product or "", "")

    def version(self, plan: str, pinned: int, currency: str) -> ReadyVersion:
        """Version `pinned` of `plan` in `currency`, whatever came after it.

        Raises MoneyError when the plan, the version or a price in the currency is missing.
        """
        key = (plan, pinned, currency)
        ready = self._ready.get(key)
        if ready is None:
            ready = self._ready[key] = self._compile(*key)
        return ready

    def renewed(self, plan: str, pinned: ReadyVersion, currency: str, renewed_on: date) -> ReadyVersion:
        """The version that holds for a span whose term was entered or renewed on `renewed_on`: the pinned one,
        or the newest later one that reaches existing subscribers and was in force by then."""
        for later in reversed(pinned.newer):
            if later.effective <= renewed_on:
                return self.version(plan, later.version, currency)
        return pinned

    def _compile(self, plan: str, pinned: int, currency: str) -> ReadyVersion:
        definition = next((v for v in self._plans.get(plan, ()) if v.version == pinned), None)
        if definition is None:
            raise MoneyError(f"the catalog has no version {pinned} of plan {plan!r}")
        newer = tuple(
            sorted(
                (v for v in self._plans[plan] if v.version > pinned and v.applies_to is AppliesTo.RENEWAL),
                key=lambda v: v.version,
            )
        )
        reachable = [
            price
            for each in (definition, *newer)
            for phase in each.phases
            for price in prices_of(each, phase)
        ]
        has_usage = any(price.type is PriceType.USAGE for price in reachable)
        return ReadyVersion(
            pinned,
            definition.effective,
            definition.term.periods if definition.term else None,
            tuple(
                self._phase(plan, definition, phase, currency)
                for phase in definition.phases
                if phase.kind is not PhaseKind.TRIAL
            ),
            newer,
            has_usage,
            has_usage or any(price.billed is Billed.ARREARS for price in reachable),
        )

    def _phase(self, plan: str, version: PlanVersion, phase: Phase, currency: str) -> ReadyPhase:
        prices: dict[PriceType, list[ReadyPrice]] = {kind: [] for kind in PriceType}
        in_arrears = set()
        for price in prices_of(version, phase):
            key = (plan, version.version, phase.kind.value, price.code, currency)
            if key not in self._price_ids:
                raise MoneyError(
                    f"plan {plan!r} version {version.version} has no price {price.code!r} in {currency}"
                )
            found = prices[price.type]
            found.append(self._price(plan, price, self._price_ids[key], currency, first=not found))
            if price.billed is Billed.ARREARS:
                in_arrears.add(price.code)
        recurring, usage = prices[PriceType.RECURRING], prices[PriceType.USAGE]
        return ReadyPhase(
            phase.kind,
            phase.periods,
            tuple(recurring),
            tuple(price for price in recurring if price.code not in in_arrears),
            tuple(price for price in recurring if price.code in in_arrears),
            tuple(price for price in usage if price.terms.model is not PriceModel.MINIMUM),
            tuple(price for price in usage if price.terms.model is PriceModel.MINIMUM),
            tuple(prices[PriceType.ONE_TIME]),
        )

    def _price(self, plan: str, price: Price, price_id: str, currency: str, *, first: bool) -> ReadyPrice:
        terms = schedule(price, currency)
        zero = price.zero_usage.value if self._zero_usage == "price" else self._zero_usage
        own = BundlePart(product=price.product or self._plan_products[plan], weight=1)
        return ReadyPrice(
            price_id,
            price.code,
            price.type,
            terms,
            price.meter,
            Fraction(price.allowance),
            tuple(
                PricedPart(part.product, self._product_tax[part.product], weight)
                for part, weight in zip(
                    price.parts or (own,), _weights(price.parts or (own,), currency), strict=True
                )
            ),
            terms.whole if terms.model is PriceModel.FLAT else None,
            first and price.type is PriceType.RECURRING,
            terms.share is not None and terms.share.by_event,
            zero == ZeroUsage.LINE.value,
        )


def recurring_amount(
    price: ReadyPrice, quantity: Decimal, override: int | None, numerator: int, denominator: int
) -> int:
    """What `quantity` costs for `numerator` of `denominator` days (or seconds) of a period, in minor units, rounded
    once. `override` is the item's, if this is the price that it replaces. Raises MoneyError for an override of a price
    that is neither flat nor per unit."""
    terms = price.terms
    per_unit = terms.model is PriceModel.PER_UNIT
    unit = override if override is not None else terms.whole
    if unit is not None and (terms.model is PriceModel.FLAT or (per_unit and quantity == ONE)):
        return unit if numerator == denominator else scaled(unit, numerator, denominator)
    if override is not None:
        if not per_unit:
            raise MoneyError(
                f"a price override needs a flat or per-unit price, and {price.code!r} is {terms.model}"
            )
        above, below = quantity.as_integer_ratio()
        return scaled(override, above * numerator, below * denominator)
    return amount_for(terms, Fraction(quantity), numerator, denominator)


def _weights(parts: Sequence[BundlePart], currency: str) -> list[int]:
    """What the parts weigh: their weights, or what they cost alone, as whole numbers in the same proportion."""
    exact = []
    for part in parts:
        if part.weight is not None:
            exact.append(Fraction(part.weight))
        elif currency in part.standalone:
            exact.append(minor_fraction(part.standalone[currency], currency))
        else:
            raise MoneyError(f"part {part.product!r} of a bundle has no stand-alone price in {currency}")
    scale = lcm(*(weight.denominator for weight in exact))
    return [int(weight * scale) for weight in exact]
