"""Accounting periods: the months of the books, open, closing or closed, and where a posting may go.

The closed months are always the first ones: a month closes only after all before it, and is reopened only while the
next is not closed. Months after the last one in the list are open.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from domain.periods import add_months, local_date


class Month(NamedTuple):
    """A calendar month of the book's time zone; months compare by time."""

    year: int
    month: int

    @property
    def start(self) -> date:
        """Its first day."""
        return date(self.year, self.month, 1)

    @property
    def end(self) -> date:
        """The first day after it (exclusive)."""
        return self.next.start

    @property
    def next(self) -> Month:
        """The month after it."""
        return month_of(add_months(self.start, 1))

    def __str__(self) -> str:
        return f"{self.year:04}-{self.month:02}"


def month_of(day: date) -> Month:
    """The month that holds `day`."""
    return Month(day.year, day.month)


def month_at(instant: datetime, zone: ZoneInfo) -> Month:
    """The month of the books into which `instant` falls; `zone` is the book's."""
    return month_of(local_date(instant, zone))


def months(first: Month, last: Month) -> Iterator[Month]:
    """The months from `first` to `last`, both inclusive; none when `last` is before `first`."""
    month = first
    while month <= last:
        yield month
        month = month.next


class Status(StrEnum):
    """open takes every posting, closing only corrections, closed none."""

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class AccountingPeriod:
    """A month and how it stands; `reopened_because` is the reason of its last reopening, None if there was none."""

    month: Month
    status: Status = Status.OPEN
    reopened_because: str | None = None


class PeriodRefused(ValueError):
    """A period cannot be changed, or a posting cannot be placed; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class AccountingPeriods:
    """The periods of a book: consecutive months from the first of the books, at least one, closed ones first.
    Raises PeriodRefused for what is not so."""

    periods: tuple[AccountingPeriod, ...]

    def __post_init__(self) -> None:
        if not self.periods:
            raise PeriodRefused("books have no period: name the month that they begin with")
        for before, after in itertools.pairwise(self.periods):
            if after.month != before.month.next:
                raise PeriodRefused(
                    f"period {after.month} follows {before.month}: the periods of a book are consecutive months"
                )
            if after.status is Status.CLOSED and before.status is not Status.CLOSED:
                raise PeriodRefused(f"period {after.month} is closed, and {before.month} before it is not")

    @classmethod
    def beginning(cls, first: Month) -> AccountingPeriods:
        """Books that begin with `first`, all open."""
        return cls((AccountingPeriod(first),))

    def status(self, month: Month) -> Status:
        """How `month` stands. Raises PeriodRefused for one before the books begin."""
        return self._period(month).status

    def _period(self, month: Month) -> AccountingPeriod:
        first = self.periods[0].month
        if month < first:
            raise PeriodRefused(f"{month} lies before the books, which begin with {first}: check the date")
        place = (month.year - first.year) * 12 + month.month - first.month
        return self.periods[place] if place < len(self.periods) else AccountingPeriod(month)

    def _with(self, changed: AccountingPeriod) -> AccountingPeriods:
        last = max(self.periods[-1].month, changed.month)
        found = (self._period(month) for month in months(self.periods[0].month, last))
        return AccountingPeriods(tuple(changed if each.month == changed.month else each for each in found))


def start_closing(books: AccountingPeriods, month: Month, today: date) -> AccountingPeriods:
    """`books` with `month` closing: from now on it takes corrections only. `today` is the day in the book's zone.

    Raises PeriodRefused when it is not open, is not over yet, or one before it is open still.
    """
    period = books._period(month)
    if period.status is not Status.OPEN:
        raise PeriodRefused(f"period {month} is {period.status} already: only an open period starts to close")
    if today < month.end:
        raise PeriodRefused(f"period {month} is not over yet: it can start to close on {month.end}")
    _refuse_earlier(books, month, (Status.OPEN,), "start closing them first, oldest first")
    return books._with(replace(period, status=Status.CLOSING))


def close(
    books: AccountingPeriods,
    month: Month,
    *,
    trial_balance: Mapping[str, Mapping[str, int]],
    open_issues: Sequence[str],
) -> AccountingPeriods:
    """`books` with `month` closed. `trial_balance` is that of the books through its end (currency → account → debit
    less credit, minor units), `open_issues` what still has to be cleared up, in words.

    Raises PeriodRefused when it is not closing, one before it is not closed, a currency does not sum to zero (law I1)
    or there are open issues.
    """
    period = books._period(month)
    if period.status is Status.CLOSED:
        raise PeriodRefused(f"period {month} is closed already")
    if period.status is Status.OPEN:
        raise PeriodRefused(f"period {month} is open: start closing it, post its corrections, then close it")
    _refuse_earlier(books, month, (Status.OPEN, Status.CLOSING), "close them first, oldest first")
    sums = {currency: sum(accounts.values()) for currency, accounts in trial_balance.items()}
    apart = [f"{currency} by {sums[currency]}" for currency in sorted(sums) if sums[currency]]
    if apart:
        raise PeriodRefused(
            f"period {month} cannot be closed: debits and credits differ in {', '.join(apart)} minor units"
        )
    if open_issues:
        raise PeriodRefused(
            f"period {month} cannot be closed before this is cleared up: {'; '.join(open_issues)}"
        )
    return books._with(replace(period, status=Status.CLOSED))


def reopen(books: AccountingPeriods, month: Month, reason: str) -> AccountingPeriods:
    """`books` with `month`, closing or closed, open again.

    Raises PeriodRefused without a reason, when it is open, or when the next period is closed.
    """
    if not reason.strip():
        raise PeriodRefused(f"period {month} is reopened for a reason: say which")
    period = books._period(month)
    if period.status is Status.OPEN:
        raise PeriodRefused(f"period {month} is open: there is nothing to reopen")
    if books.status(month.next) is Status.CLOSED:
        raise PeriodRefused(
            f"period {month} cannot be reopened while {month.next} is closed: reopen that one first"
        )
    return books._with(replace(period, status=Status.OPEN, reopened_because=reason.strip()))


def posting_day(
    books: AccountingPeriods, document_date: date, kind: str, corrections: Collection[str] = ()
) -> date:
    """The day that a posting of `kind`, dated `document_date`, counts for in the books: that day in an open period,
    and in a closing one for the kinds in `corrections`; otherwise the first day of the first open period after it. The
    document keeps its date. Raises PeriodRefused for a day before the books begin."""
    month = month_of(document_date)
    status = books.status(month)
    if status is Status.OPEN or (status is Status.CLOSING and kind in corrections):
        return document_date
    while books.status(month) is not Status.OPEN:
        month = month.next
    return month.start


def _refuse_earlier(
    books: AccountingPeriods, month: Month, statuses: Collection[Status], what_to_do: str
) -> None:
    first = books.periods[0].month
    found = [
        f"{each} is {books.status(each)}"
        for each in months(first, month)
        if each != month and books.status(each) in statuses
    ]
    if found:
        raise PeriodRefused(f"period {month} comes after others ({', '.join(found)}): {what_to_do}")
