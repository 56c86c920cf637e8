"""Pending lines: charges and credits that wait for the next invoice. They are on no document yet, so they may still be
shortened or dropped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from domain.credits import BilledLine, CreditLine
from domain.invoice_lines import billed_lines
from domain.lines import Line
from domain.proration import before, earlier, part_of_billed

NOT_ON_A_DOCUMENT = ""

# The kind under which the charge stands beside what is left of it, once it was shortened.
UNCUT = "uncut"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A line with its own discounts and taxes behind it; their `parent` is 0. `uncut` is what it was before it was
    shortened, empty if it was not."""

    lines: tuple[Line, ...]
    uncut: tuple[Line, ...] = ()

    @property
    def head(self) -> Line:
        """The charge or credit itself."""
        return self.lines[0]

    @property
    def amount(self) -> int:
        """What it adds to the invoice before tax that is not known yet, minor units."""
        return sum(line.amount for line in self.lines)


def waiting(lines: Sequence[Line]) -> list[Waiting]:
    """`lines` of one rating or amendment, each with what belongs to it. Parents are places within `lines`."""
    groups: dict[int, list[Line]] = {}
    for place, line in enumerate(lines):
        if line.parent is None:
            groups[place] = [line]
        else:
            groups[line.parent].append(replace(line, parent=0))
    return [Waiting(tuple(group)) for group in groups.values()]


def as_billed(pending: Iterable[Waiting]) -> list[BilledLine]:
    """The charges among `pending` as if they were billed, for amendments to credit; their document is empty. One that
    was shortened is there a second time as it was before, of kind UNCUT: what comes back on the day of the cut costs
    the difference."""
    found = []
    for each in pending:
        found += billed_lines(NOT_ON_A_DOCUMENT, each.lines)
        found += [replace(line, kind=UNCUT) for line in billed_lines(NOT_ON_A_DOCUMENT, each.uncut)]
    return found


def shortened(pending: Sequence[Waiting], credits: Iterable[CreditLine]) -> list[Waiting]:
    """`pending` after `credits` against its own charges: a charge ends where the credited time begins, and one that
    has no time left is gone. There is no tax to give back: it has not been charged."""
    kept = list(pending)
    for credit in credits:
        for place, each in enumerate(kept):
            if each.head.charge_key == credit.corrects:
                rest = _shortened(each, credit)
                kept[place : place + 1] = [rest] if rest is not None else []
                break
    return kept


def _shortened(each: Waiting, credit: CreditLine) -> Waiting | None:
    start, end = each.head.period_start, each.head.period_end
    if start is None or end is None or credit.start is None or not before(start, credit.start):
        return None
    cut = earlier(credit.start, end)
    lines = tuple(
        replace(
            line,
            amount=part_of_billed(line.amount, start, cut, start, end),
            period_end=cut if line is each.head else line.period_end,
        )
        for line in each.lines
    )
    return Waiting(lines, each.lines)


def laid_out(pending: Iterable[Waiting], first: int = 0) -> list[Line]:
    """The lines of `pending` for an invoice on which `first` lines stand already, parents set to their places."""
    lines: list[Line] = []
    for each in pending:
        place = first + len(lines)
        lines += [line if line.parent is None else replace(line, parent=place) for line in each.lines]
    return lines
