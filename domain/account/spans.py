"""Stretches of days that a billed line covers: less what was credited of it, and where pauses moved them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from domain.amendments import Moved
from domain.coverage import Days
from domain.credits import BilledLine, CreditLine
from domain.proration import day_of


def without(span: Days, gone: Days) -> list[Days]:
    """`span` without the days of `gone`: none, one or two stretches."""
    rest = [(span[0], min(span[1], gone[0])), (max(span[0], gone[1]), span[1])]
    return [(start, end) for start, end in rest if start < end]


def credited_days(line: BilledLine, credits: Iterable[CreditLine]) -> list[Days]:
    """The time of `line` that `credits` gave back."""
    return [
        (day_of(credit.start), day_of(credit.end))
        for credit in credits
        if credit.corrects == line.key and credit.start is not None and credit.end is not None
    ]


def live_days(line: BilledLine, credits: Iterable[CreditLine]) -> list[Days]:
    """The days of `line`, end exclusive, that were not given back; none for a charge without a period."""
    if line.start is None or line.end is None:
        return []
    spans = [(day_of(line.start), day_of(line.end))]
    for gone in credited_days(line, credits):
        spans = [rest for span in spans for rest in without(span, gone)]
    return spans


def moved_days(span: Days, line: BilledLine, moved: Sequence[Moved]) -> list[Days]:
    """Where the days `span` of `line` lie after the pauses that moved them."""
    spans = [span]
    for move in moved:
        after: list[Days] = []
        for start, end in spans:
            if not move.moves(line) or end <= move.paused_on:
                after.append((start, end))
                continue
            if start < move.paused_on:
                after.append((start, move.paused_on))
            after.append((max(start, move.paused_on) + move.days, end + move.days))
        spans = after
    return spans
