"""The catalog compiled for rating: prices per plan version and currency, found by dictionary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from fractions import Fraction

from domain.catalog import AppliesTo, PhaseKind, PlanVersion, PriceType
from domain.money import MoneyError
from domain.pricing import Schedule, schedule


@dataclass(frozen=True, slots=True)
class PricedPart:
    """Where a share of a price goes: the product that earns it, its tax category, its weight."""

    product: str
    category: str
    weight: int


@dataclass(frozen=True, slots=True)
class ReadyPrice:
    """A price in one currency with everything that a line needs."""

    id: str
    code: str
    type: PriceType
    terms: Schedule
    meter: str | None
    allowance: Fraction
    parts: tuple[PricedPart, ...]


@dataclass(frozen=True, slots=True)
class ReadyPhase:
    """A phase: `periods` is its length in billing periods, None for evergreen."""

    kind: PhaseKind
    periods: int | None
    recurring: tuple[ReadyPrice, ...]
    usage: tuple[ReadyPrice, ...]
    one_time: tuple[ReadyPrice, ...]


@dataclass(frozen=True, slots=True)
class ReadyVersion:
    """A plan version in one currency; trial phases are gone, for they are dates of the subscription.

    `newer` are the later versions that reach existing subscribers at renewal; `has_usage` says whether this version
    or one of those charges for usage.
    """

    version: int
    effective: date
    term_periods: int | None
    phases: tuple[ReadyPhase, ...]
    newer: tuple[PlanVersion, ...]
    has_usage: bool

    def phase(self, index: int) -> ReadyPhase:
        """The phase of the billing period `index`, counted from the anchor; a leading stub is part of the
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
    """

    def __init__(
        self,
        plans: Mapping[str, tuple[PlanVersion, ...]],
        plan_products: Mapping[str, str],
        product_tax: Mapping[str, str],
        price_ids: Mapping[tuple[str, int, str, str, str], str],
    ) -> None:
        self._plans = plans
        self._plan_products = plan_products
        self._product_tax = product_tax
        self._price_ids = price_ids
        self._ready: dict[tuple[str, int, str], ReadyVersion] = {}

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
        phases = []
        for phase in definition.phases:
            if phase.kind is PhaseKind.TRIAL:
                continue
            prices: dict[PriceType, list[ReadyPrice]] = {kind: [] for kind in PriceType}
            for price in phase.prices:
                key = (plan, pinned, phase.kind.value, price.code, currency)
                if key not in self._price_ids:
                    raise MoneyError(
                        f"plan {plan!r} version {pinned} has no price {price.code!r} in {currency}"
                    )
                parts = [(part.product, part.weight) for part in price.parts] or [
                    (price.product or self._plan_products[plan], 1)
                ]
                prices[price.type].append(
                    ReadyPrice(
                        self._price_ids[key],
                        price.code,
                        price.type,
                        schedule(price, currency),
                        price.meter,
                        Fraction(price.allowance),
                        tuple(PricedPart(code, self._product_tax[code], weight) for code, weight in parts),
                    )
                )
            phases.append(
                ReadyPhase(
                    phase.kind,
                    phase.periods,
                    tuple(prices[PriceType.RECURRING]),
                    tuple(prices[PriceType.USAGE]),
                    tuple(prices[PriceType.ONE_TIME]),
                )
            )
        return ReadyVersion(
            pinned,
            definition.effective,
            definition.term.periods if definition.term else None,
            tuple(phases),
            newer,
            any(
                price.type is PriceType.USAGE
                for reachable in (definition, *newer)
                for phase in reachable.phases
                for price in phase.prices
            ),
        )
