"""Stretches of days that a billed line covers, once what was credited of it is taken out."""

from __future__ import annotations

from collections.abc import Iterable

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
