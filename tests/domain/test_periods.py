"""Periods tile from the stored anchor, whatever the interval and the bill cycle day (billing laws 1 and 2)."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.periods import (
    Align,
    Anchor,
    Interval,
    Period,
    Unit,
    add_months,
    boundary,
    clamped,
    first_anchor,
    local_date,
    period_at,
    period_index,
    start_of_day,
)

DAYS = st.dates(date(2015, 1, 1), date(2045, 12, 31))
# Month ends and leap days are where periods go wrong; hypothesis should not have to find them by luck.
EDGES = st.sampled_from(
    [date(2024, 2, 29), date(2020, 2, 29), date(2025, 2, 28), date(2026, 1, 29), date(2026, 1, 30)]
    + [date(2026, month, monthrange(2026, month)[1]) for month in range(1, 13)]
)
STARTS = st.one_of(DAYS, EDGES)
INTERVALS = st.one_of(
    st.builds(Interval, st.just(Unit.DAY), st.integers(1, 45)),
    st.builds(Interval, st.just(Unit.WEEK), st.integers(1, 8)),
    st.builds(Interval, st.just(Unit.MONTH), st.integers(1, 24)),
    st.builds(Interval, st.just(Unit.YEAR), st.integers(1, 3)),
)
CYCLE_DAYS = st.one_of(st.none(), st.integers(1, 31))
ALIGNS = st.sampled_from(list(Align))


@st.composite
def anchors(draw: st.DrawFn) -> tuple[Anchor, Interval]:
    interval = draw(INTERVALS)
    return first_anchor(draw(STARTS), interval, draw(CYCLE_DAYS), draw(ALIGNS)), interval


@pytest.mark.parametrize(
    ("anchor", "interval", "boundaries"),
    [
        # Law 2: 31 → 29 Feb → 31 Mar, never stepped from the clamped day.
        (
            Anchor.at(date(2024, 1, 31)),
            Interval(Unit.MONTH),
            ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30", "2024-05-31"],
        ),
        (
            Anchor.at(date(2025, 1, 31)),
            Interval(Unit.MONTH),
            ["2025-01-31", "2025-02-28", "2025-03-31", "2025-04-30"],
        ),
        (
            Anchor.at(date(2025, 12, 30)),
            Interval(Unit.MONTH),
            ["2025-12-30", "2026-01-30", "2026-02-28", "2026-03-30"],
        ),
        (Anchor.at(date(2026, 1, 29)), Interval(Unit.MONTH), ["2026-01-29", "2026-02-28", "2026-03-29"]),
        # Law 2: a yearly 29 February bills the 28th in common years and returns to the 29th.
        (
            Anchor.at(date(2024, 2, 29)),
            Interval(Unit.YEAR),
            ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"],
        ),
        # The wanted day is not the anchor's own: bill cycle day 31, first boundary in a short month.
        (
            Anchor(date(2026, 2, 28), 31),
            Interval(Unit.MONTH),
            ["2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"],
        ),
        (
            Anchor(date(2026, 2, 28), 31),
            Interval(Unit.MONTH, 3),
            ["2026-02-28", "2026-05-31", "2026-08-31", "2026-11-30", "2027-02-28"],
        ),
        (Anchor.at(date(2026, 11, 30)), Interval(Unit.WEEK, 4), ["2026-11-30", "2026-12-28", "2027-01-25"]),
        (Anchor.at(date(2026, 12, 25)), Interval(Unit.DAY, 10), ["2026-12-25", "2027-01-04", "2027-01-14"]),
    ],
)
def test_boundaries_step_from_the_anchor(anchor: Anchor, interval: Interval, boundaries: list[str]) -> None:
    found = [boundary(anchor, interval, index).isoformat() for index in range(len(boundaries))]
    assert found == boundaries


def test_periods_before_the_anchor_tile_too() -> None:
    # Law 3: a stub is measured against the period that would have ended on the first anchor.
    anchor = Anchor(date(2026, 3, 31), 31)
    assert period_at(anchor, Interval(Unit.MONTH), date(2026, 3, 10)) == Period(
        date(2026, 2, 28), date(2026, 3, 31), -1
    )


@given(anchors(), st.integers(-60, 120))
def test_periods_tile_without_hole_or_overlap(given_anchor: tuple[Anchor, Interval], index: int) -> None:
    anchor, interval = given_anchor
    start, end, after = (boundary(anchor, interval, index + step) for step in range(3))
    assert start < end < after
    assert period_at(anchor, interval, start) == Period(start, end, index)
    assert period_at(anchor, interval, end - timedelta(days=1)) == Period(start, end, index)
    assert period_at(anchor, interval, end) == Period(end, after, index + 1)


@given(anchors(), DAYS)
def test_every_day_lies_in_one_period(given_anchor: tuple[Anchor, Interval], day: date) -> None:
    anchor, interval = given_anchor
    period = period_at(anchor, interval, day)
    assert period.start <= day < period.end
    assert period.days == (period.end - period.start).days > 0
    assert period_index(anchor, interval, day) == period.ordinal
    assert boundary(anchor, interval, period.ordinal) == period.start


@given(anchors(), st.integers(-60, 120))
def test_the_index_is_the_inverse_of_the_boundary(given_anchor: tuple[Anchor, Interval], index: int) -> None:
    anchor, interval = given_anchor
    start = boundary(anchor, interval, index)
    assert period_index(anchor, interval, start) == index
    assert period_index(anchor, interval, start - timedelta(days=1)) == index - 1


@given(anchors(), st.integers(-60, 120))
def test_a_boundary_never_steps_from_a_clamped_date(
    given_anchor: tuple[Anchor, Interval], index: int
) -> None:
    """Law 2: a boundary by months is the wanted day itself, or the last day of a month that lacks it."""
    anchor, interval = given_anchor
    found = boundary(anchor, interval, index)
    if interval.unit in (Unit.MONTH, Unit.YEAR):
        last = monthrange(found.year, found.month)[1]
        assert found.day == min(anchor.day, last)
        months = (found.year - anchor.on.year) * 12 + found.month - anchor.on.month
        assert months == index * interval.length * (12 if interval.unit is Unit.YEAR else 1)
    else:
        days = interval.length * (7 if interval.unit is Unit.WEEK else 1)
        assert found - anchor.on == timedelta(days=index * days)


@pytest.mark.parametrize(
    ("charged_from", "cycle_day", "anchor"),
    [
        (date(2026, 2, 10), None, Anchor(date(2026, 2, 10), 10)),
        (date(2026, 2, 10), 10, Anchor(date(2026, 2, 10), 10)),
        (date(2026, 2, 10), 15, Anchor(date(2026, 2, 15), 15)),
        (date(2026, 2, 10), 5, Anchor(date(2026, 3, 5), 5)),
        (date(2026, 2, 10), 31, Anchor(date(2026, 2, 28), 31)),
        (date(2026, 2, 28), 31, Anchor(date(2026, 2, 28), 31)),
        (date(2026, 1, 31), 30, Anchor(date(2026, 2, 28), 30)),
        (date(2026, 12, 20), 1, Anchor(date(2027, 1, 1), 1)),
        (date(2024, 2, 29), 30, Anchor(date(2024, 2, 29), 30)),
    ],
)
def test_the_first_anchor_is_the_first_bill_day(
    charged_from: date, cycle_day: int | None, anchor: Anchor
) -> None:
    assert first_anchor(charged_from, Interval(Unit.MONTH), cycle_day) == anchor


def test_a_bill_cycle_day_means_nothing_to_weeks_and_days() -> None:
    for unit in (Unit.DAY, Unit.WEEK):
        assert first_anchor(date(2026, 2, 10), Interval(unit, 4), 1) == Anchor.at(date(2026, 2, 10))


@pytest.mark.parametrize("day", [0, 32, -1])
def test_a_bill_cycle_day_outside_the_month_is_refused(day: int) -> None:
    with pytest.raises(ValueError, match="bill_cycle_day"):
        first_anchor(date(2026, 2, 10), Interval(Unit.MONTH), day)


@given(STARTS, INTERVALS, CYCLE_DAYS, ALIGNS)
def test_a_leading_stub_is_shorter_than_its_period(
    charged_from: date, interval: Interval, cycle_day: int | None, align: Align
) -> None:
    anchor = first_anchor(charged_from, interval, cycle_day, align)
    assert anchor.on >= charged_from
    period = period_at(anchor, interval, charged_from)
    if anchor.on == charged_from:
        assert period.ordinal == 0
    else:
        # At most one of its length away, and so within the one period that would have ended on the anchor (law 3).
        assert period.ordinal == -1
        assert period.end == anchor.on
        assert (anchor.on - charged_from).days < period.days


@pytest.mark.parametrize(
    ("day", "months", "wanted", "expected"),
    [
        (date(2026, 1, 31), 1, None, date(2026, 2, 28)),
        (date(2024, 1, 31), 1, None, date(2024, 2, 29)),
        (date(2026, 12, 15), 1, None, date(2027, 1, 15)),
        (date(2026, 1, 15), -1, None, date(2025, 12, 15)),
        (date(2026, 2, 28), 1, 31, date(2026, 3, 31)),
        (date(2026, 3, 31), -13, None, date(2025, 2, 28)),
    ],
)
def test_months_are_added_over_year_ends_and_short_months(
    day: date, months: int, wanted: int | None, expected: date
) -> None:
    assert add_months(day, months, wanted) == expected


def test_a_clamped_day_is_the_last_of_a_short_month() -> None:
    assert clamped(2026, 2, 31) == date(2026, 2, 28)
    assert clamped(2024, 2, 31) == date(2024, 2, 29)
    assert clamped(2026, 4, 31) == date(2026, 4, 30)
    assert clamped(2026, 4, 28) == date(2026, 4, 28)


# --- periods of the calendar ---


@pytest.mark.parametrize(
    ("interval", "charged_from", "first"),
    [
        (Interval(Unit.DAY, 10), date(2026, 11, 18), date(2026, 11, 18)),
        (Interval(Unit.WEEK), date(2026, 11, 18), date(2026, 11, 23)),  # a Wednesday, and its next Monday
        (Interval(Unit.WEEK), date(2026, 11, 23), date(2026, 11, 23)),
        (Interval(Unit.WEEK, 4), date(2026, 11, 29), date(2026, 11, 30)),  # a Sunday
        (Interval(Unit.MONTH), date(2026, 11, 1), date(2026, 11, 1)),
        (Interval(Unit.MONTH), date(2026, 11, 2), date(2026, 12, 1)),
        (Interval(Unit.MONTH), date(2026, 12, 31), date(2027, 1, 1)),
        (Interval(Unit.MONTH, 2), date(2026, 1, 2), date(2026, 3, 1)),
        (Interval(Unit.MONTH, 3), date(2026, 1, 1), date(2026, 1, 1)),
        (Interval(Unit.MONTH, 3), date(2026, 1, 2), date(2026, 4, 1)),
        (Interval(Unit.MONTH, 3), date(2026, 6, 30), date(2026, 7, 1)),
        (Interval(Unit.MONTH, 3), date(2026, 10, 1), date(2026, 10, 1)),
        (Interval(Unit.MONTH, 3), date(2026, 10, 2), date(2027, 1, 1)),
        (Interval(Unit.MONTH, 5), date(2026, 1, 2), date(2026, 2, 1)),  # five months begin in any month
        (Interval(Unit.MONTH, 6), date(2026, 1, 2), date(2026, 7, 1)),
        (Interval(Unit.MONTH, 6), date(2026, 7, 2), date(2027, 1, 1)),
        (Interval(Unit.MONTH, 9), date(2026, 1, 2), date(2026, 4, 1)),  # nine months begin with a quarter
        (Interval(Unit.MONTH, 12), date(2026, 1, 2), date(2027, 1, 1)),
        (Interval(Unit.MONTH, 24), date(2026, 1, 2), date(2027, 1, 1)),
        (Interval(Unit.YEAR), date(2024, 2, 29), date(2025, 1, 1)),
        (Interval(Unit.YEAR, 2), date(2026, 1, 1), date(2026, 1, 1)),
    ],
)
@pytest.mark.parametrize("cycle_day", [None, 15])
def test_calendar_periods_begin_where_the_calendar_does(
    interval: Interval, charged_from: date, first: date, cycle_day: int | None
) -> None:
    assert first_anchor(charged_from, interval, cycle_day, Align.CALENDAR) == Anchor.at(first)


@given(STARTS, st.sampled_from([1, 2, 3, 4, 6, 12]))
def test_calendar_months_all_begin_in_the_months_that_divide_the_year(
    charged_from: date, months: int
) -> None:
    interval = Interval(Unit.MONTH, months)
    anchor = first_anchor(charged_from, interval, None, Align.CALENDAR)
    for index in range(-3, 14):
        start = boundary(anchor, interval, index)
        assert (start.day, (start.month - 1) % months) == (1, 0)


# --- clock changes: a billing day is a local date, and counts one whatever its hours (law 1) ---

ZONES = st.sampled_from(
    [
        "America/Santiago",  # springs forward at midnight: 00:00 does not exist
        "Africa/Cairo",  # so does this one
        "America/Havana",  # falls back over midnight: 00:00 comes twice
        "Atlantic/Azores",
        "Asia/Beirut",
        "America/Asuncion",
        "Pacific/Auckland",
        "Australia/Lord_Howe",  # half an hour
        "Asia/Kathmandu",
        "America/New_York",
        "Europe/Berlin",
        "UTC",
    ]
)


@pytest.mark.parametrize(
    ("zone", "day", "starts_at"),
    [
        # 6 September 2026 in Santiago begins at 01:00 (-03), 04:00 UTC, for 00:00 is skipped.
        ("America/Santiago", date(2026, 9, 6), datetime(2026, 9, 6, 4, tzinfo=UTC)),
        ("Africa/Cairo", date(2026, 4, 24), datetime(2026, 4, 23, 22, tzinfo=UTC)),
        # Midnight comes twice in Havana on 1 November 2026: the day begins with the first.
        ("America/Havana", date(2026, 11, 1), datetime(2026, 11, 1, 4, tzinfo=UTC)),
        ("Pacific/Auckland", date(2026, 12, 1), datetime(2026, 11, 30, 11, tzinfo=UTC)),
        ("Pacific/Honolulu", date(2026, 12, 1), datetime(2026, 12, 1, 10, tzinfo=UTC)),
        ("UTC", date(2026, 12, 1), datetime(2026, 12, 1, tzinfo=UTC)),
    ],
)
def test_a_day_begins_at_its_first_instant(zone: str, day: date, starts_at: datetime) -> None:
    assert start_of_day(day, ZoneInfo(zone)) == starts_at


@given(st.dates(date(2016, 1, 1), date(2035, 12, 31)), ZONES)
def test_the_first_instant_is_of_that_day_and_the_one_before_is_not(day: date, zone_name: str) -> None:
    zone = ZoneInfo(zone_name)
    start = start_of_day(day, zone)
    assert start.utcoffset() == timedelta(0)
    assert local_date(start, zone) == day
    assert local_date(start - timedelta(microseconds=1), zone) == day - timedelta(days=1)
    hours = (start_of_day(day + timedelta(days=1), zone) - start) / timedelta(hours=1)
    assert 23 <= hours <= 25


@given(anchors(), st.integers(-40, 80), ZONES)
def test_periods_tile_in_every_zone(
    given_anchor: tuple[Anchor, Interval], index: int, zone_name: str
) -> None:
    """Where one period ends at an instant, the next begins, and no instant between two boundaries is in a third."""
    anchor, interval = given_anchor
    zone = ZoneInfo(zone_name)
    day = boundary(anchor, interval, index)
    period = period_at(anchor, interval, day)
    begins, ends = start_of_day(period.start, zone), start_of_day(period.end, zone)
    assert begins < ends
    assert period_at(anchor, interval, local_date(begins, zone)) == period
    last = local_date(ends - timedelta(microseconds=1), zone)
    assert period_at(anchor, interval, last) == period
    assert start_of_day(period_at(anchor, interval, local_date(ends, zone)).start, zone) == ends
    # Law 1: a day is a day, whatever the clock does in it.
    hours = (ends - begins) / timedelta(hours=1)
    assert abs(hours - 24 * period.days) <= 2


@pytest.mark.parametrize(
    ("zone", "anchor", "hours"),
    [
        ("America/New_York", date(2026, 3, 1), 31 * 24 - 1),
        ("America/New_York", date(2026, 11, 1), 30 * 24 + 1),
    ],
)
def test_a_day_with_a_clock_change_counts_one(zone: str, anchor: date, hours: int) -> None:
    # Law 1: calendar days of the account's zone, however many hours they have.
    period = period_at(Anchor.at(anchor), Interval(Unit.MONTH), anchor)
    assert period.days == monthrange(anchor.year, anchor.month)[1]
    length = start_of_day(period.end, ZoneInfo(zone)) - start_of_day(period.start, ZoneInfo(zone))
    assert length == timedelta(hours=hours)


def test_an_instant_is_on_the_local_day() -> None:
    instant = datetime(2026, 12, 1, 4, 59, 59, tzinfo=UTC)
    assert local_date(instant, ZoneInfo("America/New_York")) == date(2026, 11, 30)
    assert local_date(instant, ZoneInfo("Asia/Tokyo")) == date(2026, 12, 1)
