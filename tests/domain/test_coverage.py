"""Which days spans leave out, repeat, or cover unasked."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.coverage import cover

START = date(2026, 1, 1)


def day(no: int) -> date:
    return START + timedelta(days=no)


def stretch(first: int, last: int) -> tuple[date, date]:
    return day(first), day(last)


@pytest.mark.parametrize(
    ("spans", "missing", "double", "outside"),
    [
        ([(0, 30), (30, 60)], [], [], []),
        ([], [(0, 60)], [], []),
        ([(0, 29), (30, 60)], [(29, 30)], [], []),
        ([(0, 31), (30, 60)], [], [(30, 31)], []),
        ([(0, 60), (0, 60)], [], [(0, 60)], []),
        ([(0, 60), (10, 20)], [], [(10, 20)], []),
        ([(-5, 60)], [], [], [(-5, 0)]),
        ([(0, 60), (60, 90)], [], [], [(60, 90)]),
        ([(20, 30)], [(0, 20), (30, 60)], [], []),
    ],
)
def test_days_are_named(
    spans: list[tuple[int, int]],
    missing: list[tuple[int, int]],
    double: list[tuple[int, int]],
    outside: list[tuple[int, int]],
) -> None:
    found = cover(day(0), day(60), [stretch(*span) for span in spans])
    assert found == tuple([stretch(*days) for days in part] for part in (missing, double, outside))


def test_where_nothing_is_asked_for_every_span_is_outside() -> None:
    assert cover(day(5), day(5), [stretch(0, 9)]).outside == [stretch(0, 9)]


@given(st.lists(st.tuples(st.integers(-10, 70), st.integers(1, 40)), max_size=6))
def test_a_day_is_missing_or_double_just_as_counting_says(spans: list[tuple[int, int]]) -> None:
    ranges = [(start, start + length) for start, length in spans]
    found = cover(day(0), day(60), [stretch(*span) for span in ranges])
    for no in range(-10, 120):
        times = sum(start <= no < end for start, end in ranges)
        within = 0 <= no < 60
        assert any(a <= day(no) < b for a, b in found.missing) == (within and times == 0)
        assert any(a <= day(no) < b for a, b in found.double) == (within and times > 1)
        assert any(a <= day(no) < b for a, b in found.outside) == (not within and times > 0)
