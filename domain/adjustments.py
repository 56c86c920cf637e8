"""Adjustments: a signed amount on a billed line, with a reason. Down is a credit against the line with its tax, up is
a new charge; the line itself never changes (law 9)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from domain.credits import BilledLine, CreditLine, TooMuchCredit, left_of
from domain.money import scaled
from domain.proration import Moment


class AdjustmentError(ValueError):
    """An adjustment that says nothing: no amount, or no reason."""


@dataclass(frozen=True, slots=True)
class ExtraCharge:
    """A charge of kind adjustment for the next invoice: `net` minor units before tax, which is added there. What it
    is for is said as on the line `corrects` of `document`."""

    corrects: str
    document: str
    category: str
    item_id: str | None
    price_id: str | None
    product: str | None
    start: Moment | None
    end: Moment | None
    net: int
    kind: str = "adjustment"


class Adjustment(NamedTuple):
    """What an adjustment comes to: a credit line, for a credit note, or a new charge."""

    reason: str
    line: CreditLine | ExtraCharge


def adjust(line: BilledLine, credits: Sequence[CreditLine], amount: int, reason: str) -> Adjustment:
    """`line` adjusted by `amount` minor units before tax, after the earlier `credits` against it. Below zero it is
    credited with the same part of each tax that is left, rounded per tax (laws 5, 7); above zero it is charged.

    Raises AdjustmentError for an amount of zero or no reason, TooMuchCredit when less is left of the line.
    """
    if not amount or not reason.strip():
        raise AdjustmentError(
            f"the adjustment of line {line.key} needs an amount other than zero and a reason"
        )
    if amount > 0:
        return Adjustment(reason, _charge(line, amount))
    left = left_of(line, credits)
    if -amount > left.net:
        raise TooMuchCredit(
            f"line {line.key} is to be adjusted by {amount} minor units, and {left.net} before tax are left of it"
        )
    taxes = tuple(tax._replace(amount=scaled(tax.amount, amount, left.net)) for tax in left.taxes)
    return Adjustment(reason, CreditLine(line.key, "adjustment", None, None, amount, taxes))


def _charge(line: BilledLine, net: int) -> ExtraCharge:
    return ExtraCharge(
        corrects=line.key,
        document=line.document,
        category=line.category,
        item_id=line.item_id,
        price_id=line.price_id,
        product=line.product,
        start=line.start,
        end=line.end,
        net=net,
    )
