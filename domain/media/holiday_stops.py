"""Holiday stops: a reader is away, and the issues of those days are not delivered.

A stop is the list of its revisions, for what holds for an issue is what was wished before its print cut-off: the
last revision made by then decides, whatever was changed or canceled afterwards. Issues are a set, so stops that
overlap count and credit an issue once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, Field

from domain.media.deliveries import (
    DeliveryCalendar,
    Issue,
    changeable,
    cut_off,
    issues_delivered,
    utc,
)
from domain.periods import Anchor, Interval, Unit, period_at


class Counted(StrEnum):
    """What the yearly allowance counts: issues, or weeks (Monday to Sunday) in which an issue is stopped."""

    ISSUES = "issues"
    WEEKS = "weeks"


class Year(StrEnum):
    """From when the allowance's year runs: 1 January, or the day of the subscription's start."""

    CALENDAR = "calendar"
    SUBSCRIPTION = "subscription"


class OverAllowance(StrEnum):
    """What happens to stops beyond the allowance: refused, or stopped without credit."""

    REFUSE = "refuse"
    NO_CREDIT = "no_credit"


class StopPolicy(BaseModel, extra="forbid", frozen=True):
    """What an operator decides about holiday stops."""

    allowance: int | None = Field(default=None, ge=0, description="a year's issues or weeks; none: no limit")
    counts: Counted = Field(default=Counted.ISSUES, description="what the allowance counts")
    year: Year = Field(default=Year.CALENDAR, description="from when the allowance's year runs")
    over_allowance: OverAllowance = Field(
        default=OverAllowance.REFUSE, description="refuse a stop beyond it, or stop without credit"
    )
    shortest_days: int = Field(default=1, ge=1, description="fewest days of one stop")
    longest_days: int | None = Field(default=None, ge=1, description="most days of one stop; none: no limit")
    digital_access: bool = Field(
        default=True, description="whether the reader goes on reading online meanwhile"
    )


class Revision(NamedTuple):
    """What was wished at the instant `at`: no delivery from `start` until `until` (exclusive: the first day of
    delivery again). Both the same: no stop any more."""

    at: datetime
    start: date
    until: date

    def holds(self, day: date) -> bool:
        """Whether nothing is to be delivered on `day`."""
        return self.start <= day < self.until


@dataclass(frozen=True, slots=True)
class HolidayStop:
    """A stop as it was wished over time: at least one revision, in the order in which they were made."""

    id: str
    revisions: tuple[Revision, ...]

    @property
    def wished(self) -> Revision:
        """The last revision."""
        return self.revisions[-1]

    @property
    def canceled(self) -> bool:
        """Whether it was taken back."""
        return self.wished.start == self.wished.until


class Delivery(NamedTuple):
    """A subscription's delivery: its edition's calendar, the policy, and from when until when (exclusive, None while
    nobody ended it) it is delivered at all."""

    calendar: DeliveryCalendar
    policy: StopPolicy
    starts_on: date
    ends_on: date | None = None

    def has(self, issue: Issue) -> bool:
        """Whether `issue` belongs to the subscription: the cancel day is not billed (law 4)."""
        return self.starts_on <= issue.day and (self.ends_on is None or issue.day < self.ends_on)


class Access(NamedTuple):
    """What a reader gets on a day: the issues to deliver, and whether to read online."""

    issues: tuple[Issue, ...]
    digital: bool


@dataclass(frozen=True, slots=True)
class StopChange:
    """What a request, a change or a cancellation does: the stop as it stands afterwards, the issues that it newly
    stops, those delivered again, and those whose print cut-off was passed, so that they stay as they were."""

    stop: HolidayStop
    stopped: tuple[Issue, ...]
    resumed: tuple[Issue, ...]
    too_late: tuple[Issue, ...]


class StopRefused(ValueError):
    """A stop that the policy or the print cut-off does not allow; the message says why and what is possible."""


def stopped_issues(delivery: Delivery, stops: Iterable[HolidayStop]) -> list[Issue]:
    """The issues that `stops` keep from being delivered, each once, in the order in which they would come."""
    found = {issue for stop in stops for issue in _stopped(delivery, stop)}
    return sorted(found, key=lambda issue: (issue.delivered_on, issue.day))


def creditable_issues(delivery: Delivery, stops: Iterable[HolidayStop]) -> list[Issue]:
    """The stopped issues that a credit is due for: all of them, or, where the policy stops beyond the allowance
    without credit, the first of each year as far as the allowance reaches."""
    issues = stopped_issues(delivery, stops)
    allowance = delivery.policy.allowance
    if allowance is None or delivery.policy.over_allowance is OverAllowance.REFUSE:
        return issues
    within: list[Issue] = []
    for issue in issues:
        if spent(delivery, [*within, issue])[year_of(delivery, issue.delivered_on)] <= allowance:
            within.append(issue)
    return within


def spent(delivery: Delivery, issues: Iterable[Issue]) -> Counter[date]:
    """How much of the allowance `issues` take, by the first day of each year. A week that lies in two years and has
    issues in both counts in both."""
    units = {(year_of(delivery, issue.delivered_on), _unit(delivery.policy, issue)) for issue in issues}
    return Counter(year for year, _ in units)


def year_of(delivery: Delivery, day: date) -> date:
    """The first day of the allowance's year that holds `day`."""
    if delivery.policy.year is Year.CALENDAR:
        return date(day.year, 1, 1)
    return period_at(Anchor.at(delivery.starts_on), Interval(Unit.YEAR), day).start


