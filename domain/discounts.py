"""Discounts on the lines of a bill: in their order, each on what the ones before left, before tax (billing law 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from domain.charge_key import charge_key
from domain.lines import ONE, Line
from domain.money import allocate, scaled


@dataclass(slots=True)
class Discount:
    """A percentage, or minor units a period, for periods that start from `starts_on` until `ends_on`. A code cuts
    once at a time: it may be there anew once it has ended."""

    code: str
    percent: Decimal | None
    amount: int | None
    starts_on: date
    ends_on: date | None


def apply_discounts(lines: list[Line], first: int, discounts: Sequence[Discount], day: date) -> None:
    """Append the discount lines for `lines` from the place `first` on, which are billed on `day`. A percentage cuts
    each line, a fixed amount is shared by the lines as they stand; none goes below zero."""
    last = len(lines)
    remaining = [line.amount for line in lines[first:last]]
    for discount in discounts:
        if day < discount.starts_on or (discount.ends_on is not None and day >= discount.ends_on):
            continue
        if discount.percent is not None:
            numerator, denominator = discount.percent.as_integer_ratio()
            cuts = [scaled(left, numerator, denominator * 100) for left in remaining]
        else:
            whole = sum(left for left in remaining if left > 0)
            if whole <= 0:
                continue
            cuts = allocate(min(discount.amount or 0, whole), [max(left, 0) for left in remaining])
        for offset, cut in enumerate(cuts):
            if cut <= 0:
                continue
            parent = lines[first + offset]
            remaining[offset] -= cut
            charge = f"discount|{discount.code}"
            lines.append(
                Line(
                    "discount",
                    None,
                    None,
                    None,
                    None,
                    None,
                    ONE,
                    -cut,
                    first + offset,
                    discount.code,
                    discount.percent,
                    charge_key(parent.charge_key, charge),
                    charge,
                    parent.category,
                )
            )
