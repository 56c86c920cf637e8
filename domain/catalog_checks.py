"""What a catalog must keep to beyond its single fields: references, prices, tiers, phases and versions.

Every check reports all that it finds, each with the path to the place, so that one reading mends a document.
"""

from __future__ import annotations

from datetime import date
from itertools import pairwise

from domain.catalog import (
    AppliesTo,
    Billed,
    Catalog,
    Phase,
    PhaseKind,
    Plan,
    PlanVersion,
    PriceModel,
    PriceType,
    Problem,
)
from domain.catalog_references import Found, KnownCodes, Path, known_codes, repeated, unknown
from domain.delivery_checks import find_delivery_problems
from domain.price_checks import find_price_problems

__all__ = ["KnownCodes", "find_problems", "known_codes"]


def find_problems(catalog: Catalog, known: KnownCodes | None = None) -> list[Problem]:
    """Everything that is wrong with `catalog`; none means it can be loaded. `known` widens what its plans may
    refer to (a reader that had to leave out a broken product still knows its code)."""
    known = known or known_codes(catalog)
    return [
        Problem(path=path, message=message)
        for path, message in (
            *repeated(("currencies",), catalog.currencies, "currency"),
            *repeated(("features",), [f.code for f in catalog.features], "feature", "code"),
            *repeated(("meters",), [m.code for m in catalog.meters], "meter", "code"),
            *repeated(("products",), [p.code for p in catalog.products], "product", "code"),
            *repeated(("plans",), [p.code for p in catalog.plans], "plan", "code"),
            *(found for no, plan in enumerate(catalog.plans) for found in _plan(("plans", no), plan, known)),
            *find_delivery_problems(catalog),
            *_tax_rates(catalog),
        )
    ]


def _plan(path: Path, plan: Plan, known: KnownCodes) -> Found:
    yield from unknown((*path, "product"), "product", plan.product, known.products)
    versions = (*path, "versions")
    yield from repeated(versions, [v.version for v in plan.versions], f"plan {plan.code}: version", "version")
    days: dict[date, int] = {}
    for no, version in enumerate(plan.versions):
        if days.setdefault(version.effective, version.version) != version.version:
            yield (
                (*versions, no, "effective"),
                f"version {days[version.effective]} is effective on {version.effective} too; "
                "one day can have one version only",
            )
        yield from _version((*versions, no), version, known)
    in_order = sorted(plan.versions, key=lambda version: version.version)
    for earlier, later in pairwise(in_order):
        if later.effective < earlier.effective:
            yield (
                (*versions, plan.versions.index(later), "effective"),
                f"version {later.version} is effective before version {earlier.version} ({earlier.effective})",
            )
        if later.applies_to is AppliesTo.RENEWAL and later.interval.interval() != earlier.interval.interval():
            yield (
                (*versions, plan.versions.index(later), "interval"),
                f"version {later.version} reaches those who subscribed to version {earlier.version}, so it has to be "
                "billed as often; sell another interval as a plan of its own",
            )


def _version(path: Path, version: PlanVersion, known: KnownCodes) -> Found:
    for no, feature in enumerate(version.features):
        yield from unknown((*path, "features", no), "feature", feature, known.features)
    for feature in version.allowances:
        if feature not in version.features:
            yield (
                (*path, "allowances", feature),
                f"the version does not entitle to {feature!r}; add it to its features, or take its allowance out",
            )
    phases = (*path, "phases")
    yield from repeated(phases, [phase.kind.value for phase in version.phases], "phase", "kind")
    if version.phases[-1].kind is not PhaseKind.EVERGREEN:
        yield (
            (*phases, len(version.phases) - 1, "kind"),
            "the last phase must be evergreen; add one with the price that goes on",
        )
    for no, phase in enumerate(version.phases):
        where = (*phases, no)
        if phase.kind is PhaseKind.TRIAL and no:
            yield (*where, "kind"), "a trial can only be the first phase"
        if phase.kind is PhaseKind.EVERGREEN and no < len(version.phases) - 1:
            yield (*where, "kind"), "an evergreen phase has no end, so none can follow it"
        yield from _phase(where, version, phase, known)


def _phase(path: Path, version: PlanVersion, phase: Phase, known: KnownCodes) -> Found:
    if phase.kind is PhaseKind.TRIAL:
        if phase.days is None and phase.until is None:
            yield path, "a trial needs its length: days, or until with a date"
        if phase.days is not None and phase.until is not None:
            yield (*path, "until"), "a trial is measured in days or lasts until a date, not both"
        if phase.prices:
            yield (*path, "prices"), "a trial is free and has no prices"
    else:
        for field in ("days", "until"):
            if getattr(phase, field) is not None:
                yield (*path, field), "only a trial is measured in days"
    if phase.kind is PhaseKind.INTRO:
        if phase.periods is None:
            yield path, "an intro needs its length: periods"
    elif phase.periods is not None:
        yield (*path, "periods"), "only an intro is measured in periods"
    yield from _percent(path, version, phase)
    if phase.kind is not PhaseKind.TRIAL and not phase.prices and phase.percent is None:
        yield path, f"the {phase.kind.value} phase has no price"
    yield from repeated((*path, "prices"), [price.code for price in phase.prices], "price", "code")
    in_advance = any(p.type is PriceType.RECURRING and p.billed is Billed.ADVANCE for p in phase.prices)
    types = {price.type for price in phase.prices}
    if PriceType.ONE_TIME in types and len(types) > 1 and not in_advance:
        yield (
            (*path, "prices"),
            "a one-time price is charged with the first period paid in advance, and this phase has none; add a "
            "recurring price (of 0, if need be), or sell the one-time price as a plan of its own",
        )
    minimums = [no for no, price in enumerate(phase.prices) if price.model is PriceModel.MINIMUM]
    if len(minimums) > 1:
        yield (*path, "prices", minimums[1], "model"), "a phase has one minimum, for all its usage together"
    for no, price in enumerate(phase.prices):
        yield from find_price_problems((*path, "prices", no), price, known)


def _percent(path: Path, version: PlanVersion, phase: Phase) -> Found:
    if phase.percent is None:
        return
    if phase.kind is not PhaseKind.INTRO:
        yield (*path, "percent"), "only an intro is charged at a percentage of the evergreen prices"
        return
    if phase.prices:
        yield (
            (*path, "prices"),
            "an intro has prices of its own or a percent of the evergreen ones, not both",
        )
    evergreen = [found for found in version.phases if found.kind is PhaseKind.EVERGREEN]
    if evergreen and all(price.type is not PriceType.RECURRING for price in evergreen[-1].prices):
        yield (
            (*path, "percent"),
            "the evergreen phase has no recurring price that a percent could be taken of",
        )


def _tax_rates(catalog: Catalog) -> Found:
    keys = [(r.region, r.category, r.jurisdiction, r.effective.isoformat()) for r in catalog.tax_rates]
    yield from repeated(("tax_rates",), [" / ".join(key) for key in keys], "tax rate")
