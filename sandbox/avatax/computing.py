"""The tax of a sale: per line and authority, rounded once per authority, half away from zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from domain.money import to_major, to_minor
from sandbox.avatax.model import Line, Override, Sale
from sandbox.avatax.rates import Jurisdiction, jurisdictions


@dataclass(frozen=True)
class Detail:
    """What one authority takes of one line."""

    jurisdiction: Jurisdiction
    taxable: Decimal
    exempt: Decimal
    tax: Decimal
    calculated: Decimal


@dataclass(frozen=True)
class TaxedLine:
    """A line with its tax. `net` is without tax and before discount; net - discount = taxable + exempt + untaxed."""

    line: Line
    net: Decimal
    discount: Decimal
    taxable: Decimal
    exempt: Decimal
    tax: Decimal
    calculated: Decimal
    override: Override | None
    details: tuple[Detail, ...]


def taxed_lines(sale: Sale) -> tuple[TaxedLine, ...]:
    """The sale's lines with their tax; a transaction's override of the tax is spread over the lines."""
    discounts = spread(
        sale.discount, [line.amount if line.discounted else Decimal(0) for line in sale.lines], sale.currency
    )
    lines = tuple(_taxed(line, discount, sale) for line, discount in zip(sale.lines, discounts, strict=True))
    if sale.override is None or sale.override.kind != "TaxAmount":
        return lines
    weights = [line.calculated for line in lines]
    if not any(weights):
        weights = [line.net for line in lines]
    shares = spread(sale.override.amount, weights, sale.currency)
    return tuple(
        _overridden(line, replace(sale.override, amount=share), sale.currency)
        for line, share in zip(lines, shares, strict=True)
    )


def spread(amount: Decimal, weights: Sequence[Decimal], currency: str) -> list[Decimal]:
    """`amount` by `weights`, each part rounded; the last weighted one takes the rest, so that the parts sum up."""
    total = sum(weights, Decimal(0))
    parts = [Decimal(0)] * len(weights)
    weighted = [index for index, weight in enumerate(weights) if weight]
    if not weighted or not total:
        return parts
    for index in weighted[:-1]:
        parts[index] = rounded(amount * weights[index] / total, currency)
    parts[weighted[-1]] = amount - sum(parts)
    return parts


def rounded(amount: Decimal, currency: str) -> Decimal:
    """To the currency's own decimal places, half away from zero."""
    return to_major(to_minor(amount, currency), currency)


def _taxed(line: Line, discount: Decimal, sale: Sale) -> TaxedLine:
    who = jurisdictions(line.place.country, line.place.region, line.tax_code)
    gross = line.amount - discount
    base = rounded(gross / (1 + sum(one.rate for one in who)), sale.currency) if line.tax_included else gross
    exempt = base if line.exempt else _exempt_part(line.override or sale.override, base)
    taxable = base - exempt if who else Decimal(0)
    taxes = [rounded(taxable * one.rate, sale.currency) for one in who]
    if line.tax_included and taxes and not exempt:
        taxes[-1] = gross - base - sum(taxes[:-1])  # what the customer pays stays what it was
    details = tuple(Detail(one, taxable, exempt, tax, tax) for one, tax in zip(who, taxes, strict=True))
    tax = sum(taxes, Decimal(0))
    done = TaxedLine(line, base + discount, discount, taxable, exempt, tax, tax, None, details)
    if line.override is not None and line.override.kind == "TaxAmount":
        return _overridden(done, line.override, sale.currency)
    if line.override is None and sale.override is not None and sale.override.kind == "TaxAmount":
        return done  # spread over the lines later
    return replace(done, override=line.override or sale.override)


def _exempt_part(override: Override | None, base: Decimal) -> Decimal:
    if override is None or override.kind != "Exemption":
        return Decimal(0)
    return override.amount if abs(override.amount) < abs(base) else base


def _overridden(line: TaxedLine, override: Override, currency: str) -> TaxedLine:
    if line.override is not None and line.override.kind == "TaxAmount":
        return line  # a line's own override goes before the transaction's
    parts = spread(override.amount, [detail.jurisdiction.rate for detail in line.details], currency)
    details = tuple(replace(detail, tax=part) for detail, part in zip(line.details, parts, strict=True))
    return replace(line, tax=override.amount, override=override, details=details)
