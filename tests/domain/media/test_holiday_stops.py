"""Holiday stops: before the print cut-off only, an issue once, within the allowance."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from domain.media.holiday_stops import (
    Access,
    Delivery,
    HolidayStop,
    StopChange,
    StopPolicy,
    StopRefused,
    access_on,
    allowance_left,
    cancel_stop,
    change_stop,
    creditable_issues,
    request_stop,
    spent,
    stopped_issues,
    year_of,
)
from tests.domain.media.stops import WEEKEND, days, delivery, local

# Thursday; the weekend's issues are the 3rd and 4th, 10th and 11th, 17th and 18th, 24th and 25th, and the 31st.
NEW_YEAR = local("2026-01-01T09:00")


def jan(day: int) -> date:
    return date(2026, 1, day)


def stop_from(
    to: Delivery, first: int, until: int, asked: datetime = NEW_YEAR, stop_id: str = "one"
) -> HolidayStop:
    return request_stop(to, [], stop_id, jan(first), jan(until), asked).stop


def test_a_stop_takes_the_issues_from_its_first_day_until_the_day_of_return() -> None:
    change = request_stop(delivery(), [], "one", jan(10), jan(18), NEW_YEAR)
    assert days(change.stopped) == ["01-10", "01-11", "01-17"]
    assert (change.resumed, change.too_late) == ((), ())
    assert (change.stop.id, change.stop.canceled) == ("one", False)
    assert change.stop.wished == (NEW_YEAR.astimezone(UTC), jan(10), jan(18))
    assert days(stopped_issues(delivery(), [change.stop])) == ["01-10", "01-11", "01-17"]


def test_an_issue_at_its_cut_off_is_delivered_and_the_next_is_not() -> None:
    # Truth: stopping before the print cut-off only. Saturday's is Thursday noon.
    late = request_stop(delivery(), [], "one", jan(10), jan(13), local("2026-01-08T12:00"))
    assert days(late.stopped) == ["01-11"]
    assert days(late.too_late) == ["01-10"]
    early = request_stop(delivery(), [], "one", jan(10), jan(13), local("2026-01-08T11:59:59"))
    assert days(early.stopped) == ["01-10", "01-11"]


def test_a_stop_that_comes_too_late_for_all_of_it_is_refused() -> None:
    with pytest.raises(StopRefused, match=r"too late: .* up to 2026-01-11, has passed"):
        request_stop(delivery(), [], "one", jan(10), jan(13), local("2026-01-09T12:00"))


def test_a_stop_of_days_without_an_issue_is_refused() -> None:
    with pytest.raises(StopRefused, match="no issue is delivered from 2026-01-05 until 2026-01-10"):
        request_stop(delivery(), [], "one", jan(5), jan(10), NEW_YEAR)


def test_only_issues_of_the_subscription_are_stopped() -> None:
    # law 4: the cancel day is not billed; the first day is.
    short = delivery(starts_on=jan(4), ends_on=jan(11))
    change = request_stop(short, [], "one", jan(1), jan(31), local("2025-12-01T09:00"))
    assert days(change.stopped) == ["01-04", "01-10"]


def test_a_moved_issue_is_stopped_by_the_day_on_which_it_comes() -> None:
    moved = WEEKEND.model_copy(update={"moved": {jan(10): jan(9)}})
    to = delivery(calendar=moved)
    assert days(request_stop(to, [], "one", jan(9), jan(10), NEW_YEAR).stopped) == ["01-10"]
    assert days(request_stop(to, [], "one", jan(10), jan(12), NEW_YEAR).stopped) == ["01-11"]


def test_overlapping_stops_do_not_count_an_issue_twice() -> None:
    to = delivery(allowance=4)
    first = stop_from(to, 10, 18)
    second = request_stop(to, [first], "two", jan(11), jan(19), NEW_YEAR)
    assert days(second.stopped) == ["01-18"]
    both = [first, second.stop]
    assert days(stopped_issues(to, both)) == ["01-10", "01-11", "01-17", "01-18"]
    assert allowance_left(to, both, jan(1)) == 0


def test_a_stop_wholly_inside_another_is_accepted_and_adds_nothing() -> None:
    first = stop_from(delivery(), 10, 18)
    inside = request_stop(delivery(), [first], "two", jan(10), jan(12), NEW_YEAR)
    assert (inside.stopped, inside.resumed, inside.too_late) == ((), (), ())


def test_asking_twice_is_one_stop() -> None:
    first = stop_from(delivery(), 10, 18)
    again = request_stop(delivery(), [first], "one", jan(10), jan(18), local("2026-01-08T12:00"))
    assert again == StopChange(first, (), (), ())


def test_a_change_holds_for_issues_before_their_cut_off_only() -> None:
    stop = stop_from(delivery(), 10, 19)
    # Saturday the 10th is printed without the reader's; Sunday the 11th can still be had.
    change = change_stop(delivery(), [stop], "one", jan(17), jan(26), local("2026-01-08T12:00"))
    assert days(change.stopped) == ["01-24", "01-25"]
    assert days(change.resumed) == ["01-11"]
    assert days(change.too_late) == ["01-10"]
    assert days(stopped_issues(delivery(), [change.stop])) == ["01-10", "01-17", "01-18", "01-24", "01-25"]


def test_canceling_brings_back_what_is_not_printed_yet() -> None:
    stop = stop_from(delivery(), 10, 19)
    change = cancel_stop(delivery(), [stop], "one", local("2026-01-09T12:00"))
    assert days(change.resumed) == ["01-17", "01-18"]
    assert days(change.too_late) == ["01-10", "01-11"]
    assert change.stop.canceled
    assert days(stopped_issues(delivery(), [change.stop])) == ["01-10", "01-11"]
    again = cancel_stop(delivery(), [change.stop], "one", local("2026-01-20T12:00"))
    assert again == StopChange(change.stop, (), (), ())


def test_only_what_goes_against_the_wish_is_too_late() -> None:
    stop = stop_from(delivery(), 10, 19)
    # The 10th and 11th are printed without the reader's, as is still wished.
    change = change_stop(delivery(), [stop], "one", jan(10), jan(18), local("2026-01-09T12:00"))
    assert (days(change.resumed), change.too_late) == (["01-18"], ())


def test_a_stop_whose_issues_have_gone_from_the_calendar_can_be_canceled() -> None:
    stop = stop_from(delivery(), 10, 12)
    fewer = WEEKEND.model_copy(update={"no_delivery": frozenset({jan(10), jan(11)})})
    change = cancel_stop(delivery(calendar=fewer), [stop], "one", NEW_YEAR)
    assert change.stop.canceled
    assert (change.resumed, change.too_late) == ((), ())


def test_a_canceled_stop_can_be_asked_for_again() -> None:
    stop = stop_from(delivery(), 10, 12)
    gone = cancel_stop(delivery(), [stop], "one", local("2026-01-02T09:00")).stop
    assert stopped_issues(delivery(), [gone]) == []
    again = request_stop(delivery(), [gone], "one", jan(10), jan(12), local("2026-01-03T09:00"))
    assert days(again.stopped) == ["01-10", "01-11"]


def test_canceling_one_of_two_leaves_what_the_other_stops() -> None:
    to = delivery()
    first = stop_from(to, 10, 12)
    second = request_stop(to, [first], "two", jan(11), jan(18), NEW_YEAR).stop
    change = cancel_stop(to, [first, second], "one", NEW_YEAR)
    assert days(change.resumed) == ["01-10"]
    assert days(stopped_issues(to, [change.stop, second])) == ["01-11", "01-17"]


def test_canceling_when_all_is_printed_is_refused() -> None:
    stop = stop_from(delivery(), 10, 12)
    with pytest.raises(StopRefused, match="too late"):
        cancel_stop(delivery(), [stop], "one", local("2026-01-09T12:00"))


def test_a_change_that_moves_no_issue_is_fine() -> None:
    stop = stop_from(delivery(), 10, 12)
    change = change_stop(delivery(), [stop], "one", jan(9), jan(14), local("2026-01-02T09:00"))
    assert (change.stopped, change.resumed) == ((), ())
    assert change.stop.wished[1:] == (jan(9), jan(14))


def test_a_wish_does_not_come_before_the_last_one() -> None:
    stop = stop_from(delivery(), 10, 12)
    change = change_stop(delivery(), [stop], "one", jan(10), jan(11), NEW_YEAR)
    assert days(change.resumed) == ["01-11"], "the same instant is no earlier one"
    with pytest.raises(StopRefused, match="was changed after"):
        change_stop(delivery(), [stop], "one", jan(10), jan(18), NEW_YEAR - timedelta(seconds=1))


@pytest.mark.parametrize("do", [change_stop, cancel_stop])
def test_a_stop_that_is_not_there_is_refused(do: Any) -> None:
    span = (jan(10), jan(12)) if do is change_stop else ()
    with pytest.raises(StopRefused, match="has no holiday stop two"):
        do(delivery(), [stop_from(delivery(), 10, 12)], "two", *span, NEW_YEAR)


def test_a_wish_needs_a_zone() -> None:
    with pytest.raises(ValueError, match="has no zone"):
        request_stop(delivery(), [], "one", jan(10), jan(12), datetime(2026, 1, 1, 9))


@pytest.mark.parametrize(
    ("until", "message"),
    [
        (date(2026, 1, 10), "1 days at least, not 0"),
        (date(2026, 1, 9), "1 days at least, not -1"),
    ],
)
def test_a_stop_ends_after_it_begins(until: date, message: str) -> None:
    with pytest.raises(StopRefused, match=message):
        request_stop(delivery(), [], "one", jan(10), until, NEW_YEAR)


def test_a_stop_keeps_to_its_shortest_and_longest_length() -> None:
    to = delivery(shortest_days=3, longest_days=10)
    assert stop_from(to, 9, 12) == stop_from(delivery(), 9, 12)
    assert stop_from(to, 9, 19) == stop_from(delivery(), 9, 19)
    with pytest.raises(StopRefused, match="3 days at least, not 2"):
        stop_from(to, 10, 12)
    with pytest.raises(StopRefused, match="10 days at most, not 11"):
        stop_from(to, 9, 20)
    with pytest.raises(StopRefused, match="10 days at most, not 11"):
        change_stop(to, [stop_from(to, 9, 19)], "one", jan(9), jan(20), NEW_YEAR)


def test_the_allowance_of_issues_is_used_up_exactly() -> None:
    to = delivery(allowance=3)
    stop = stop_from(to, 10, 18)
    assert allowance_left(to, [stop], jan(1)) == 0
    assert allowance_left(to, [], jan(1)) == 3
    assert allowance_left(delivery(), [stop], jan(1)) is None
    with pytest.raises(
        StopRefused, match=r"4 issues would be stopped .* from 2026-01-01, and 3 .* 0 are left"
    ):
        request_stop(to, [stop], "two", jan(24), jan(25), NEW_YEAR)
    with pytest.raises(StopRefused, match="4 issues would be stopped"):
        change_stop(to, [stop], "one", jan(10), jan(19), NEW_YEAR)
    # What is given back can be used again.
    shorter = change_stop(to, [stop], "one", jan(10), jan(12), NEW_YEAR).stop
    assert days(request_stop(to, [shorter], "two", jan(24), jan(25), NEW_YEAR).stopped) == ["01-24"]


def test_the_allowance_of_weeks_counts_each_week_once() -> None:
    to = delivery(allowance=2, counts="weeks")
    # Monday the 5th to Sunday the 18th: two weeks with two issues each.
    stop = stop_from(to, 5, 19)
    assert len(stopped_issues(to, [stop])) == 4
    assert allowance_left(to, [stop], jan(1)) == 0
    with pytest.raises(StopRefused, match="3 weeks would be stopped"):
        stop_from(to, 11, 25)
    assert days(stopped_issues(to, [stop_from(to, 11, 18)])) == ["01-11", "01-17"]


def test_the_allowance_begins_again_with_the_calendar_year() -> None:
    to = delivery(allowance=2)
    # 27 and 28 December, 3 and 4 January: two a year.
    change = request_stop(to, [], "one", date(2025, 12, 27), jan(5), local("2025-12-01T09:00"))
    assert len(change.stopped) == 4
    assert spent(to, change.stopped) == {date(2025, 1, 1): 2, date(2026, 1, 1): 2}


def test_a_week_in_two_years_counts_in_both() -> None:
    daily = WEEKEND.model_copy(update={"weekdays": frozenset({"wed", "thu"})})
    to = delivery(calendar=daily, allowance=1, counts="weeks")
    # Wednesday 31 December and Thursday 1 January.
    change = request_stop(to, [], "one", date(2025, 12, 31), jan(2), local("2025-12-01T09:00"))
    assert spent(to, change.stopped) == {date(2025, 1, 1): 1, date(2026, 1, 1): 1}


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        (date(2025, 6, 14), date(2024, 6, 15)),
        (date(2025, 6, 15), date(2025, 6, 15)),
        (date(2026, 6, 14), date(2025, 6, 15)),
        (date(2026, 6, 15), date(2026, 6, 15)),
    ],
)
def test_the_subscription_year_begins_on_the_day_of_its_start(day: date, expected: date) -> None:
    assert year_of(delivery(year="subscription"), day) == expected
    assert year_of(delivery(), day) == date(day.year, 1, 1)


def test_a_leap_day_start_has_its_years_from_the_anchor() -> None:
    # law 2
    leap = delivery(starts_on=date(2024, 2, 29), year="subscription")
    assert year_of(leap, date(2025, 2, 27)) == date(2024, 2, 29)
    assert year_of(leap, date(2025, 2, 28)) == date(2025, 2, 28)
    assert year_of(leap, date(2028, 2, 28)) == date(2027, 2, 28)
    assert year_of(leap, date(2028, 2, 29)) == date(2028, 2, 29)


def test_an_allowance_that_was_lowered_lets_nobody_take_more_and_everybody_less() -> None:
    stop = stop_from(delivery(), 10, 19)
    lowered = delivery(allowance=1)
    assert allowance_left(lowered, [stop], jan(1)) == 0
    assert days(change_stop(lowered, [stop], "one", jan(10), jan(18), NEW_YEAR).resumed) == ["01-18"]
    # As many others: no more than before.
    assert change_stop(lowered, [stop], "one", jan(17), jan(26), NEW_YEAR).stopped
    with pytest.raises(StopRefused, match=r"5 issues would be stopped .* and 1 are allowed; 0 are left"):
        change_stop(lowered, [stop], "one", jan(10), jan(25), NEW_YEAR)


def test_beyond_the_allowance_a_policy_may_stop_without_credit() -> None:
    to = delivery(allowance=3, over_allowance="no_credit")
    stop = stop_from(to, 10, 26)
    assert len(stopped_issues(to, [stop])) == 6
    assert days(creditable_issues(to, [stop])) == ["01-10", "01-11", "01-17"]
    assert allowance_left(to, [stop], jan(1)) == 0
    weeks = delivery(allowance=2, counts="weeks", over_allowance="no_credit")
    assert days(creditable_issues(weeks, [stop])) == ["01-10", "01-11", "01-17", "01-18"]
    unlimited = delivery(over_allowance="no_credit")
    assert len(creditable_issues(unlimited, [stop])) == 6


def test_a_policy_without_stops_allows_none() -> None:
    with pytest.raises(StopRefused, match="and 0 are allowed; 0 are left"):
        stop_from(delivery(allowance=0), 10, 11)


def test_delivery_is_suspended_and_reading_online_goes_on() -> None:
    to = delivery()
    stop = stop_from(to, 10, 18)
    assert access_on(to, [stop], jan(4)).issues
    assert access_on(to, [stop], jan(10)) == Access((), digital=True)
    assert access_on(to, [stop], jan(12)) == Access((), digital=True)
    assert days(access_on(to, [stop], jan(18)).issues) == ["01-18"]


def test_a_policy_may_stop_reading_online_too() -> None:
    to = delivery(digital_access=False)
    stop = stop_from(to, 10, 18)
    reads = [access_on(to, [stop], jan(day)).digital for day in (9, 10, 17, 18)]
    assert reads == [True, False, False, True]
    back = cancel_stop(to, [stop], "one", local("2026-01-08T12:00")).stop
    # The Saturday issue was printed without the reader's copy; online they read again.
    assert access_on(to, [back], jan(10)) == Access((), digital=True)


def test_nothing_is_had_before_the_start_and_from_the_end_on() -> None:
    short = delivery(starts_on=jan(4), ends_on=jan(11))
    assert access_on(short, [], jan(3)) == Access((), digital=False)
    assert access_on(short, [], jan(4)).digital
    assert len(access_on(short, [], jan(4)).issues) == 1
    assert len(access_on(short, [], jan(10)).issues) == 1
    assert access_on(short, [], jan(11)) == Access((), digital=False)


def test_the_policy_refuses_keys_that_it_does_not_know() -> None:
    with pytest.raises(ValidationError, match="Extra inputs"):
        StopPolicy.model_validate({"alowance": 5})
