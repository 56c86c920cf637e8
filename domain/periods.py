"""Billing periods: half-open ranges of local dates that tile from a stored anchor (billing law 2)."""

from __future__ import annotations

from calendar import monthrange
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from math import gcd
from typing import NamedTuple
from zoneinfo import ZoneInfo

# A day as text. Cached: a run writes the same few days millions of times.
iso = lru_cache(maxsize=4096)(date.isoformat)


class Unit(StrEnum):
    """What an interval counts."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    YEAR = "year"


class Align(StrEnum):
    """Where periods begin: counted from the day on which charging began (or the bill cycle day), or where the
    calendar's own weeks, months, quarters, half-years and years do."""

    ANCHOR = "anchor"
    CALENDAR = "calendar"


class Interval(NamedTuple):
    """`length` units: a quarter is 3 months, a half-year 6."""

    unit: Unit
    length: int = 1


class Period(NamedTuple):
    """A billing period: `start` is in it, `end` is not; `ordinal` counts from the anchor (0), stubs are -1."""

    start: date
    end: date
    ordinal: int

    @property
    def days(self) -> int:
        """How many local days it has; a 23-hour day counts one."""
        return (self.end - self.start).days


class Anchor(NamedTuple):
    """The stored origin of a subscription's periods: `on` is the first boundary, `day` the wanted day of the
    month, which `on` itself may miss (bill cycle day 31, first boundary on 28 February)."""

    on: date
    day: int

    @classmethod
    def at(cls, on: date) -> Anchor:
        """The anchor whose wanted day is that of `on`."""
        return cls(on, on.day)


def clamped(year: int, month: int, day: int) -> date:
    """That day, or the last one of a shorter month."""
    return date(year, month, day if day <= 28 else min(day, monthrange(year, month)[1]))


def add_months(day: date, months: int, wanted_day: int | None = None) -> date:
    """`day` moved by `months`, to `wanted_day` (its own by default) or the end of a shorter month."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return clamped(year, month + 1, wanted_day or day.day)


def boundary(anchor: Anchor, interval: Interval, index: int) -> date:
    """Where period `index` starts. Always stepped from the anchor, never from a clamped date: 31 January, 28
    February, 31 March; a yearly 29 February returns to the 29th in leap years (law 2)."""
    unit, count = interval
    if unit is Unit.MONTH:
        return add_months(anchor.on, index * count, anchor.day)
    if unit is Unit.YEAR:
        return add_months(anchor.on, index * count * 12, anchor.day)
    return anchor.on + timedelta(days=index * count * (7 if unit is Unit.WEEK else 1))


def period_index(anchor: Anchor, interval: Interval, day: date) -> int:
    """The index of the period that holds `day`; negative before the anchor."""
    unit, count = interval
    if unit is Unit.DAY or unit is Unit.WEEK:
        return (day - anchor.on).days // (count * (7 if unit is Unit.WEEK else 1))
    step = count * (12 if unit is Unit.YEAR else 1)
    index = ((day.year - anchor.on.year) * 12 + day.month - anchor.on.month) // step
    # Clamping moves a boundary within its month only, so the estimate is one too high at most.
    if boundary(anchor, interval, index) > day:
        return index - 1
    return index


@lru_cache(maxsize=4096)
def period_at(anchor: Anchor, interval: Interval, day: date) -> Period:
    """The whole period that holds `day`. Cached: most subscriptions of a run share theirs with many others."""
    index = period_index(anchor, interval, day)
    return Period(boundary(anchor, interval, index), boundary(anchor, interval, index + 1), index)


def first_anchor(
    charged_from: date, interval: Interval, bill_cycle_day: int | None, align: Align = Align.ANCHOR
) -> Anchor:
    """The anchor of a subscription that is charged from `charged_from`: that day itself, or, with a bill cycle
    day and an interval of months or years, the first such day (clamped) on or after it. What lies before is the
    leading stub.

    Aligned to the calendar it is the first day on or after `charged_from` on which the calendar's own period of that
    length begins, whatever the bill cycle day: Monday, the 1st, for 3 months 1 January, April, July or October, for 6
    months 1 January or July, for years 1 January. A length that does not divide a year begins with the longest such
    period that divides it (9 months: a quarter); days begin every day. Raises ValueError for a bill cycle day
    outside 1 to 31.
    """
    if align is Align.CALENDAR:
        return Anchor.at(_calendar_day(charged_from, interval))
    if bill_cycle_day is None or interval.unit in (Unit.DAY, Unit.WEEK):
        return Anchor.at(charged_from)
    if not 1 <= bill_cycle_day <= 31:
        raise ValueError(f"bill_cycle_day must be from 1 to 31, not {bill_cycle_day}")
    on = add_months(charged_from, 0, bill_cycle_day)
    if on < charged_from:
        on = add_months(charged_from, 1, bill_cycle_day)
    return Anchor(on, bill_cycle_day)


def _calendar_day(day: date, interval: Interval) -> date:
    """The first day on or after `day` on which a calendar period of `interval` begins."""
    if interval.unit is Unit.DAY:
        return day
    if interval.unit is Unit.WEEK:
        return day + timedelta(days=-day.weekday() % 7)
    months = gcd(interval.length * (12 if interval.unit is Unit.YEAR else 1), 12)
    first = add_months(day, 0 if day.day == 1 else 1, 1)
    return add_months(first, (1 - first.month) % months)


def local_date(instant: datetime, zone: ZoneInfo) -> date:
    """The billing day on which `instant` falls for an account in `zone`."""
    return instant.astimezone(zone).date()


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which the local `day` begins in `zone`, in UTC: where the clock springs forward over
    midnight, the first instant that exists."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(ZoneInfo("UTC"))
