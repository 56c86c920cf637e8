"""The delivery calendar: which issues there are, until when each can be changed, what each is worth."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from domain.media.deliveries import (
    CutOff,
    DeliveryCalendar,
    Issue,
    Weekday,
    changeable,
    cut_off,
    issue_shares,
    issues_dated,
    issues_delivered,
    next_changeable,
    utc,
)

BERLIN = ZoneInfo("Europe/Berlin")
TWO_DAYS_AT_NOON = {"days_before": 2, "at": "12:00"}


def calendar(**given: Any) -> DeliveryCalendar:
    """Saturdays and Sundays, printed in Berlin, to be changed until noon two days before."""
    wanted = {"edition": "weekend", "zone": "Europe/Berlin", "cut_off": TWO_DAYS_AT_NOON}
    return DeliveryCalendar.model_validate({**wanted, "weekdays": ["sat", "sun"], **given})


def january(*days: int) -> list[date]:
    return [date(2026, 1, day) for day in days]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@given(st.dates(date(2020, 1, 1), date(2030, 1, 1)))
def test_weekdays_stand_in_the_calendars_order(day: date) -> None:
    named = Weekday(day.strftime("%a").lower())
    assert calendar(weekdays=[named]).appears(day)
    assert not calendar(weekdays=set(Weekday) - {named}).appears(day)


def test_issues_of_a_span_begin_on_its_first_day_and_end_before_its_last() -> None:
    weekend = calendar()
    assert [issue.day for issue in issues_dated(weekend, date(2026, 1, 3), date(2026, 1, 18))] == january(
        3, 4, 10, 11, 17
    )
    assert issues_dated(weekend, date(2026, 1, 3), date(2026, 1, 3)) == []


def test_a_holiday_has_no_issue_and_an_extra_day_has_one() -> None:
    odd = calendar(no_delivery=["2026-01-04", "2026-01-06"], extra_days=["2026-01-07", "2026-01-10"])
    assert [issue.day for issue in issues_dated(odd, date(2026, 1, 1), date(2026, 1, 12))] == january(
        3, 7, 10, 11
    )


def test_a_moved_issue_keeps_its_date_and_comes_on_another_day() -> None:
    moved = calendar(moved={"2026-01-03": "2026-01-02", "2026-01-11": "2026-01-12"})
    first, fourth, eleventh = (
        Issue(date(2026, 1, 3), date(2026, 1, 2)),
        Issue(date(2026, 1, 4), date(2026, 1, 4)),
        Issue(date(2026, 1, 11), date(2026, 1, 12)),
    )
    tenth = Issue(date(2026, 1, 10), date(2026, 1, 10))
    assert issues_dated(moved, date(2026, 1, 3), date(2026, 1, 12)) == [first, fourth, tenth, eleventh]
    assert issues_delivered(moved, date(2026, 1, 3), date(2026, 1, 12)) == [fourth, tenth]
    assert issues_delivered(moved, date(2026, 1, 2), date(2026, 1, 13)) == [first, fourth, tenth, eleventh]
    assert issues_delivered(moved, date(2026, 1, 12), date(2026, 1, 13)) == [eleventh]


def test_two_issues_of_one_day_come_in_the_order_of_their_dates() -> None:
    both = calendar(moved={"2026-01-03": "2026-01-04"})
    assert [issue.day for issue in issues_delivered(both, date(2026, 1, 4), date(2026, 1, 5))] == january(
        3, 4
    )


@pytest.mark.parametrize(
    ("rule", "day", "expected"),
    [
        (TWO_DAYS_AT_NOON, "2026-01-10", "2026-01-08T11:00:00+00:00"),
        ({"at": "05:30"}, "2026-01-10", "2026-01-10T04:30:00+00:00"),
        # Days are calendar days: noon on the Friday before the clock changes, whatever the night's length.
        (TWO_DAYS_AT_NOON, "2026-03-29", "2026-03-27T11:00:00+00:00"),
        ({"days_before": 1, "at": "12:00"}, "2026-03-29", "2026-03-28T11:00:00+00:00"),
        ({"at": "12:00"}, "2026-03-29", "2026-03-29T10:00:00+00:00"),
        # Hours are hours that pass: 24 of them before 04:00 summer time is 03:00 winter time.
        ({"at": "04:00", "hours_before": 24}, "2026-03-29", "2026-03-28T02:00:00+00:00"),
        ({"at": "04:00", "hours_before": 24}, "2026-10-25", "2026-10-24T03:00:00+00:00"),
        ({"days_before": 1, "at": "04:00", "hours_before": 2}, "2026-10-25", "2026-10-24T00:00:00+00:00"),
        # 02:30 comes twice on 25 October, and the first counts; on 29 March it is skipped: 03:30 summer time.
        ({"at": "02:30"}, "2026-10-25", "2026-10-25T00:30:00+00:00"),
        ({"at": "02:30"}, "2026-03-29", "2026-03-29T01:30:00+00:00"),
    ],
)
def test_the_cut_off_is_a_local_time_before_the_delivery(
    rule: dict[str, Any], day: str, expected: str
) -> None:
    issue = Issue(date.fromisoformat(day), date.fromisoformat(day))
    found = cut_off(calendar(cut_off=rule), issue)
    assert found.isoformat() == expected
    assert found.tzinfo is UTC


def test_a_moved_issue_is_printed_with_its_delivery() -> None:
    moved = calendar(moved={"2026-01-10": "2026-01-09"})
    (issue,) = issues_dated(moved, date(2026, 1, 10), date(2026, 1, 11))
    assert cut_off(moved, issue) == at("2026-01-07T12:00:00+01:00")


def test_an_issue_can_be_changed_before_its_cut_off_and_not_at_it() -> None:
    issue = Issue(date(2026, 1, 10), date(2026, 1, 10))
    # Truth: stopping before the print cut-off only. The offset in which the instant was taken makes no difference.
    assert changeable(calendar(), issue, at("2026-01-08T10:59:59.999999+00:00"))
    assert not changeable(calendar(), issue, at("2026-01-08T11:00:00+00:00"))
    assert changeable(calendar(), issue, at("2026-01-08T05:59:59-05:00"))
    assert not changeable(calendar(), issue, at("2026-01-08T06:00:00-05:00"))


def test_the_hour_that_comes_twice_is_told_apart() -> None:
    night = calendar(cut_off={"at": "02:30"})
    issue = Issue(date(2026, 10, 25), date(2026, 10, 25))
    assert changeable(night, issue, datetime(2026, 10, 25, 2, 29, tzinfo=BERLIN))
    assert not changeable(night, issue, datetime(2026, 10, 25, 2, 29, fold=1, tzinfo=BERLIN))


def test_an_instant_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="has no zone"):
        utc(datetime(2026, 1, 1))
    with pytest.raises(ValueError, match="has no zone"):
        next_changeable(calendar(), datetime(2026, 1, 1))


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        ("2026-01-08T11:59:59+01:00", "2026-01-10"),
        ("2026-01-08T12:00:00+01:00", "2026-01-11"),
        ("2026-01-09T11:59:59+01:00", "2026-01-11"),
        ("2026-01-09T12:00:00+01:00", "2026-01-17"),
    ],
)
def test_the_next_issue_that_can_still_be_changed(instant: str, expected: str) -> None:
    day = date.fromisoformat(expected)
    assert next_changeable(calendar(), at(instant)) == Issue(day, day)


def test_the_next_issue_may_be_of_the_local_day_itself() -> None:
    # 22:30 UTC on the Friday is half past midnight of Saturday in Berlin in summer.
    today = calendar(cut_off={"at": "00:45"})
    found = next_changeable(today, at("2026-07-03T22:30:00+00:00"))
    assert found == Issue(date(2026, 7, 4), date(2026, 7, 4))
    assert next_changeable(today, at("2026-07-03T22:45:00+00:00")) == Issue(
        date(2026, 7, 5), date(2026, 7, 5)
    )


def test_the_next_issue_lies_behind_the_longest_cut_off_and_the_last_holiday() -> None:
    saturdays = calendar(weekdays=["sat"], cut_off={"days_before": 90, "hours_before": 47, "at": "00:00"})
    # Thursday 1 January + 90 days + 47 hours is 2 April 23:00, summer time: Saturday 4 April.
    assert next_changeable(saturdays, at("2026-01-01T00:00:00+01:00")) == Issue(
        date(2026, 4, 4), date(2026, 4, 4)
    )
    holidays = [date(2026, 1, 3) + timedelta(days=7 * week) for week in range(60)]
    away = calendar(weekdays=["sat"], no_delivery=holidays)
    after = holidays[-1] + timedelta(days=7)
    assert next_changeable(away, at("2026-01-01T00:00:00+01:00")) == Issue(after, after)


def test_a_magazine_has_a_last_issue() -> None:
    magazine = calendar(weekdays=[], extra_days=["2026-01-15", "2026-02-15"])
    assert next_changeable(magazine, at("2026-01-13T12:00:00+01:00")) == Issue(
        date(2026, 2, 15), date(2026, 2, 15)
    )
    assert next_changeable(magazine, at("2026-02-13T12:00:00+01:00")) is None


@given(
    st.sets(st.sampled_from(Weekday), min_size=1),
    st.integers(0, 90),
    st.integers(0, 240),
    st.times(),
    st.datetimes(datetime(2025, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC)),
)
def test_there_is_always_a_next_issue_and_none_before_it(
    weekdays: set[Weekday], days: int, hours: int, when: time, instant: datetime
) -> None:
    rule = CutOff(at=when, days_before=days, hours_before=hours)
    every = calendar(weekdays=weekdays, cut_off=rule)
    found = next_changeable(every, instant)
    assert found is not None
    assert instant < cut_off(every, found)
    earlier = issues_dated(every, instant.date() - timedelta(days=1), found.day)
    assert all(cut_off(every, issue) <= instant for issue in earlier)


def test_a_share_is_what_was_billed_over_the_issues_of_the_period() -> None:
    # Nine issues in January 2026; 1000 / 9 is 111.1 recurring, and the running amounts are rounded.
    shares = issue_shares(calendar(), 1000, date(2026, 1, 1), date(2026, 2, 1))
    assert [issue.day for issue in shares] == january(3, 4, 10, 11, 17, 18, 24, 25, 31)
    assert list(shares.values()) == [111, 111, 111, 111, 112, 111, 111, 111, 111]


def test_a_period_without_an_issue_has_no_shares() -> None:
    assert issue_shares(calendar(), 1000, date(2026, 1, 5), date(2026, 1, 10)) == {}


def test_by_second_the_issue_of_the_change_day_belongs_to_what_begins() -> None:
    # law 4
    start, change, end = (
        datetime(2026, 1, 3, tzinfo=BERLIN),
        datetime(2026, 1, 10, 15, tzinfo=BERLIN),
        datetime(2026, 1, 12, tzinfo=BERLIN),
    )
    before = issue_shares(calendar(), 500, start, change)
    after = issue_shares(calendar(), 500, change, end)
    assert [issue.day for issue in before] == january(3, 4)
    assert [issue.day for issue in after] == january(10, 11)


def test_a_moved_issue_is_paid_for_by_the_period_of_its_date() -> None:
    moved = calendar(moved={"2026-01-31": "2026-02-02", "2026-02-01": "2026-01-30"})
    shares = issue_shares(moved, 900, date(2026, 1, 1), date(2026, 2, 1))
    assert Issue(date(2026, 1, 31), date(2026, 2, 2)) in shares
    assert date(2026, 2, 1) not in [issue.day for issue in shares]


@given(
    st.sets(st.sampled_from(Weekday), min_size=1),
    st.integers(-(10**9), 10**9),
    st.dates(date(2025, 1, 1), date(2027, 1, 1)),
    st.integers(1, 400),
    st.sets(st.dates(date(2025, 1, 1), date(2028, 6, 1)), max_size=20),
)
def test_shares_sum_to_what_was_billed(
    weekdays: set[Weekday], amount: int, start: date, days: int, holidays: set[date]
) -> None:
    edition = calendar(weekdays=weekdays, no_delivery=holidays)
    end = start + timedelta(days=days)
    shares = issue_shares(edition, amount, start, end)
    assert sum(shares.values()) == (amount if shares else 0)
    # Equal parts: none is off by a whole unit.
    assert all(abs(share * len(shares) - amount) < len(shares) for share in shares.values())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weekdays": []}, "it never appears"),
        ({"no_delivery": ["2026-01-03"], "moved": {"2026-01-03": "2026-01-02"}}, "leave one of them"),
        ({"moved": {"2026-01-05": "2026-01-06"}}, "no issue is dated that day"),
        ({"cut_off": {"at": "12:00+01:00"}}, "without an offset"),
        ({"cut_off": {"at": "12:00", "days_before": -1}}, "greater than or equal to 0"),
        ({"zone": "Europe/Nowhere"}, "zone"),
        ({"holidays": []}, "Extra inputs"),
        ({"cut_off": {"at": "12:00", "minutes": 5}}, "Extra inputs"),
    ],
)
def test_a_calendar_that_cannot_be_meant_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        calendar(**wrong)
