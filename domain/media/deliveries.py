"""The delivery calendar of a printed edition: which issues there are, when each comes, until when its delivery can
be changed, and what part of a billed amount each is worth.

An issue is named by the day it is dated. That day says which service period paid for it; the day it is delivered
on, which differs where a holiday moves it, says whether the reader is away and when it is printed.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, model_validator

from domain.catalog import Code
from domain.proration import Moment, day_of, split


class Weekday(StrEnum):
    """A day of the week, in the order in which `date.weekday` counts."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


_WEEK = tuple(Weekday)


class CutOff(BaseModel, extra="forbid", frozen=True):
    """Until when an issue can still be changed: the local time `at`, `days_before` calendar days before the day of
    delivery, and `hours_before` hours (that really pass) before that."""

    at: time = Field(description="local time in the calendar's zone, without an offset")
    days_before: int = Field(default=0, ge=0, le=90, description="calendar days before the day of delivery")
    hours_before: int = Field(default=0, ge=0, le=240, description="hours before that time")

    @model_validator(mode="after")
    def _local_time(self) -> CutOff:
        if self.at.tzinfo is not None:
            raise ValueError("write the cut-off as a local time without an offset; the calendar has the zone")
        return self


class DeliveryCalendar(BaseModel, extra="forbid", frozen=True):
    """On which days an edition appears, and where it does not."""

    edition: Code
    zone: ZoneInfo = Field(description="where it is printed: the zone of the cut-off")
    cut_off: CutOff
    weekdays: frozenset[Weekday] = Field(default=frozenset(), description="days on which an issue is dated")
    extra_days: frozenset[date] = Field(
        default=frozenset(), description="issues beside those: specials, a magazine's days"
    )
    no_delivery: frozenset[date] = Field(
        default=frozenset(), description="holidays on which no issue appears; other days are harmless here"
    )
    moved: dict[date, date] = Field(
        default_factory=dict, description="day an issue is dated → day on which it is delivered instead"
    )

    @model_validator(mode="after")
    def _consistent(self) -> DeliveryCalendar:
        if not self.weekdays and not self.extra_days:
            raise ValueError("an edition needs weekdays or extra_days: it never appears otherwise")
        for day in sorted(self.moved):
            if day in self.no_delivery:
                raise ValueError(f"{day} stands under no_delivery and under moved; leave one of them")
            if not self.appears(day):
                raise ValueError(f"{day} is moved, but no issue is dated that day; check the weekdays")
        return self

    def appears(self, day: date) -> bool:
        """Whether an issue is dated `day`."""
        if day in self.no_delivery:
            return False
        return day in self.extra_days or _WEEK[day.weekday()] in self.weekdays


class Issue(NamedTuple):
    """One issue: `day` is its date and its name, `delivered_on` when it comes."""

    day: date
    delivered_on: date


def utc(instant: datetime) -> datetime:
    """`instant` in UTC, where instants compare as they follow each other, twice-told hours included. Raises
    ValueError for one without a zone."""
    if instant.tzinfo is None:
        raise ValueError(f"{instant} has no zone: say at which offset it was taken")
    return instant.astimezone(UTC)


def issues_dated(calendar: DeliveryCalendar, since: date, until: date) -> list[Issue]:
    """The issues dated from `since` until `until` (exclusive), in order."""
    return [Issue(day, calendar.moved.get(day, day)) for day in _days(since, until) if calendar.appears(day)]


def issues_delivered(calendar: DeliveryCalendar, since: date, until: date) -> list[Issue]:
    """The issues that come on a day from `since` until `until` (exclusive), in the order in which they come."""
    found = [
        Issue(day, day) for day in _days(since, until) if day not in calendar.moved and calendar.appears(day)
    ]
    found += [Issue(day, to) for day, to in calendar.moved.items() if since <= to < until]
    return sorted(found, key=lambda issue: (issue.delivered_on, issue.day))


def cut_off(calendar: DeliveryCalendar, issue: Issue) -> datetime:
    """The instant, in UTC, from which `issue` can no longer be changed. A local time that comes twice counts the
    first time; one that the clock skips counts as long after the jump as it lies after the jump's start."""
    rule = calendar.cut_off
    day = issue.delivered_on - timedelta(days=rule.days_before)
    local = datetime.combine(day, rule.at, tzinfo=calendar.zone)
    return local.astimezone(UTC) - timedelta(hours=rule.hours_before)


def changeable(calendar: DeliveryCalendar, issue: Issue, instant: datetime) -> bool:
    """Whether the delivery of `issue` can be changed at `instant`: before its print cut-off only, and at the
    cut-off no more."""
    return utc(instant) < cut_off(calendar, issue)


def next_changeable(calendar: DeliveryCalendar, instant: datetime) -> Issue | None:
    """The first issue to come whose delivery can still be changed at `instant`; None when the edition has no
    further issue."""
    since = utc(instant).astimezone(calendar.zone).date()
    # After the last day that is named, only the weekdays count: one of any seven days beyond the cut-off's reach.
    named = {since, *calendar.extra_days, *calendar.no_delivery, *calendar.moved, *calendar.moved.values()}
    rule = calendar.cut_off
    until = max(named) + timedelta(days=rule.days_before + 9, hours=rule.hours_before)
    for issue in issues_delivered(calendar, since, until):
        if changeable(calendar, issue, instant):
            return issue
    return None


def issue_shares(calendar: DeliveryCalendar, amount: int, start: Moment, end: Moment) -> dict[Issue, int]:
    """What each issue of the service period from `start` to `end` (exclusive) is worth of `amount`, which was
    billed for it (minor units): equal parts as differences of rounded running amounts, so that they sum to `amount`
    exactly. Empty when no issue is dated in the period. By second, the issue of the day of a change belongs to what
    begins that day (law 4)."""
    issues = issues_dated(calendar, day_of(start), day_of(end))
    if not issues:
        return {}
    return dict(zip(issues, split(amount, range(len(issues) + 1)), strict=True))


def _days(since: date, until: date) -> list[date]:
    return [since + timedelta(days=offset) for offset in range((until - since).days)]