def allowance_left(delivery: Delivery, stops: Iterable[HolidayStop], day: date) -> int | None:
    """How many issues or weeks can still be stopped (or credited) in the year of `day`; None: without limit."""
    if delivery.policy.allowance is None:
        return None
    used = spent(delivery, stopped_issues(delivery, stops))[year_of(delivery, day)]
    return max(0, delivery.policy.allowance - used)


def request_stop(
    delivery: Delivery,
    stops: Sequence[HolidayStop],
    stop_id: str,
    start: date,
    until: date,
    at: datetime,
) -> StopChange:
    """A new stop from `start` until `until` (exclusive), asked for at the instant `at`. `stops` are the
    subscription's others. Asking again under the id of one that is there already is a change of it. Raises
    StopRefused when it stops nothing, is too short or too long, or goes beyond the allowance."""
    _check_length(delivery.policy, start, until)
    known = any(stop.id == stop_id for stop in stops)
    stop = _named(stops, stop_id) if known else HolidayStop(stop_id, ())
    return _revise(delivery, stops, stop, Revision(utc(at), start, until))


def change_stop(
    delivery: Delivery,
    stops: Sequence[HolidayStop],
    stop_id: str,
    start: date,
    until: date,
    at: datetime,
) -> StopChange:
    """The stop `stop_id` of `stops`, moved to `start` until `until` (exclusive) at the instant `at`: issues whose
    cut-off has passed stay as they were. Raises StopRefused as request_stop does, and when it is too late for every
    issue that it would change."""
    _check_length(delivery.policy, start, until)
    return _revise(delivery, stops, _named(stops, stop_id), Revision(utc(at), start, until))


def cancel_stop(delivery: Delivery, stops: Sequence[HolidayStop], stop_id: str, at: datetime) -> StopChange:
    """The stop `stop_id` of `stops`, taken back at the instant `at`: issues whose cut-off has passed stay stopped (and
    credited). Raises StopRefused when that is all of them."""
    stop = _named(stops, stop_id)
    return _revise(delivery, stops, stop, Revision(utc(at), stop.wished.start, stop.wished.start))


def access_on(delivery: Delivery, stops: Sequence[HolidayStop], day: date) -> Access:
    """What the reader gets on `day`: delivery is suspended by the stops, reading online goes on unless the policy
    stops it too."""
    stopped = set(stopped_issues(delivery, stops))
    coming = issues_delivered(delivery.calendar, day, day + timedelta(days=1))
    issues = tuple(issue for issue in coming if delivery.has(issue) and issue not in stopped)
    live = delivery.starts_on <= day and (delivery.ends_on is None or day < delivery.ends_on)
    away = any(stop.wished.holds(day) for stop in stops)
    return Access(issues, live and (delivery.policy.digital_access or not away))


