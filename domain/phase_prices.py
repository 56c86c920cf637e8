"""The prices of a phase: those it names, or, in an intro at a percentage, the evergreen prices with the recurring ones
at that percentage. Rating and storage both take a phase's prices from here."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Decimal

from domain.catalog import Phase, PhaseKind, PlanVersion, Price, PriceType, Tier
from domain.money import to_major, to_minor

_FINEST = Decimal("1e-10")  # as fine as the catalog writes a unit's price


def prices_of(version: PlanVersion, phase: Phase) -> tuple[Price, ...]:
    """The prices that `phase` of `version` charges. At a percentage, amounts that are charged as they stand are rounded
    to the currency's smallest coin, halves away from zero; unit prices of tiers stay finer. Usage, minimum and one-time
    prices are the evergreen ones as they are."""
    if phase.percent is None:
        return phase.prices
    evergreen = next(found for found in version.phases if found.kind is PhaseKind.EVERGREEN)
    return tuple(
        _at_percent(price, phase.percent) if price.type is PriceType.RECURRING else price
        for price in evergreen.prices
    )


def as_stored(version: PlanVersion) -> PlanVersion:
    """`version` with the prices of every phase written out, so that whoever reads it needs no rule."""
    return _with_phases(
        version, (phase.model_copy(update={"prices": prices_of(version, phase)}) for phase in version.phases)
    )


def as_written(version: PlanVersion) -> PlanVersion:
    """`version` as its catalog wrote it: the inverse of `as_stored`."""
    return _with_phases(
        version,
        (
            phase if phase.percent is None else phase.model_copy(update={"prices": ()})
            for phase in version.phases
        ),
    )


def currencies_of(price: Price, catalog: Iterable[str]) -> list[str]:
    """The currencies in which `price` can be charged, in the order they are written; a percentage without amounts can
    be in every currency of the `catalog`."""
    if price.tiers:
        first = price.tiers[0]
        return list(dict.fromkeys([*first.unit_amounts, *first.flat_amounts]))
    if price.percentage is not None:
        share = price.percentage
        for amounts in (share.free_amounts, share.fixed_fees, share.min_amounts, share.max_amounts):
            if amounts:
                return list(amounts)
        return list(catalog)
    return list(price.amounts)


def _with_phases(version: PlanVersion, phases: Iterable[Phase]) -> PlanVersion:
    if all(phase.percent is None for phase in version.phases):
        return version
    return version.model_copy(update={"phases": tuple(phases)})


def _at_percent(price: Price, percent: Decimal) -> Price:
    return price.model_copy(
        update={
            "amounts": _charged(price.amounts, percent),
            "tiers": tuple(
                Tier(
                    up_to=tier.up_to,
                    unit_amounts=_fine(tier.unit_amounts, percent),
                    flat_amounts=_charged(tier.flat_amounts, percent),
                )
                for tier in price.tiers
            ),
        }
    )


def _charged(amounts: dict[str, str], percent: Decimal) -> dict[str, str]:
    return {
        currency: f"{to_major(to_minor(Decimal(text) * percent / 100, currency), currency):f}"
        for currency, text in amounts.items()
    }


def _fine(amounts: dict[str, str], percent: Decimal) -> dict[str, str]:
    return {
        currency: f"{(Decimal(text) * percent / 100).quantize(_FINEST, ROUND_HALF_UP):f}"
        for currency, text in amounts.items()
    }
