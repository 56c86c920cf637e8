"""What a price of a catalog must keep to beyond its single fields: amounts in every currency, tiers that ascend, and
fields that go with its type and model."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from domain.catalog import Billed, Percentage, Price, PriceModel, PriceType, ZeroUsage
from domain.catalog_references import Found, KnownCodes, Path, repeated, unknown
from domain.money import MoneyError, parse_minor

_TIERED = (PriceModel.GRADUATED, PriceModel.VOLUME)
_OF_USAGE = (PriceModel.PERCENTAGE, PriceModel.MINIMUM)


def find_price_problems(path: Path, price: Price, known: KnownCodes) -> Found:
    """Everything that is wrong with `price`, which stands at `path`."""
    if price.product is not None:
        yield from unknown((*path, "product"), "product", price.product, known.products)
    yield from _parts(path, price, known)
    yield from _usage(path, price, known)
    if price.billed is Billed.ARREARS and price.type is not PriceType.RECURRING:
        yield (
            (*path, "billed"),
            f"only a recurring price is billed in arrears by choice, not a {price.type.value} one",
        )
    if (price.model is PriceModel.PACKAGE) != (price.package_size is not None):
        yield (
            (path, "a package price needs package_size")
            if price.package_size is None
            else ((*path, "package_size"), f"a {price.model.value} price has no package_size")
        )
    if price.model is PriceModel.PERCENTAGE:
        yield from _percentage(path, price, known)
        return
    if price.percentage is not None:
        yield (
            (*path, "percentage"),
            f"a {price.model.value} price has no percentage; use the model percentage",
        )
    yield from (_tiers if price.model in _TIERED else _amounts)(path, price, known)


def _parts(path: Path, price: Price, known: KnownCodes) -> Found:
    if not price.parts:
        return
    where = (*path, "parts")
    for no, part in enumerate(price.parts):
        yield from unknown((*where, no, "product"), "product", part.product, known.products)
    if price.type is not PriceType.RECURRING:
        yield where, f"only a recurring price is divided among parts, not a {price.type.value} one"
    yield from repeated(where, [part.product for part in price.parts], "part", "product")
    if all(part.weight is not None and not part.standalone for part in price.parts):
        return
    if any(part.weight is not None for part in price.parts):
        yield (
            where,
            "parts share by weight or by standalone prices; give the same one of the two to every part",
        )
        return
    complete = True
    for no, part in enumerate(price.parts):
        missing = [currency for currency in known.currencies if currency not in part.standalone]
        if missing:
            complete = False
            yield (
                (*where, no),
                f"part {part.product} needs a weight, or a standalone price in {', '.join(missing)}",
            )
        yield from _money((*where, no, "standalone"), part.standalone, known, whole=True)
    for currency in known.currencies if complete else ():
        if not any(Decimal(part.standalone[currency]) > 0 for part in price.parts):
            yield where, f"no part has a standalone price above 0 in {currency} to share by"


def _usage(path: Path, price: Price, known: KnownCodes) -> Found:
    if price.type is not PriceType.USAGE:
        if price.model in _OF_USAGE:
            yield (
                (*path, "model"),
                f"only a usage price can be a {price.model.value}, not a {price.type.value} one",
            )
        if price.meter is not None:
            yield (*path, "meter"), f"a {price.type.value} price has no meter; only usage prices do"
        if price.allowance:
            yield (*path, "allowance"), "only a usage price has an allowance"
        if price.zero_usage is ZeroUsage.LINE:
            yield (*path, "zero_usage"), "only a usage price says what becomes of no usage"
        return
    if price.model is PriceModel.MINIMUM:
        for field in ("meter", "allowance"):
            if getattr(price, field):
                yield (*path, field), f"a minimum is for all usage of its phase and has no {field}"
        if price.zero_usage is ZeroUsage.LINE:
            yield (
                (*path, "zero_usage"),
                "a minimum makes a line of its own; set zero_usage on the usage prices",
            )
        return
    if price.meter is None:
        yield path, "a usage price needs a meter"
    else:
        yield from unknown((*path, "meter"), "meter", price.meter, known.meters)
    if price.model is PriceModel.FLAT:
        yield (*path, "model"), "a flat price does not depend on usage; use per_unit, or make it recurring"


def _percentage(path: Path, price: Price, known: KnownCodes) -> Found:
    for field in ("amounts", "tiers"):
        if getattr(price, field):
            yield (*path, field), f"a percentage price has its amounts in percentage and no {field}"
    if price.allowance:
        yield (*path, "allowance"), "what is free of a percentage price are its free_events and free_amounts"
    share = price.percentage
    if share is None:
        yield path, "a percentage price needs percentage, with a rate"
        return
    where = (*path, "percentage")
    for field, whole in (
        ("free_amounts", True),
        ("fixed_fees", False),
        ("min_amounts", False),
        ("max_amounts", False),
    ):
        amounts: dict[str, str] = getattr(share, field)
        missing = [currency for currency in known.currencies if currency not in amounts]
        if amounts and missing:
            yield (*where, field), f"price {price.code} has no amount in {', '.join(missing)}"
        yield from _money((*where, field), amounts, known, whole=whole)
    yield from _limits(where, share)


def _limits(path: Path, share: Percentage) -> Found:
    for currency, least in share.min_amounts.items():
        most = share.max_amounts.get(currency)
        if most is not None and Decimal(most) < Decimal(least):
            yield (*path, "max_amounts", currency), f"{most} is below the least amount of an event, {least}"


def _amounts(path: Path, price: Price, known: KnownCodes) -> Found:
    if price.tiers:
        yield (*path, "tiers"), f"a {price.model.value} price has no tiers; use graduated or volume"
    missing = [currency for currency in known.currencies if currency not in price.amounts]
    if missing:
        where = (*path, "amounts") if price.amounts else path
        yield where, f"price {price.code} has no amount in {', '.join(missing)}"
    whole = price.type is not PriceType.USAGE or price.model in (PriceModel.PACKAGE, PriceModel.MINIMUM)
    yield from _money((*path, "amounts"), price.amounts, known, whole=whole)


def _tiers(path: Path, price: Price, known: KnownCodes) -> Found:
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


def _money(path: Path, amounts: Mapping[str, str], known: KnownCodes, *, whole: bool) -> Found:
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