def _revise(
    delivery: Delivery, stops: Sequence[HolidayStop], stop: HolidayStop, revision: Revision
) -> StopChange:
    if stop.revisions and stop.wished[1:] == revision[1:]:
        return StopChange(stop, (), (), ())
    if stop.revisions and revision.at < stop.wished.at:
        raise StopRefused(f"holiday stop {stop.id} was changed after {revision.at}; look at it again first")
    others = [each for each in stops if each.id != stop.id]
    revised = replace(stop, revisions=(*stop.revisions, revision))
    mine, mine_after = set(_stopped(delivery, stop)), set(_stopped(delivery, revised))
    concerned = mine | set(_delivered(delivery, revision.start, revision.until))
    too_late = {
        issue
        for issue in concerned
        if not changeable(delivery.calendar, issue, revision.at)
        and (issue in mine_after) != revision.holds(issue.delivered_on)
    }
    if mine == mine_after:
        _refuse_idle(revision, concerned, too_late)
    before = set(stopped_issues(delivery, [*others, stop]))
    after = set(stopped_issues(delivery, [*others, revised]))
    _check_allowance(delivery, before, after)
    return StopChange(revised, _ordered(after - before), _ordered(before - after), _ordered(too_late))


def _refuse_idle(revision: Revision, concerned: set[Issue], too_late: set[Issue]) -> None:
    """Refuses a wish that changes the delivery of no issue, where that would be a surprise."""
    if too_late:
        last = max(issue.delivered_on for issue in too_late)
        raise StopRefused(f"too late: the print cut-off of every issue concerned, up to {last}, has passed")
    if not concerned and revision.start < revision.until:
        raise StopRefused(
            f"no issue is delivered from {revision.start} until {revision.until}: there is nothing to stop"
        )


def _check_length(policy: StopPolicy, start: date, until: date) -> None:
    days = (until - start).days
    if days < policy.shortest_days:
        raise StopRefused(f"a holiday stop lasts {policy.shortest_days} days at least, not {days}")
    if policy.longest_days is not None and days > policy.longest_days:
        raise StopRefused(f"a holiday stop lasts {policy.longest_days} days at most, not {days}")


def _check_allowance(delivery: Delivery, before: set[Issue], after: set[Issue]) -> None:
    """Refuses what takes more of a year than is left of it; an allowance that was lowered since keeps nobody from
    taking less."""
    policy = delivery.policy
    if policy.allowance is None or policy.over_allowance is OverAllowance.NO_CREDIT:
        return
    had = spent(delivery, before)
    for year, wanted in sorted(spent(delivery, after).items()):
        if wanted > policy.allowance and wanted > had[year]:
            raise StopRefused(
                f"{wanted} {policy.counts.value} would be stopped in the year from {year}, and "
                f"{policy.allowance} are allowed; {max(0, policy.allowance - had[year])} are left"
            )


def _named(stops: Iterable[HolidayStop], stop_id: str) -> HolidayStop:
    for stop in stops:
        if stop.id == stop_id:
            return stop
    raise StopRefused(f"the subscription has no holiday stop {stop_id}")


def _stopped(delivery: Delivery, stop: HolidayStop) -> list[Issue]:
    """The issues for which the last revision before their cut-off wishes no delivery."""
    if not stop.revisions:
        return []
    start = min(revision.start for revision in stop.revisions)
    until = max(revision.until for revision in stop.revisions)
    found: list[Issue] = []
    for issue in _delivered(delivery, start, until):
        limit = cut_off(delivery.calendar, issue)
        in_time = [revision for revision in stop.revisions if utc(revision.at) < limit]
        if in_time and in_time[-1].holds(issue.delivered_on):
            found.append(issue)
    return found


def _delivered(delivery: Delivery, start: date, until: date) -> list[Issue]:
    return [issue for issue in issues_delivered(delivery.calendar, start, until) if delivery.has(issue)]


def _unit(policy: StopPolicy, issue: Issue) -> date | Issue:
    if policy.counts is Counted.ISSUES:
        return issue
    return issue.delivered_on - timedelta(days=issue.delivered_on.weekday())


def _ordered(issues: Iterable[Issue]) -> tuple[Issue, ...]:
    return tuple(sorted(issues, key=lambda issue: (issue.delivered_on, issue.day)))
