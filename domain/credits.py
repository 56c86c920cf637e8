"""Credit: what is given back of what was billed. Computed from the billed line itself, its discount and its tax
(billing law 5), linked to it, and never more than is left of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple

from domain.money import allocate
from domain.proration import Moment, before, earlier, later, part_of_billed


class TaxAmount(NamedTuple):
    """The tax of one jurisdiction on a line, minor units; `rate` as shown on the invoice."""

    jurisdiction: str
    rate: Decimal
    amount: int


@dataclass(frozen=True, slots=True)
class BilledLine:
    """A charge as it stands on a finalised document: `net` is its amount with its discounts and without tax, minor
    units; `start` and `end` (exclusive) are what it was billed for, None for a one-time charge."""

    key: str
    document: str
    kind: str
    category: str
    item_id: str | None
    price_id: str | None
    product: str | None
    start: Moment | None
    end: Moment | None
    quantity: Decimal
    net: int
    taxes: tuple[TaxAmount, ...] = ()

    @property
    def tax(self) -> int:
        """All taxes on it together."""
        return sum(tax.amount for tax in self.taxes)

    @property
    def gross(self) -> int:
        """What the customer was asked to pay for it."""
        return self.net + self.tax


@dataclass(frozen=True, slots=True)
class CreditLine:
    """A credit: `net` and the taxes are negative (or zero), `corrects` is the key of the billed line, `start` and
    `end` the time given back, None where an amount is given back and no time."""

    corrects: str
    kind: str
    start: Moment | None
    end: Moment | None
    net: int
    taxes: tuple[TaxAmount, ...] = ()

    @property
    def tax(self) -> int:
        """All taxes given back together, negative."""
        return sum(tax.amount for tax in self.taxes)

    @property
    def gross(self) -> int:
        """What the customer gets back, negative."""
        return self.net + self.tax


class TooMuchCredit(ValueError):
    """More was to be credited than is left of what was billed."""


def left_of(line: BilledLine, credits: Iterable[CreditLine]) -> BilledLine:
    """`line` with the earlier `credits` against it taken off. Raises TooMuchCredit for a credit of a tax that the line
    does not have."""
    net = line.net
    taxes = list(line.taxes)
    for credit in credits:
        if credit.corrects != line.key:
            continue
        net += credit.net
        places = list(range(len(taxes)))
        for tax in credit.taxes:
            place = next((at for at in places if taxes[at][:2] == tax[:2]), None)
            if place is None:
                raise TooMuchCredit(f"line {line.key} was billed without the tax of {tax.jurisdiction}")
            places.remove(place)
            taxes[place] = taxes[place]._replace(amount=taxes[place].amount + tax.amount)
    return replace(line, net=net, taxes=tuple(taxes))


def credit_time(
    line: BilledLine, credits: Sequence[CreditLine], start: Moment, end: Moment, kind: str = "unused_credit"
) -> CreditLine | None:
    """The credit for the time from `start` to `end` of `line`, or None when none of it was billed by this line or is
    left. Time that was given back already is not given back again; the credit is capped by what is left."""
    if line.start is None or line.end is None:
        return None
    start, end = later(start, line.start), earlier(end, line.end)
    mine = [credit for credit in credits if credit.corrects == line.key]
    stretches = _without(start, end, mine)
    if not stretches:
        return None
    left = left_of(line, mine)

    since, until = line.start, line.end

    def share(whole: int, rest: int) -> int:
        wanted = sum(part_of_billed(whole, a, b, since, until) for a, b in stretches)
        return -min(wanted, rest) if whole >= 0 else -max(wanted, rest)

    net = share(line.net, left.net)
    taxes = tuple(
        tax._replace(amount=share(tax.amount, rest.amount))
        for tax, rest in zip(line.taxes, left.taxes, strict=True)
    )
    return CreditLine(line.key, kind, stretches[0][0], stretches[-1][1], net, taxes)


def credit_gross(
    line: BilledLine, credits: Sequence[CreditLine], gross: int, kind: str = "adjustment"
) -> CreditLine:
    """A credit of `gross` minor units (positive, tax included) against `line`: split between the net amount and each
    tax as what is left of the line is, by largest remainder, so that none gets more than is left of it. Raises
    TooMuchCredit when less is left, or when a tax of the line goes the other way."""
    left = left_of(line, credits)
    parts = [left.net, *(tax.amount for tax in left.taxes)]
    if gross <= 0 or gross > left.gross:
        raise TooMuchCredit(f"{gross} minor units are to be credited, and {left.gross} are left of the line")
    if min(parts) < 0:
        raise TooMuchCredit(
            f"line {line.key} has a tax that goes the other way: credit all that is left of it"
        )
    net, *amounts = allocate(gross, parts)
    taxes = (tax._replace(amount=-amount) for tax, amount in zip(left.taxes, amounts, strict=True))
    return CreditLine(line.key, kind, None, None, -net, tuple(taxes))


def credit_rest(
    line: BilledLine, credits: Sequence[CreditLine], kind: str = "adjustment"
) -> CreditLine | None:
    """All that is left of `line`, with the time that was not given back so far; None when nothing is left."""
    mine = [credit for credit in credits if credit.corrects == line.key]
    left = left_of(line, mine)
    if not left.net and not any(tax.amount for tax in left.taxes):
        return None
    taxes = tuple(tax._replace(amount=-tax.amount) for tax in left.taxes)
    start = end = None
    if line.start is not None and line.end is not None:
        stretches = _without(line.start, line.end, mine)
        if stretches:
            start, end = stretches[0][0], stretches[-1][1]
    return CreditLine(line.key, kind, start, end, -left.net, taxes)


def _without(start: Moment, end: Moment, credits: Sequence[CreditLine]) -> list[tuple[Moment, Moment]]:
    """`start` to `end` without the time that `credits` gave back already."""
    stretches = [(start, end)] if before(start, end) else []
    for credit in credits:
        if credit.start is None or credit.end is None:
            continue
        rest: list[tuple[Moment, Moment]] = []
        for a, b in stretches:
            if before(a, credit.start):
                rest.append((a, earlier(b, credit.start)))
            if before(credit.end, b):
                rest.append((later(a, credit.end), b))
        stretches = [(a, b) for a, b in rest if before(a, b)]
    return stretches
