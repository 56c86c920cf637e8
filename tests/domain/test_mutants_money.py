"""What a mutation of money, periods or proration once slipped past: the edges of what is refused, and yearly periods
whose wanted day the first boundary missed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from domain.money import MoneyError, allocate, parse_minor
from domain.periods import Anchor, Interval, Period, Unit, boundary, first_anchor, period_at, start_of_day
from domain.proration import part_of_billed, split

YEAR = Interval(Unit.YEAR)
NEW_YORK = ZoneInfo("America/New_York")


def test_an_amount_may_have_thirty_one_digits_and_no_more() -> None:
    assert parse_minor("1e30", "USD") == 10**32
    assert parse_minor("9" * 31, "USD") == int("9" * 31) * 100
    for text in ("1e31", "1" + "0" * 31):
        with pytest.raises(MoneyError, match="is not an amount"):
            parse_minor(text, "USD")


def test_a_split_over_nothing_says_what_it_needs() -> None:
    with pytest.raises(MoneyError) as refused:
        allocate(100, [])
    assert str(refused.value) == "an allocation needs weights that are not negative, and one above zero"


@pytest.mark.parametrize(
    ("anchor", "boundaries"),
    [
        # law 2: day 31 wanted, first met on 28 February: 29 February in the leap year, then the 28th again
        (Anchor(date(2027, 2, 28), 31), ["2027-02-28", "2028-02-29", "2029-02-28"]),
        (Anchor(date(2027, 4, 30), 31), ["2027-04-30", "2028-04-30"]),
    ],
)
def test_a_year_steps_to_the_wanted_day_that_its_first_boundary_missed(
    anchor: Anchor, boundaries: list[str]
) -> None:
    assert [boundary(anchor, YEAR, index).isoformat() for index in range(len(boundaries))] == boundaries


def test_a_yearly_bill_cycle_day_is_kept_through_a_short_february() -> None:
    anchor = first_anchor(date(2027, 2, 10), YEAR, 31)
    assert period_at(anchor, YEAR, date(2028, 2, 28)) == Period(date(2027, 2, 28), date(2028, 2, 29), 0)
    assert period_at(anchor, YEAR, date(2028, 2, 29)).ordinal == 1


@pytest.fixture
def a_machine_in_tokyo(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("a_machine_in_tokyo")
def test_the_start_of_a_day_is_told_in_utc_wherever_the_machine_stands() -> None:
    begins = start_of_day(date(2027, 7, 1), NEW_YORK)
    assert begins.utcoffset() == timedelta(0)
    assert begins.replace(tzinfo=None) == datetime(2027, 7, 1, 4)


def test_time_that_is_empty_or_runs_backwards_was_not_billed() -> None:
    first, second = date(2027, 3, 1), date(2027, 3, 2)
    for start, end in ((first, first), (second, first)):
        with pytest.raises(ValueError, match=rf"^nothing was billed from {start} to {end}$"):
            part_of_billed(1200, start, end, start, end)
    assert part_of_billed(1200, first, second, first, second) == 1200  # a single day is billed time


def test_cuts_that_do_not_rise_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match=r"^cuts rise from 0 to the whole$"):
        split(100, [0, 5, 3])
