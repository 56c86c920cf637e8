"""What a catalog must keep to beyond its single fields: references, prices, tiers, phases and versions.

Every check reports all that it finds, each with the path to the place, so that one reading mends a document.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from datetime import date
from itertools import pairwise
from typing import NamedTuple

from domain.catalog import (
    AppliesTo,
    Catalog,
    Phase,
    PhaseKind,
    Plan,
    PlanVersion,
    Price,
    PriceModel,
    PriceType,
    Problem,
)
from domain.money import MoneyError, parse_minor

Path = tuple[str | int, ...]

_TIERED = (PriceModel.GRADUATED, PriceModel.VOLUME)


class KnownCodes(NamedTuple):
    """What a plan may refer to."""

    currencies: tuple[str, ...]
    products: Set[str]
    meters: Set[str]
    features: Set[str]


def known_codes(catalog: Catalog) -> KnownCodes:
    """The codes that `catalog` declares."""
    return KnownCodes(
        catalog.currencies,
        {product.code for product in catalog.products},
        {meter.code for meter in catalog.meters},
        {feature.code for feature in catalog.features},
    )


def find_problems(catalog: Catalog, known: KnownCodes | None = None) -> list[Problem]:
    """Everything that is wrong with `catalog`; none means it can be loaded. `known` widens what its plans may
    refer to (a reader that had to leave out a broken product still knows its code)."""
    known = known or known_codes(catalog)
    return [
        Problem(path=path, message=message)
        for path, message in (
            *_repeated(("currencies",), catalog.currencies, "currency"),
            *_repeated(("features",), [f.code for f in catalog.features], "feature", "code"),
            *_repeated(("meters",), [m.code for m in catalog.meters], "meter", "code"),
            *_repeated(("products",), [p.code for p in catalog.products], "product", "code"),
            *_repeated(("plans",), [p.code for p in catalog.plans], "plan", "code"),
            *(found for no, plan in enumerate(catalog.plans) for found in _plan(("plans", no), plan, known)),
            *_tax_rates(catalog),
        )
    ]


def _repeated(
    path: Path, codes: Iterable[object], what: str, field: str | None = None
) -> Iterator[tuple[Path, str]]:
    seen: dict[object, int] = {}
    for no, code in enumerate(codes):
        first = seen.setdefault(code, no)
        if first != no:
            tail: Path = (field,) if field else ()
            yield (*path, no, *tail), f"{what} {code} stands here twice (first at {path[-1]}[{first}])"


def _unknown(path: Path, what: str, code: str, known: Set[str]) -> Iterator[tuple[Path, str]]:
    if code not in known:
        choice = ", ".join(sorted(known)) or "none"
        yield path, f"there is no {what} {code!r}; the catalog has: {choice}"


def _plan(path: Path, plan: Plan, known: KnownCodes) -> Iterator[tuple[Path, str]]:
    yield from _unknown((*path, "product"), "product", plan.product, known.products)
    versions = (*path, "versions")
    yield from _repeated(
        versions, [v.version for v in plan.versions], f"plan {plan.code}: version", "version"
    )
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
        if later.applies_to is AppliesTo.RENEWAL and later.interval != earlier.interval:
            yield (
                (*versions, plan.versions.index(later), "interval"),
                f"version {later.version} reaches those who subscribed to version {earlier.version}, so it has to be "
                "billed as often; sell another interval as a plan of its own",
            )


def _version(path: Path, version: PlanVersion, known: KnownCodes) -> Iterator[tuple[Path, str]]:
    for no, feature in enumerate(version.features):
        yield from _unknown((*path, "features", no), "feature", feature, known.features)
    phases = (*path, "phases")
    yield from _repeated(phases, [phase.kind.value for phase in version.phases], "phase", "kind")
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
        yield from _phase(where, phase, known)


def _phase(path: Path, phase: Phase, known: KnownCodes) -> Iterator[tuple[Path, str]]:
    if phase.kind is PhaseKind.TRIAL:
        if phase.days is None:
            yield path, "a trial needs its length: days"
        if phase.prices:
            yield (*path, "prices"), "a trial is free and has no prices"
    elif phase.days is not None:
        yield (*path, "days"), "only a trial is measured in days"
    if phase.kind is PhaseKind.INTRO:
        if phase.periods is None:
            yield path, "an intro needs its length: periods"
    elif phase.periods is not None:
        yield (*path, "periods"), "only an intro is measured in periods"
    if phase.kind is not PhaseKind.TRIAL and not phase.prices:
        yield path, f"the {phase.kind.value} phase has no price"
    yield from _repeated((*path, "prices"), [price.code for price in phase.prices], "price", "code")
    types = {price.type for price in phase.prices}
    if types == {PriceType.USAGE, PriceType.ONE_TIME}:
        yield (
            (*path, "prices"),
            "a one-time price is charged with the first period paid in advance, and this phase has none; add a "
            "recurring price (of 0, if need be), or sell the one-time price as a plan of its own",
        )
    for no, price in enumerate(phase.prices):
        yield from _price((*path, "prices", no), price, known)


def _price(path: Path, price: Price, known: KnownCodes) -> Iterator[tuple[Path, str]]:
    if price.product is not None:
        yield from _unknown((*path, "product"), "product", price.product, known.products)
    for no, part in enumerate(price.parts):
        yield from _unknown((*path, "parts", no, "product"), "product", part.product, known.products)
    if price.parts and price.type is not PriceType.RECURRING:
        yield (*path, "parts"), f"only a recurring price is divided among parts, not a {price.type.value} one"
    yield from _repeated((*path, "parts"), [part.product for part in price.parts], "part", "product")
    if price.type is PriceType.USAGE:
        if price.meter is None:
            yield path, "a usage price needs a meter"
        elif price.meter is not None:
            yield from _unknown((*path, "meter"), "meter", price.meter, known.meters)
        if price.model is PriceModel.FLAT:
            yield (
                (*path, "model"),
                "a flat price does not depend on usage; use per_unit, or make it recurring",
            )
    elif price.meter is not None:
        yield (*path, "meter"), f"a {price.type.value} price has no meter; only usage prices do"
    if price.allowance and price.type is not PriceType.USAGE:
        yield (*path, "allowance"), "only a usage price has an allowance"
    if (price.model is PriceModel.PACKAGE) != (price.package_size is not None):
        yield (
            (path, "a package price needs package_size")
            if price.package_size is None
            else ((*path, "package_size"), f"a {price.model.value} price has no package_size")
        )
    yield from (_tiers if price.model in _TIERED else _amounts)(path, price, known)


def _amounts(path: Path, price: Price, known: KnownCodes) -> Iterator[tuple[Path, str]]:
    if price.tiers:
        yield (*path, "tiers"), f"a {price.model.value} price has no tiers; use graduated or volume"
    missing = [currency for currency in known.currencies if currency not in price.amounts]
    if missing:
        where = (*path, "amounts") if price.amounts else path
        yield where, f"price {price.code} has no amount in {', '.join(missing)}"
    whole = price.type is not PriceType.USAGE or price.model is PriceModel.PACKAGE
    yield from _money((*path, "amounts"), price.amounts, known, whole=whole)


def _tiers(path: Path, price: Price, known: KnownCodes) -> Iterator[tuple[Path, str]]:
    if price.amounts:
        yield (*path, "amounts"), f"a {price.model.value} price has its amounts in tiers"
    if not price.tiers:
        yield path, f"a {price.model.value} price needs tiers"
        return
    below = None
    for no, tier in enumerate(price.tiers):
        where = (*path, "tiers", no)
        if no == len(price.tiers) - 1:
            if tier.up_to is not None:
                yield (*where, "up_to"), "the last tier must be open: leave out up_to"
        elif tier.up_to is None:
            yield where, "only the last tier may leave out up_to"
        if tier.up_to is not None:
            if below is not None and tier.up_to <= below:
                yield (*where, "up_to"), f"tiers must ascend: {tier.up_to} does not come after {below}"
            below = tier.up_to
        missing = [c for c in known.currencies if c not in tier.unit_amounts and c not in tier.flat_amounts]
        if missing:
            yield where, f"price {price.code} has no amount in {', '.join(missing)} in this tier"
        yield from _money((*where, "unit_amounts"), tier.unit_amounts, known, whole=False)
        yield from _money((*where, "flat_amounts"), tier.flat_amounts, known, whole=True)


def _money(
    path: Path, amounts: dict[str, str], known: KnownCodes, *, whole: bool
) -> Iterator[tuple[Path, str]]:
    """`whole` amounts are charged as they stand; a unit's may be a fraction of the smallest coin."""
    for currency, text in amounts.items():
        if currency not in known.currencies:
            listed = ", ".join(known.currencies)
            yield (*path, currency), f"{currency} is not among the catalog's currencies ({listed})"
        elif text.startswith("-"):
            yield (*path, currency), f"{text} is below zero; a price is not, and credits are made elsewhere"
        elif whole:
            try:
                parse_minor(text, currency)
            except MoneyError as error:
                yield (*path, currency), str(error)


def _tax_rates(catalog: Catalog) -> Iterator[tuple[Path, str]]:
    keys = [(r.region, r.category, r.jurisdiction, r.effective.isoformat()) for r in catalog.tax_rates]
    yield from _repeated(("tax_rates",), [" / ".join(key) for key in keys], "tax rate")
