"""Proration: what part of a whole a stretch of time is, by day or by second, and amounts split along a line.

A moment is a local date, or, where the policy prorates by second, an aware instant in the account's zone. Days are
the default (billing law 1): a day of 23 or 25 hours counts one. By second, the time that really passes counts.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from domain.money import scaled
from domain.periods import start_of_day

# datetime is a date: always ask for datetime first.
Moment = date | datetime


class Unit(StrEnum):
    """What proration counts."""

    DAY = "day"
    SECOND = "second"


def moment_at(instant: datetime, zone: ZoneInfo, unit: Unit) -> Moment:
    """Where a change at `instant` falls: the local day (law 4: the change day belongs to the new plan), or, by
    second, that instant in the account's zone, in whole seconds."""
    local = instant.astimezone(zone)
    return local.date() if unit is Unit.DAY else local.replace(microsecond=0)


def day_of(moment: Moment) -> date:
    """The local day that holds `moment`."""
    return moment.date() if isinstance(moment, datetime) else moment


def _zone(*moments: Moment) -> ZoneInfo | None:
    for moment in moments:
        if isinstance(moment, datetime):
            if not isinstance(moment.tzinfo, ZoneInfo):
                raise ValueError(f"{moment} is no instant in an account's zone")
            return moment.tzinfo
    return None


def _instant(moment: Moment, zone: ZoneInfo) -> datetime:
    return moment.astimezone(UTC) if isinstance(moment, datetime) else start_of_day(moment, zone)


def distances(*moments: Moment) -> list[int]:
    """How far each moment lies from the first, in days when all are dates, otherwise in seconds that really pass
    (dates are then their local midnights)."""
    zone = _zone(*moments)
    if zone is None:
        return [moment.toordinal() - moments[0].toordinal() for moment in moments]
    first = _instant(moments[0], zone)
    return [int((_instant(moment, zone) - first).total_seconds()) for moment in moments]


def before(one: Moment, other: Moment) -> bool:
    """Whether `one` comes before `other`; a date counts from its local midnight."""
    return distances(one, other)[1] > 0


def earlier(one: Moment, other: Moment) -> Moment:
    """The earlier of two moments."""
    return other if before(other, one) else one


def later(one: Moment, other: Moment) -> Moment:
    """The later of two moments."""
    return other if before(one, other) else one


def part(start: Moment, end: Moment, whole_start: Moment, whole_end: Moment) -> tuple[int, int]:
    """(numerator, denominator) of the part that `start` to `end` is of the whole: the denominator is always a whole
    period (law 3)."""
    _, begin, finish, whole = distances(whole_start, start, end, whole_end)
    return finish - begin, whole


def split(amount: int, cuts: Sequence[int]) -> list[int]:
    """`amount` (minor units) split at `cuts`: distances from 0 to the whole, in order. Each part is the difference
    of two rounded running amounts, so that the parts sum to the whole exactly and the last is the whole minus the
    earlier ones. Raises ValueError for cuts that do not rise from 0."""
    if len(cuts) < 2 or cuts[0] != 0 or any(b < a for a, b in itertools.pairwise(cuts)) or not cuts[-1]:
        raise ValueError("cuts rise from 0 to the whole")
    running = [scaled(amount, cut, cuts[-1]) for cut in cuts]
    return [b - a for a, b in itertools.pairwise(running)]


def part_of_billed(amount: int, start: Moment, end: Moment, billed_start: Moment, billed_end: Moment) -> int:
    """The part of `amount`, billed for `billed_start` to `billed_end`, that belongs to `start` to `end` within it.
    Adjacent parts sum to the whole. Raises ValueError for a billed time that is empty."""
    _, begin, finish, whole = distances(billed_start, start, end, billed_end)
    if whole <= 0:
        raise ValueError(f"nothing was billed from {billed_start} to {billed_end}")
    return scaled(amount, finish, whole) - scaled(amount, begin, whole)
