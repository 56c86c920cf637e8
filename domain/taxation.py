"""Taxation: tax lines for the lines of an invoice, from rates or from an engine's amounts (billing laws 5, 7, I9).

Tax is on what discounts left of a line. It comes on top of the price, or, where prices include it, out of the price:
then the line and its discounts are restated without it, so that lines and taxes are the price to the unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from math import lcm
from typing import NamedTuple

from domain.charge_key import charge_key
from domain.money import allocate, format_minor, scaled
from domain.rating import ONE, Line
from domain.tax import Levy, Rounding, TaxPolicy, Treatment

REVERSE_CHARGE = ", reverse charge"  # after the jurisdiction in a tax line's reference

_BELONGING = ("discount", "tax")
_HALF = Fraction(1, 2)


class TaxBase(NamedTuple):
    """What is taxed: the line at `place` in the draft, what its discounts left of it (minor units), and by whom."""

    place: int
    amount: int
    levies: tuple[Levy, ...]


class GivenTax(NamedTuple):
    """An engine's answer for one line and jurisdiction: `place` of the line in the draft, `rate` as a fraction for
    the invoice to show, `amount` in minor units."""

    place: int
    jurisdiction: str
    rate: Decimal
    amount: int


class TaxDoesNotFit(ValueError):
    """An engine's amounts that cannot be put on the draft; the message says which, and what to do."""


def untaxed(lines: Sequence[Line]) -> list[tuple[int, int]]:
    """(place, amount after discounts in minor units) of the lines that tax has to be found for.

    Left out are lines that have a tax line already, and those of no category: a credit of what was billed brings the
    tax that was billed for it, and where none was billed none is given back (law 5). What is charged and credited on
    one and the same draft has its category still, and is taxed both ways.
    """
    net = [line.amount for line in lines]
    taxed = set()
    for line in lines:
        if line.kind == "tax":
            taxed.add(line.parent)
        elif line.kind == "discount" and line.parent is not None:
            net[line.parent] += line.amount
    return [
        (place, net[place])
        for place, line in enumerate(lines)
        if line.category and line.kind not in _BELONGING and place not in taxed
    ]


def tax_lines(lines: list[Line], bases: Sequence[TaxBase], policy: TaxPolicy) -> None:
    """Append a tax line for each levy of each of `bases`, rates of zero too, as `policy` says.

    Exempt: none. Reverse charge: an amount and rate of zero each, the reason in the reference, prices as they are.
    Inclusive: the lines and discounts of `bases` are replaced by ones without the tax.
    """
    if policy.treatment is Treatment.EXEMPT:
        return
    if policy.treatment is Treatment.REVERSE_CHARGE:
        for place, _, levies in bases:
            for levy in levies:
                lines.append(_tax_line(lines[place], place, levy.jurisdiction, Decimal(0), 0, REVERSE_CHARGE))
        return
    if policy.rounding is Rounding.LINE and not policy.inclusive:
        for place, net, levies in bases:
            parent = lines[place]
            for jurisdiction, rate, numerator, denominator in levies:
                amount = scaled(net, numerator, denominator)
                lines.append(_tax_line(parent, place, jurisdiction, rate, amount))
        return
    if policy.rounding is Rounding.INVOICE:
        amounts = _per_invoice(bases, policy.inclusive)
    else:
        amounts = [_shares(base) for base in bases]
    if policy.inclusive:
        _restate(
            lines,
            [(base.place, base.levies, sum(taxes)) for base, taxes in zip(bases, amounts, strict=True)],
        )
    for base, taxes in zip(bases, amounts, strict=True):
        for levy, amount in zip(base.levies, taxes, strict=True):
            lines.append(_tax_line(lines[base.place], base.place, levy.jurisdiction, levy.rate, amount))


def given_tax_lines(lines: list[Line], given: Sequence[GivenTax], policy: TaxPolicy, currency: str) -> None:
    """Append an engine's amounts as tax lines, in the order given and to the unit; under an inclusive `policy` they
    are taken out of the prices.

    Raises TaxDoesNotFit, and changes nothing, when a tax is for no line of the draft, for a discount or tax line,
    for a line that has its tax already, twice for one jurisdiction, or has a rate that is none. `currency` is for
    the messages.
    """
    _check_given(lines, given, currency)
    if policy.inclusive:
        by_place: dict[int, list[GivenTax]] = {}
        for tax in given:
            by_place.setdefault(tax.place, []).append(tax)
        within = [
            (place, [_levy(tax) for tax in taxes], sum(tax.amount for tax in taxes))
            for place, taxes in by_place.items()
        ]
        # Without tax there is nothing to take out, whatever rates the engine shows.
        _restate(lines, [each for each in within if each[2]])
    reverse = policy.treatment is Treatment.REVERSE_CHARGE
    for tax in given:
        reason = REVERSE_CHARGE if reverse and not tax.amount else ""
        lines.append(_tax_line(lines[tax.place], tax.place, tax.jurisdiction, tax.rate, tax.amount, reason))


