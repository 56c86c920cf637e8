"""What a tax engine is asked about a draft, and what comes of it: the tax to put on it, and the document to record.

The engine's document has the lines of the invoice under their numbers there, so that what it recorded can be compared
with what was charged line by line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, NamedTuple

from domain.invoices import Draft, add_given_tax
from domain.lines import Line
from domain.taxation import GivenTax, untaxed

_BELONGING = ("discount", "tax")


class TaxSource(StrEnum):
    """Who said how much tax it is: the connected engine, or the built-in table while the engine was away."""

    ENGINE = "engine"
    FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class EngineTax:
    """The tax of one draft, before it is posted.

    given: what to put on the draft, with the places of its lines. total: the tax of the engine's document, minor units;
    with `untold`, which is on lines that the engine is not told of, it is the tax of the invoice. tax_date: the day
    whose rates counted. request: the order to record the document with, as JSON; its code is the invoice's number,
    which is not known yet. It holds an address, so it belongs into rows, and never into a workflow's history.
    """

    connection: str
    source: TaxSource
    currency: str
    total: int
    tax_date: date
    given: tuple[GivenTax, ...]
    request: Any = field(repr=False)
    untold: int = 0


class LineToTax(NamedTuple):
    """A line that the engine is told of. amount: minor units, less discounts. charged: the tax that stands on it
    already, as on a credit of what was billed before; None for one that waits for its tax."""

    place: int
    amount: int
    charged: int | None

    @property
    def number(self) -> str:
        """Its number on the invoice, and so on the engine's document."""
        return number_of(self.place)


def number_of(place: int) -> str:
    """The number on the invoice of the line at `place` of its draft."""
    return str(place + 1)


def lines_to_tax(lines: Sequence[Line]) -> list[LineToTax]:
    """The lines of an invoice as the engine's document has them: all but discounts and taxes, which belong to one."""
    net = [line.amount for line in lines]
    taxes = [0] * len(lines)
    for line in lines:
        if line.parent is None:
            continue
        if line.kind == "discount":
            net[line.parent] += line.amount
        elif line.kind == "tax":
            taxes[line.parent] += line.amount
    waiting = {place for place, _ in untaxed(lines)}
    return [
        LineToTax(place, net[place], None if place in waiting else taxes[place])
        for place, line in enumerate(lines)
        if line.kind not in _BELONGING
    ]


def put_tax_on(draft: Draft, tax: EngineTax) -> None:
    """Put the amounts on the draft as they were given. Its lines are those that the engine was asked about, in the same
    order. Raises TaxDoesNotFit, and changes nothing, for another draft."""
    add_given_tax(draft, tax.currency, tax.given)


def address_for_tax(address: Mapping[str, Any] | None, tax_region: str | None) -> dict[str, str]:
    """Where an account is taxed: its address, with country and region from its tax region (`DE`, `US-NY`) where the
    address has none. Empty where nothing is known."""
    found = {name: str(value) for name, value in (address or {}).items() if value}
    country, _, region = (tax_region or "").partition("-")
    if country and not found.get("country"):
        found["country"] = country
    if region and not found.get("region") and found.get("country") == country:
        found["region"] = region
    return found


def charged_as(request: Any, taxes: Mapping[str, int]) -> Any:
    """The order `request` (JSON) with the tax that each line was charged with, by the line's number; none is zero."""
    lines = [line | {"charged": taxes.get(line["number"], 0)} for line in request["lines"]]
    return request | {"lines": lines}
