"""The rates of tax, and how an account's invoices are taxed (billing law 7).

The built-in table answers by region, category and day. An outside engine answers the same question through the
same step, and its amounts are taken as they are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple

from domain.catalog import TaxRate


class Treatment(StrEnum):
    """Who owes the tax: the seller (taxable), nobody (exempt), or the buyer, to the own authority (reverse
    charge)."""

    TAXABLE = "taxable"
    EXEMPT = "exempt"
    REVERSE_CHARGE = "reverse_charge"


class Rounding(StrEnum):
    """What tax is rounded on, half away from zero: each line, or the sum of the invoice."""

    LINE = "line"
    INVOICE = "invoice"


@dataclass(frozen=True, slots=True)
class TaxPolicy:
    """How an account's invoices are taxed. `inclusive`: its prices have the tax within them; such a price stays what
    it is when nobody or the buyer owes the tax."""

    inclusive: bool = False
    treatment: Treatment = Treatment.TAXABLE
    rounding: Rounding = Rounding.LINE


class Levy(NamedTuple):
    """One jurisdiction's rate: `rate` as written, and as the exact ratio that amounts are multiplied by."""

    jurisdiction: str
    rate: Decimal
    numerator: int
    denominator: int


class TaxTable:
    """The built-in rates. Region and category without an entry are not taxed."""

    def __init__(self, rates: Iterable[TaxRate]) -> None:
        self._rates: dict[tuple[str, str], dict[str, list[TaxRate]]] = {}
        for rate in rates:
            by_jurisdiction = self._rates.setdefault((rate.region, rate.category), {})
            by_jurisdiction.setdefault(rate.jurisdiction, []).append(rate)
        self._on_day: dict[tuple[str, str, date], tuple[Levy, ...]] = {}

    def levies(self, region: str | None, category: str, day: date) -> tuple[Levy, ...]:
        """The rates in force in `region` for `category` on `day`, jurisdictions in alphabetical order; a rate of
        zero is in the answer, because an invoice has to show it."""
        if region is None:
            return ()
        key = (region, category, day)
        found = self._on_day.get(key)
        if found is None:
            found = self._on_day[key] = self._find(region, category, day)
        return found

    def _find(self, region: str, category: str, day: date) -> tuple[Levy, ...]:
        levies = []
        for jurisdiction, rates in sorted(self._rates.get((region, category), {}).items()):
            in_force = [rate for rate in rates if rate.effective <= day]
            if in_force:
                rate = max(in_force, key=lambda candidate: candidate.effective).rate
                levies.append(Levy(jurisdiction, rate, *rate.as_integer_ratio()))
        return tuple(levies)