def spread(exact: Sequence[Fraction]) -> list[int]:
    """`exact` amounts in whole units whose sum is that of `exact`, rounded half away from zero: each is rounded down
    or up, up where the most is cut off, earlier ones first on a tie."""
    total = sum(exact, Fraction(0))
    sign = -1 if total < 0 else 1
    parts = [part * sign // 1 for part in exact]
    whole = (total * sign + _HALF) // 1
    most_cut = sorted(range(len(parts)), key=lambda place: (parts[place] - exact[place] * sign, place))
    for place in most_cut[: whole - sum(parts)]:
        parts[place] += 1
    return [sign * part for part in parts]


def _tax_line(
    parent: Line, place: int, jurisdiction: str, rate: Decimal, amount: int, reason: str = ""
) -> Line:
    """The tax line for `parent` at `place`; its key is of its parent and jurisdiction (law I3)."""
    charge = f"tax|{jurisdiction}"
    return Line(
        "tax",
        None,
        None,
        None,
        None,
        None,
        ONE,
        amount,
        place,
        jurisdiction + reason,
        rate,
        charge_key(parent.charge_key, charge),
        charge,
        parent.category,
    )


def _weights(levies: Sequence[Levy]) -> tuple[list[int], int]:
    """The rates of `levies` as whole numbers, and the number that stands for a rate of 1."""
    one = lcm(*(levy.denominator for levy in levies))
    return [levy.numerator * (one // levy.denominator) for levy in levies], one


def _contained(amount: int, levies: Sequence[Levy]) -> int:
    """The tax within the price `amount`, all jurisdictions together, rounded once."""
    weights, one = _weights(levies)
    rates = sum(weights)
    return scaled(amount, rates, one + rates)


def _shares(base: TaxBase) -> list[int]:
    """The tax within the price of `base`, shared by rate without losing a unit."""
    weights, _ = _weights(base.levies)
    if not any(weights):
        return weights
    return allocate(_contained(base.amount, base.levies), weights)


def _per_invoice(bases: Sequence[TaxBase], inclusive: bool) -> list[list[int]]:
    """The taxes of each base: by jurisdiction and rate the exact ones are summed, rounded once, and spread."""
    amounts = [[0] * len(base.levies) for base in bases]
    exact: dict[tuple[str, Decimal], list[tuple[int, int, Fraction]]] = {}
    for row, base in enumerate(bases):
        weights, one = _weights(base.levies)
        whole = one + sum(weights) if inclusive else one
        for column, (levy, weight) in enumerate(zip(base.levies, weights, strict=True)):
            tax = Fraction(base.amount * weight, whole)
            exact.setdefault((levy.jurisdiction, levy.rate), []).append((row, column, tax))
    for group in exact.values():
        for (row, column, _), amount in zip(group, spread([tax for _, _, tax in group]), strict=True):
            amounts[row][column] = amount
    return amounts


def _restate(lines: list[Line], within: Sequence[tuple[int, Sequence[Levy], int]]) -> None:
    """Take the tax out of the prices that it is `within`: (place, levies, tax) each. Every discount in its order
    gives up the tax that it saves at the rates, and the line the rest, so that line, discounts and tax are the price
    less discounts to the unit."""
    discounts: dict[int, list[int]] = {}
    for place, line in enumerate(lines):
        if line.kind == "discount" and line.parent is not None:
            discounts.setdefault(line.parent, []).append(place)
    for place, levies, tax in within:
        line = lines[place]
        left = line.amount
        contained = _contained(left, levies)
        saved = 0
        for lower in discounts.get(place, ()):
            discount = lines[lower]
            left += discount.amount
            less = contained - _contained(left, levies)
            lines[lower] = replace(discount, amount=discount.amount + less)
            contained -= less
            saved += less
        lines[place] = replace(line, amount=line.amount - tax - saved)


def _levy(tax: GivenTax) -> Levy:
    return Levy(tax.jurisdiction, tax.rate, *tax.rate.as_integer_ratio())


def _check_given(lines: Sequence[Line], given: Sequence[GivenTax], currency: str) -> None:
    taxed = {line.parent for line in lines if line.kind == "tax"}
    seen = set()
    for tax in given:
        what = f"the tax engine gives {format_minor(tax.amount, currency)} of {tax.jurisdiction!r}"
        if not 0 <= tax.place < len(lines):
            raise TaxDoesNotFit(
                f"{what} for line {tax.place + 1}, and the draft has {len(lines)}: rate the account again, then ask"
                " the engine again"
            )
        what = f"{what} for line {tax.place + 1}"
        kind = lines[tax.place].kind
        if kind in _BELONGING:
            raise TaxDoesNotFit(
                f"{what}, which is a {kind} line: the engine has to be asked for the tax of the line it belongs to"
            )
        if tax.place in taxed:
            raise TaxDoesNotFit(f"{what}, which has its tax already: do not ask the engine for that line")
        if (tax.place, tax.jurisdiction) in seen:
            raise TaxDoesNotFit(
                f"{what} a second time: the engine's answer has to name each jurisdiction of a line once, with"
                " levies of one jurisdiction added up or told apart by name"
            )
        if not tax.rate.is_finite() or tax.rate < 0:
            raise TaxDoesNotFit(f"{what} at a rate of {tax.rate}: a rate is a fraction from 0 on, 0.19 say")
        seen.add((tax.place, tax.jurisdiction))
