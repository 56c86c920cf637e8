"""Revenue by month, and the waterfall, with figures worked out by hand."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.accounting_periods import Month, months
from domain.revenue import Credit, Schedule, recognised_through, with_credit
from domain.revenue_waterfall import Row, WaterfallRefused, WaterfallRow, by_month, by_period, waterfall
from tests.domain.test_revenue_properties import credited_schedules

DECEMBER, JANUARY, FEBRUARY, MARCH, APRIL = (
    Month(2025, 12),
    *(Month(2026, number) for number in range(1, 5)),
)


def quarter(net: int = 9000, billed_on: date = JANUARY.start, **more: Any) -> Schedule:
    """January to March 2026, 90 days: 31, 28 and 31."""
    return Schedule("k", more.pop("currency", "EUR"), net, billed_on, JANUARY.start, APRIL.start, **more)


def test_each_month_has_its_days() -> None:
    assert by_month(quarter()) == [Row(JANUARY, 3100), Row(FEBRUARY, 2800), Row(MARCH, 3100)]
    assert by_period(quarter(), [FEBRUARY]) == [Row(FEBRUARY, 2800)]
    assert by_month(quarter(billed_on=date(2025, 12, 31)))[0] == Row(DECEMBER, 0)
    late = quarter(billed_on=date(2026, 4, 30))
    assert by_month(late) == [Row(APRIL, 9000)]


def test_a_credit_is_reversed_in_the_month_in_which_it_was_given() -> None:
    # Given in April for all of March, and for half of February
    schedule = with_credit(quarter(), Credit(date(2026, 4, 2), 4500, APRIL.start))
    assert by_month(schedule) == [
        Row(JANUARY, 3100),
        Row(FEBRUARY, 2800),
        Row(MARCH, 3100),
        Row(APRIL, -4500),
    ]


def test_a_waterfall_of_what_was_billed_when() -> None:
    ahead = quarter(billed_on=date(2025, 12, 20))
    other = quarter(900, billed_on=date(2026, 1, 5))
    usage = quarter(500, billed_on=date(2026, 1, 31), deferred=False)
    cut = with_credit(quarter(1800, billed_on=date(2026, 2, 1)), Credit(date(2026, 2, 10), 620, APRIL.start))
    later = quarter(100, billed_on=MARCH.start, currency="USD")  # not billed before the end, so no matter
    table = waterfall([usage, ahead, later, cut, other], [JANUARY, FEBRUARY])
    assert table is not None
    assert table.currency == "EUR"
    assert table.periods == (JANUARY, FEBRUARY)
    assert table.rows == (
        WaterfallRow(DECEMBER, 9000, 0, (3100, 2800), 0, 3100),
        WaterfallRow(JANUARY, 1400, 0, (810, 280), 0, 310),
        # 59 of 90 days in February, for it was billed then; 620 is what March would have been.
        WaterfallRow(FEBRUARY, 1800, 0, (0, 1180), 620, 0),
    )
    assert table.totals == (3910, 4260)
    march = waterfall([ahead, other], [MARCH])
    assert march is not None
    assert march.rows == (
        WaterfallRow(DECEMBER, 9000, 5900, (3100,), 0, 0),
        WaterfallRow(JANUARY, 900, 590, (310,), 0, 0),
    )


def test_a_line_billed_on_the_last_day_of_the_table_is_in_it() -> None:
    table = waterfall([quarter(billed_on=date(2026, 2, 28))], [FEBRUARY])
    assert table is not None
    assert table.totals == (5900,)
    assert waterfall([quarter(billed_on=MARCH.start)], [FEBRUARY]) is None
    assert waterfall([], [FEBRUARY]) is None


@pytest.mark.parametrize("periods", [[], [JANUARY, MARCH], [FEBRUARY, JANUARY], [JANUARY, JANUARY]])
def test_a_waterfall_needs_consecutive_months(periods: list[Month]) -> None:
    with pytest.raises(WaterfallRefused, match="consecutive months"):
        waterfall([quarter()], periods)


def test_currencies_do_not_mix() -> None:
    with pytest.raises(WaterfallRefused, match="amounts of EUR, USD cannot stand in one table"):
        waterfall([quarter(currency="USD"), quarter()], [JANUARY])


@given(st.lists(credited_schedules(), max_size=4), st.integers(1, 7), st.integers(0, 4))
def test_each_row_accounts_for_all_that_was_billed(schedules: list[Schedule], first: int, more: int) -> None:
    periods = list(months(Month(2026, first), Month(2026, first + more)))
    table = waterfall(schedules, periods)
    rows = table.rows if table else ()
    for row in rows:
        assert row.billed == row.earlier + sum(row.amounts) + row.credited + row.deferred
    end = periods[-1].end
    assert sum(row.billed for row in rows) == sum(each.net for each in schedules if each.billed_on < end)
    recognised = sum(recognised_through(each, end) for each in schedules)
    assert sum(row.earlier for row in rows) + sum(table.totals if table else ()) == recognised
