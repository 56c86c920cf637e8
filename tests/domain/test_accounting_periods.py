"""Accounting periods: which changes are let through, in which order, and the day that a posting counts for."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounting_periods import (
    AccountingPeriod,
    AccountingPeriods,
    Month,
    PeriodRefused,
    Status,
    close,
    month_at,
    months,
    posting_day,
    reopen,
    start_closing,
)

JANUARY, FEBRUARY, MARCH, APRIL = (Month(2026, number) for number in range(1, 5))
LATER = date(2027, 1, 1)
BALANCED = {"EUR": {"cash": 5, "revenue": -5}, "JPY": {}}


def books(*letters: str) -> AccountingPeriods:
    """Periods from January 2026 on: o open, c closing, x closed."""
    statuses = {"o": Status.OPEN, "c": Status.CLOSING, "x": Status.CLOSED}
    every = zip(months(JANUARY, Month(2027, 1)), "".join(letters), strict=False)
    return AccountingPeriods(tuple(AccountingPeriod(month, statuses[letter]) for month, letter in every))


def letters(found: AccountingPeriods) -> str:
    names = {Status.OPEN: "o", Status.CLOSING: "c", Status.CLOSED: "x"}
    return "".join(names[period.status] for period in found.periods)


def closed(found: AccountingPeriods, month: Month) -> AccountingPeriods:
    return close(found, month, trial_balance=BALANCED, open_issues=[])


def test_a_month_has_its_days_and_neighbours() -> None:
    december = Month(2025, 12)
    assert (december.start, december.end) == (date(2025, 12, 1), date(2026, 1, 1))
    assert december.next == JANUARY
    assert december < JANUARY < FEBRUARY
    assert str(JANUARY) == "2026-01"
    assert list(months(december, FEBRUARY)) == [december, JANUARY, FEBRUARY]
    assert list(months(JANUARY, december)) == []


def test_the_month_of_an_instant_is_that_of_the_books_zone() -> None:
    instant = datetime(2026, 1, 31, 23, 30, tzinfo=UTC)
    assert month_at(instant, ZoneInfo("UTC")) == JANUARY
    assert month_at(instant, ZoneInfo("Europe/Berlin")) == FEBRUARY
    assert month_at(datetime(2026, 2, 1, 4, 59, tzinfo=UTC), ZoneInfo("America/New_York")) == JANUARY


def test_a_period_goes_from_open_to_closing_to_closed() -> None:
    found = AccountingPeriods.beginning(JANUARY)
    assert found.status(JANUARY) is Status.OPEN
    assert found.status(Month(2031, 5)) is Status.OPEN
    found = start_closing(found, JANUARY, FEBRUARY.start)
    assert letters(found) == "c"
    # The next may start to close before this one is closed, and is written down by it.
    found = start_closing(found, FEBRUARY, LATER)
    assert letters(found) == "cc"
    found = closed(found, JANUARY)
    assert letters(found) == "xc"
    assert letters(closed(found, FEBRUARY)) == "xx"


@pytest.mark.parametrize(
    ("before", "month", "message"),
    [
        ("c", JANUARY, "period 2026-01 is closing already"),
        ("x", JANUARY, "period 2026-01 is closed already"),
        ("o", FEBRUARY, "period 2026-02 comes after others (2026-01 is open): start closing them first"),
        ("xco", APRIL, "(2026-03 is open)"),
        ("o", Month(2025, 12), "2025-12 lies before the books, which begin with 2026-01"),
    ],
)
def test_closing_starts_with_the_oldest_open_period(before: str, month: Month, message: str) -> None:
    with pytest.raises(PeriodRefused, match=re.escape(message)):
        start_closing(books(before), month, LATER)


def test_a_period_starts_to_close_when_it_is_over() -> None:
    with pytest.raises(PeriodRefused, match="not over yet: it can start to close on 2026-02-01"):
        start_closing(books("o"), JANUARY, date(2026, 1, 31))
    assert letters(start_closing(books("o"), JANUARY, date(2026, 2, 1))) == "c"


@pytest.mark.parametrize(
    ("before", "month", "message"),
    [
        ("o", JANUARY, "period 2026-01 is open: start closing it"),
        ("x", JANUARY, "period 2026-01 is closed already"),
        ("cc", FEBRUARY, "period 2026-02 comes after others (2026-01 is closing): close them first"),
        ("xocc", APRIL, "(2026-02 is open, 2026-03 is closing)"),
    ],
)
def test_periods_are_closed_in_their_order(before: str, month: Month, message: str) -> None:
    with pytest.raises(PeriodRefused, match=re.escape(message)):
        closed(books(before), month)


def test_books_that_do_not_balance_are_not_closed() -> None:
    # law I1: per currency; two errors of opposite sign do not cancel out between currencies
    with pytest.raises(PeriodRefused, match="differ in EUR by 1, JPY by -1 minor units"):
        close(
            books("c"),
            JANUARY,
            trial_balance={"JPY": {"cash": -1}, "EUR": {"cash": 6, "revenue": -5}, "USD": {"cash": 0}},
            open_issues=[],
        )


def test_open_issues_keep_a_period_open() -> None:
    with pytest.raises(PeriodRefused, match="cleared up: 3 parked accounts; export 7 not confirmed"):
        close(
            books("c"),
            JANUARY,
            trial_balance=BALANCED,
            open_issues=["3 parked accounts", "export 7 not confirmed"],
        )


def test_a_period_is_reopened_for_a_reason() -> None:
    found = reopen(books("xxc"), FEBRUARY, " late invoice of the printer ")
    assert letters(found) == "xoc"
    assert found.periods[1].reopened_because == "late invoice of the printer"
    # The reason stays when it is closed again.
    again = closed(start_closing(found, FEBRUARY, LATER), FEBRUARY)
    assert letters(again) == "xxc"
    assert again.periods[1].reopened_because == "late invoice of the printer"
    assert letters(reopen(books("c"), JANUARY, "too early")) == "o"


@pytest.mark.parametrize(
    ("before", "month", "reason", "message"),
    [
        ("x", JANUARY, "  ", "reopened for a reason: say which"),
        ("xo", FEBRUARY, "why not", "period 2026-02 is open: there is nothing to reopen"),
        (
            "xx",
            JANUARY,
            "why not",
            "2026-01 cannot be reopened while 2026-02 is closed: reopen that one first",
        ),
    ],
)
def test_a_reopening_that_is_refused(before: str, month: Month, reason: str, message: str) -> None:
    with pytest.raises(PeriodRefused, match=message):
        reopen(books(before), month, reason)


@pytest.mark.parametrize(
    ("statuses", "dated", "kind", "posted"),
    [
        ("oo", date(2026, 1, 31), "payment", date(2026, 1, 31)),
        # Closed: the first open one after it; corrections too.
        ("xo", date(2026, 1, 31), "payment", date(2026, 2, 1)),
        ("xxo", date(2026, 1, 1), "payment", date(2026, 3, 1)),
        ("xco", date(2026, 1, 15), "credit_note", date(2026, 3, 1)),
        ("x", date(2026, 1, 15), "payment", date(2026, 2, 1)),
        # Closing: corrections only.
        ("co", date(2026, 1, 31), "credit_note", date(2026, 1, 31)),
        ("co", date(2026, 1, 31), "payment", date(2026, 2, 1)),
        ("cco", date(2026, 1, 31), "payment", date(2026, 3, 1)),
        # A reopened period before does not draw later postings back.
        ("xoco", date(2026, 3, 9), "payment", date(2026, 4, 1)),
        # A month that nobody has written down is open.
        ("x", date(2026, 7, 4), "payment", date(2026, 7, 4)),
    ],
)
def test_the_day_that_a_posting_counts_for(statuses: str, dated: date, kind: str, posted: date) -> None:
    assert posting_day(books(statuses), dated, kind, {"credit_note"}) == posted


def test_the_books_go_on_over_the_turn_of_the_year() -> None:
    every = list(months(Month(2025, 11), FEBRUARY))
    found = AccountingPeriods(tuple(AccountingPeriod(month, Status.CLOSED) for month in every[:3]))
    assert [found.status(month) for month in every] == [Status.CLOSED] * 3 + [Status.OPEN]
    assert posting_day(found, date(2025, 11, 30), "payment") == FEBRUARY.start


def test_without_corrections_a_closing_period_takes_nothing() -> None:
    assert posting_day(books("co"), date(2026, 1, 31), "credit_note") == date(2026, 2, 1)


def test_nothing_is_posted_before_the_books_begin() -> None:
    with pytest.raises(PeriodRefused, match="2025-12 lies before the books"):
        posting_day(books("o"), date(2025, 12, 31), "payment")


def test_books_are_consecutive_months_closed_ones_first() -> None:
    with pytest.raises(PeriodRefused, match="name the month that they begin with"):
        AccountingPeriods(())
    with pytest.raises(PeriodRefused, match="period 2026-03 follows 2026-01"):
        AccountingPeriods((AccountingPeriod(JANUARY), AccountingPeriod(MARCH)))
    for status in ("o", "c"):
        with pytest.raises(PeriodRefused, match="period 2026-02 is closed, and 2026-01 before it is not"):
            books(status, "x")


@given(
    st.lists(st.tuples(st.sampled_from(["start", "close", "reopen"]), st.integers(1, 5)), max_size=25),
    st.dates(date(2026, 1, 1), date(2026, 8, 31)),
)
def test_whatever_is_tried_closed_periods_come_first_and_take_nothing(
    tries: list[tuple[str, int]], dated: date
) -> None:
    found = AccountingPeriods.beginning(JANUARY)
    for step, number in tries:
        month = Month(2026, number)
        try:
            if step == "start":
                found = start_closing(found, month, LATER)
            elif step == "close":
                found = closed(found, month)
            else:
                found = reopen(found, month, "a mistake")
        except PeriodRefused:
            continue
    assert letters(found).lstrip("x").count("x") == 0
    posted = posting_day(found, dated, "payment")
    assert posted >= dated
    assert found.status(Month(posted.year, posted.month)) is Status.OPEN
