"""Revenue by month: the rows of one schedule, and the waterfall of many, which says when what was billed in a month is
revenue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from domain.accounting_periods import Month, month_of, months
from domain.revenue import Schedule, billed, credited, deferred_on, last_day, recognised_through


class Row(NamedTuple):
    """What is recognised in a month, minor units; below zero where a credit reversed more than was earned."""

    period: Month
    amount: int


class WaterfallRow(NamedTuple):
    """What was billed in one month, and what became of it, minor units: recognised before the table's first period
    (`earlier`) and in each of them (`amounts`), credited, and still `deferred` at the end of the last one. Always
    billed = earlier + amounts + credited + deferred."""

    billed_in: Month
    billed: int
    earlier: int
    amounts: tuple[int, ...]
    credited: int
    deferred: int


class Waterfall(NamedTuple):
    """A table of `rows` (months of billing, in order) by `periods`, in minor units of `currency`; `totals` sums the
    columns."""

    currency: str
    periods: tuple[Month, ...]
    rows: tuple[WaterfallRow, ...]
    totals: tuple[int, ...]


class WaterfallRefused(ValueError):
    """A table that cannot be made; the message says why."""


def by_period(schedule: Schedule, periods: Iterable[Month]) -> list[Row]:
    """What is recognised of `schedule` in each of `periods`, credits reversed in the period of their giving."""
    return [
        Row(period, recognised_through(schedule, period.end) - recognised_through(schedule, period.start))
        for period in periods
    ]


def by_month(schedule: Schedule) -> list[Row]:
    """`by_period` for all months of `schedule`, from its document to its last day; they sum to what is left of it."""
    return by_period(schedule, months(month_of(schedule.billed_on), month_of(last_day(schedule))))


def waterfall(schedules: Iterable[Schedule], periods: Sequence[Month]) -> Waterfall | None:
    """The waterfall of `schedules` over `periods`, which are consecutive months; None when nothing was billed before
    their end. Raises WaterfallRefused without periods, for ones with gaps, and for more than one currency."""
    if not periods or list(periods) != list(months(periods[0], periods[-1])):
        raise WaterfallRefused("a waterfall needs consecutive months, at least one")
    start, end = periods[0].start, periods[-1].end
    by_billing: dict[Month, list[Schedule]] = {}
    currencies: set[str] = set()
    for schedule in schedules:
        if schedule.billed_on < end:
            by_billing.setdefault(month_of(schedule.billed_on), []).append(schedule)
            currencies.add(schedule.currency)
    if not currencies:
        return None
    if len(currencies) > 1:
        raise WaterfallRefused(
            f"amounts of {', '.join(sorted(currencies))} cannot stand in one table: make one of each"
        )
    rows = tuple(
        WaterfallRow(
            month,
            sum(billed(each, end) for each in cohort),
            sum(recognised_through(each, start) for each in cohort),
            _sums([row.amount for row in by_period(each, periods)] for each in cohort),
            sum(credited(each, end) for each in cohort),
            sum(deferred_on(each, end) for each in cohort),
        )
        for month, cohort in sorted(by_billing.items())
    )
    return Waterfall(currencies.pop(), tuple(periods), rows, _sums(row.amounts for row in rows))


def _sums(columns: Iterable[Sequence[int]]) -> tuple[int, ...]:
    return tuple(map(sum, zip(*columns, strict=True)))
