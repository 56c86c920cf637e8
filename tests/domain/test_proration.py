"""Proration: days and seconds, whole denominators, splits that sum (laws 1, 3, I9)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.proration import (
    Moment,
    Unit,
    before,
    day_of,
    distances,
    earlier,
    later,
    moment_at,
    part,
    part_of_billed,
    split,
)

NEW_YORK = ZoneInfo("America/New_York")
JAN, FEB = date(2026, 1, 1), date(2026, 2, 1)
SPRING, AUTUMN = date(2026, 3, 8), date(2026, 11, 1)  # 23 and 25 hours in New York


def at(day: date, hour: int = 0, minute: int = 0, *, fold: int = 0) -> datetime:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=NEW_YORK, fold=fold)


def days(count: int) -> timedelta:
    return timedelta(days=count)


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        (datetime(2026, 1, 10, 4, 59, 59, tzinfo=UTC), date(2026, 1, 9)),  # a second before midnight there
        (datetime(2026, 1, 10, 5, 0, 0, tzinfo=UTC), date(2026, 1, 10)),
    ],
)
def test_by_day_a_change_falls_on_the_local_day(instant: datetime, day: date) -> None:
    # laws 1, 4
    assert moment_at(instant, NEW_YORK, Unit.DAY) == day


def test_by_second_a_change_is_the_local_instant_in_whole_seconds() -> None:
    # law 1
    moment = moment_at(datetime(2026, 1, 10, 5, 0, 1, 999999, tzinfo=UTC), NEW_YORK, Unit.SECOND)
    assert moment == datetime(2026, 1, 10, 0, 0, 1, tzinfo=NEW_YORK)
    assert isinstance(moment, datetime)
    assert moment.tzinfo is NEW_YORK


def test_the_hour_that_comes_twice_keeps_its_side() -> None:
    # 05:30 and 06:30 UTC are both 01:30 in New York on that day.
    first, second = (
        moment_at(datetime(2026, 11, 1, hour, 30, tzinfo=UTC), NEW_YORK, Unit.SECOND) for hour in (5, 6)
    )
    assert distances(first, second) == [0, 3600]
    assert before(first, second)
    assert not before(second, first)


def test_the_day_of_a_moment() -> None:
    assert day_of(JAN) == JAN
    assert day_of(at(JAN, 23, 59)) == JAN


@pytest.mark.parametrize(
    ("start", "end", "distance"),
    [
        (JAN, FEB, 31),
        (FEB, JAN, -31),
        (SPRING, SPRING + days(1), 1),  # law 1: a day of 23 hours counts one
        (at(SPRING), SPRING + days(1), 23 * 3600),  # by second, what really passes
        (AUTUMN, at(AUTUMN + days(1)), 25 * 3600),
        (at(JAN, 6), JAN, -6 * 3600),
        (at(JAN), at(JAN, 0, 1), 60),
    ],
)
def test_distances(start: Moment, end: Moment, distance: int) -> None:
    assert distances(start, end) == [0, distance]


@pytest.mark.parametrize("tzinfo", [None, UTC, timezone(timedelta(hours=-5))])
def test_an_instant_without_an_accounts_zone_is_refused(tzinfo: timezone | None) -> None:
    with pytest.raises(ValueError, match="no instant in an account's zone"):
        distances(JAN, datetime(2026, 1, 2, tzinfo=tzinfo))


def test_a_date_counts_from_its_local_midnight_when_compared_with_an_instant() -> None:
    midnight = at(JAN)
    assert not before(JAN, midnight)
    assert not before(midnight, JAN)
    assert before(JAN, midnight + timedelta(seconds=1))
    assert before(JAN, JAN + days(1))
    assert not before(JAN, JAN)


def test_earlier_and_later_of_two() -> None:
    assert (earlier(JAN, FEB), earlier(FEB, JAN)) == (JAN, JAN)
    assert (later(JAN, FEB), later(FEB, JAN)) == (FEB, FEB)
    # Of two that are equal, the first: a date stays a date.
    assert (earlier(JAN, at(JAN)), later(JAN, at(JAN))) == (JAN, JAN)
    assert not isinstance(earlier(JAN, at(JAN)), datetime)
    assert not isinstance(later(JAN, at(JAN)), datetime)


@pytest.mark.parametrize(
    ("start", "end", "whole", "ratio"),
    [
        # law 3: a stub from the 10th to the 1st, of the period that would have ended on the anchor
        (date(2026, 1, 10), FEB, (JAN, FEB), (22, 31)),
        # law 3: a trailing part, of the period that starts on the last anchor
        (FEB, date(2026, 2, 11), (FEB, date(2026, 3, 1)), (10, 28)),
        (JAN, FEB, (JAN, FEB), (31, 31)),
        (JAN, JAN, (JAN, FEB), (0, 31)),
        # From noon on a day of 23 hours: 12 of them are left.
        (at(SPRING, 12), SPRING + days(1), (SPRING, SPRING + days(1)), (12 * 3600, 23 * 3600)),
    ],
)
def test_the_part_of_a_whole_period(
    start: Moment, end: Moment, whole: tuple[date, date], ratio: tuple[int, int]
) -> None:
    assert part(start, end, *whole) == ratio


@pytest.mark.parametrize(
    ("amount", "cuts", "parts"),
    [
        (100, [0, 1, 2, 3], [33, 34, 33]),  # running 33.3, 66.7, 100
        (-100, [0, 1, 2, 3], [-33, -34, -33]),
        (1, [0, 1, 2], [1, 0]),  # half a unit goes up
        (-1, [0, 1, 2], [-1, 0]),
        (1000, [0, 31], [1000]),
        (10, [0, 0, 5, 5], [0, 10, 0]),
    ],
)
def test_an_amount_split_at_cuts(amount: int, cuts: list[int], parts: list[int]) -> None:
    assert split(amount, cuts) == parts


@pytest.mark.parametrize("cuts", [[], [0], [0, 0], [1, 2], [0, 3, 2], [-1, 0, 2], [0, -1]])
def test_cuts_that_do_not_rise_from_zero_are_refused(cuts: list[int]) -> None:
    with pytest.raises(ValueError, match="cuts rise from 0 to the whole"):
        split(100, cuts)


@given(
    st.integers(-(10**9), 10**9), st.lists(st.integers(0, 400), min_size=1).filter(lambda cuts: max(cuts) > 0)
)
def test_parts_sum_to_the_whole_and_each_is_within_a_unit_of_its_share(amount: int, cuts: list[int]) -> None:
    # law I9
    cuts = [0, *sorted(cuts)]
    parts = split(amount, cuts)
    assert sum(parts) == amount
    for share, (a, b) in zip(parts, pairwise(cuts), strict=True):
        assert abs(share * cuts[-1] - amount * (b - a)) <= cuts[-1]


@pytest.mark.parametrize(
    ("start", "end", "share"),
    [
        (JAN, date(2026, 1, 11), 323),  # 1000 × 10/31 = 322.58
        (date(2026, 1, 11), FEB, 677),
        (date(2026, 1, 10), date(2026, 1, 10), 0),
        (JAN, FEB, 1000),
    ],
)
def test_the_part_of_what_was_billed(start: date, end: date, share: int) -> None:
    assert part_of_billed(1000, start, end, JAN, FEB) == share
    assert part_of_billed(-1000, start, end, JAN, FEB) == -share


@given(
    st.integers(-(10**6), 10**6),
    st.lists(st.integers(0, 31), max_size=5),
    st.booleans(),
)
def test_adjacent_parts_of_what_was_billed_sum_to_it(amount: int, cuts: list[int], by_second: bool) -> None:
    # law I9
    places: list[Moment] = [SPRING + days(cut) for cut in [0, *sorted(cuts), 31]]
    if by_second:
        places = [at(day_of(place)) for place in places]
    shares = [part_of_billed(amount, a, b, places[0], places[-1]) for a, b in pairwise(places)]
    assert sum(shares) == amount
    assert all(share * amount >= 0 for share in shares)
