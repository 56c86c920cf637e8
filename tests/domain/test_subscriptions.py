"""A subscription's dates: how it enters the books, its state on a day, and when it next changes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalog import PlanVersion
from domain.periods import Anchor, boundary, period_at
from domain.subscriptions import Opening, State, next_change, open_subscription, state_on, trial_end
from tests.domain.books import one_time, recurring, usage, version

UTC_ZONE = ZoneInfo("UTC")
AS_OF = date(2026, 12, 1)


def opened(plan: PlanVersion | None = None, **more: Any) -> Opening:
    given_dates: dict[str, Any] = {
        "starts_on": date(2026, 10, 15),
        "as_of": AS_OF,
        "charged_through": None,
        "bill_cycle_day": None,
        "ends_on": None,
        "zone": UTC_ZONE,
    }
    return open_subscription(plan or version(), **(given_dates | more))


# --- openings ---


def test_one_that_was_never_charged_is_billed_from_its_start() -> None:
    found = opened()
    assert (found.opening_on, found.charged_through, found.next_bill_on) == (date(2026, 10, 15),) * 3
    assert (found.anchor_on, found.anchor_day, found.status, found.next_due) == (
        date(2026, 10, 15),
        15,
        "active",
        None,
    )


def test_one_that_another_system_charged_goes_on_from_there() -> None:
    found = opened(charged_through=date(2026, 12, 15))
    assert (found.opening_on, found.charged_through, found.next_bill_on) == (date(2026, 12, 15),) * 3
    assert found.anchor_on == date(2026, 10, 15)  # the periods stay where the start put them


def test_charged_through_the_middle_of_a_period_is_billed_from_there() -> None:
    assert opened(charged_through=AS_OF).next_bill_on == AS_OF


@pytest.mark.parametrize(
    ("start", "bill_day", "anchor_on", "anchor_day"),
    [
        (date(2026, 2, 10), 31, date(2026, 2, 28), 31),  # law 2: clamped, and back to the 31st in March
        (date(2026, 2, 28), 31, date(2026, 2, 28), 31),
        (date(2024, 2, 29), 31, date(2024, 2, 29), 31),
        (date(2026, 1, 31), 1, date(2026, 2, 1), 1),
        (date(2026, 1, 31), None, date(2026, 1, 31), 31),
        (date(2026, 11, 30), 30, date(2026, 11, 30), 30),
    ],
)
def test_the_anchor_is_the_first_bill_day(
    start: date, bill_day: int | None, anchor_on: date, anchor_day: int
) -> None:
    found = opened(starts_on=start, bill_cycle_day=bill_day)
    assert (found.anchor_on, found.anchor_day) == (anchor_on, anchor_day)
    assert found.next_bill_on == start  # a stub is billed on its first day


TRIAL = version(phases=[{"kind": "trial", "days": 14}, {"kind": "evergreen", "prices": [recurring()]}])


def test_a_trial_is_free_and_the_periods_begin_after_it() -> None:
    found = opened(TRIAL, starts_on=date(2026, 11, 25), zone=ZoneInfo("Asia/Tokyo"))
    assert found.status == "trialing"
    assert found.trial_ends_on == found.anchor_on == found.next_bill_on == date(2026, 12, 9)
    assert found.next_due == datetime(2026, 12, 8, 15, tzinfo=UTC)


def test_a_trial_that_is_over_leaves_an_active_subscription() -> None:
    found = opened(TRIAL, starts_on=date(2026, 11, 17))
    assert (found.status, found.trial_ends_on, found.next_due) == ("active", AS_OF, None)
    assert found.next_bill_on == AS_OF


def test_a_fixed_term_ends_after_its_periods_and_a_renewing_one_does_not() -> None:
    plan = version(term={"periods": 12, "then": "end"})
    assert opened(plan).ends_on == date(2027, 10, 15)
    assert opened(plan, bill_cycle_day=1).ends_on == date(2027, 11, 1)
    assert opened(plan, ends_on=date(2027, 1, 1)).ends_on == date(2027, 1, 1)
    assert opened(version(term={"periods": 12, "then": "renew"})).ends_on is None
    month_end = opened(version(term={"periods": 1, "then": "end"}), starts_on=date(2026, 1, 31))
    assert month_end.ends_on == date(2026, 2, 28)


def test_an_end_ahead_is_due_at_local_midnight() -> None:
    found = opened(ends_on=date(2027, 1, 1), zone=ZoneInfo("America/New_York"))
    assert found.next_due == datetime(2027, 1, 1, 5, tzinfo=UTC)
    assert (found.status, found.next_bill_on) == ("active", date(2026, 10, 15))


def test_nothing_is_billed_from_the_end_on() -> None:
    found = opened(ends_on=date(2026, 12, 15), charged_through=date(2026, 12, 15))
    assert (found.next_bill_on, found.status) == (None, "active")


def test_one_that_is_over_is_expired() -> None:
    found = opened(ends_on=date(2026, 12, 1), charged_through=date(2026, 12, 1))
    assert (found.status, found.next_bill_on, found.next_due) == ("expired", None, None)


METERED = version(recurring(), usage())
USAGE_ONLY = version(usage())
IN_ARREARS = version(recurring(billed="arrears"))


def test_usage_alone_is_billed_at_the_end_of_its_period() -> None:
    assert opened(USAGE_ONLY).next_bill_on == date(2026, 11, 15)
    assert opened(USAGE_ONLY, charged_through=date(2026, 11, 20)).next_bill_on == date(2026, 12, 15)
    assert opened(METERED).next_bill_on == date(2026, 10, 15)


def test_usage_is_billed_at_the_end_where_the_end_comes_first() -> None:
    found = opened(USAGE_ONLY, charged_through=date(2026, 11, 20), ends_on=date(2026, 12, 3))
    assert found.next_bill_on == date(2026, 12, 3)


def test_a_price_in_arrears_alone_is_billed_at_the_end_of_its_period() -> None:
    found = opened(IN_ARREARS)
    assert (found.next_bill_on, found.arrears_through) == (date(2026, 11, 15), date(2026, 10, 15))
    assert opened(IN_ARREARS, ends_on=date(2026, 10, 20)).next_bill_on == date(2026, 10, 20)
    with_fee = version(recurring(), recurring(code="later", billed="arrears"))
    assert opened(with_fee).next_bill_on == date(2026, 10, 15)
    # What another system charged in arrears is over, also where it charged ahead of the day of the import.
    ahead = opened(IN_ARREARS, charged_through=date(2026, 12, 20))
    assert (ahead.arrears_through, ahead.next_bill_on) == (date(2026, 12, 20), date(2027, 1, 15))
    assert opened(METERED, charged_through=date(2026, 12, 20)).arrears_through == AS_OF


def test_periods_of_the_calendar_begin_there_whatever_the_bill_cycle_day() -> None:
    plan = version(interval={"unit": "quarter", "align": "calendar"})
    found = opened(plan, bill_cycle_day=20)
    assert (found.anchor_on, found.anchor_day) == (date(2027, 1, 1), 1)
    assert (found.interval_unit, found.interval_count) == ("month", 3)
    assert found.next_bill_on == date(2026, 10, 15)  # the stub is billed on its first day


def test_a_first_bill_date_is_the_anchor_and_nothing_is_billed_before() -> None:
    found = opened(first_bill_on=date(2026, 12, 31), bill_cycle_day=20)
    assert (found.anchor_on, found.anchor_day, found.next_bill_on) == (
        date(2026, 12, 31),
        31,
        date(2026, 12, 31),
    )
    assert found.charged_through == found.arrears_through == date(2026, 10, 15)
    at_once = opened(first_bill_on=date(2026, 10, 15))
    assert (at_once.anchor_on, at_once.next_bill_on) == (date(2026, 10, 15),) * 2
    arrears = opened(IN_ARREARS, first_bill_on=date(2026, 10, 15))
    assert arrears.next_bill_on == date(2026, 11, 15)
    assert opened(IN_ARREARS, first_bill_on=date(2026, 10, 16)).next_bill_on == date(2026, 10, 16)
    # Another system charged past it: the periods stay, and it goes on from there.
    charged = opened(first_bill_on=date(2026, 11, 1), charged_through=date(2026, 12, 10))
    assert (charged.anchor_on, charged.next_bill_on) == (date(2026, 11, 1), date(2026, 12, 10))


def test_a_trial_until_a_day_is_for_those_who_start_before() -> None:
    plan = version(
        phases=[
            {"kind": "trial", "until": date(2026, 12, 24)},
            {"kind": "evergreen", "prices": [recurring()]},
        ]
    )
    found = opened(plan, starts_on=date(2026, 11, 25))
    assert found.trial_ends_on == found.anchor_on == found.next_bill_on == date(2026, 12, 24)
    assert found.status == "trialing"
    for start, end in (
        (date(2026, 12, 23), date(2026, 12, 24)),
        (date(2026, 12, 24), None),
        (date(2027, 1, 5), None),
    ):
        assert trial_end(plan, start) == end
        assert opened(plan, starts_on=start, as_of=date(2027, 2, 1)).trial_ends_on == end
    assert trial_end(TRIAL, date(2026, 12, 24)) == date(2027, 1, 7)
    assert trial_end(version(), date(2026, 12, 24)) is None


# --- refusals ---


@pytest.mark.parametrize(
    ("plan", "dates", "words"),
    [
        (
            None,
            {"starts_on": date(2026, 12, 2)},
            "start date 2026-12-02 lies after the as-of date 2026-12-01",
        ),
        (None, {"ends_on": date(2026, 10, 15)}, "end date 2026-10-15 is not after the start date 2026-10-15"),
        (None, {"charged_through": date(2026, 10, 14)}, "before charging began on 2026-10-15"),
        (
            None,
            {"charged_through": date(2027, 1, 2), "ends_on": date(2027, 1, 1)},
            "2027-01-02, which is after the end on 2027-01-01",
        ),
        (TRIAL, {"charged_through": date(2026, 10, 28)}, "before charging began on 2026-10-29"),
        (version(one_time()), {}, "one-time prices only"),
        (None, {"bill_cycle_day": 32}, "bill_cycle_day must be from 1 to 31, not 32"),
        (
            None,
            {"first_bill_on": date(2026, 10, 14)},
            "first bill date 2026-10-14 is before charging begins on 2026-10-15",
        ),
        (
            None,
            {"first_bill_on": date(2026, 12, 5), "ends_on": date(2026, 12, 5)},
            "first bill date 2026-12-05 has to come before the subscription's end on 2026-12-05",
        ),
    ],
)
def test_dates_that_contradict_each_other_are_refused(
    plan: PlanVersion | None, dates: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        opened(plan, **dates)


DATES = st.dates(date(2020, 1, 1), date(2030, 12, 31))


@given(
    DATES,
    st.integers(0, 2000),
    st.one_of(st.none(), st.integers(1, 31)),
    st.sampled_from(["day", "week", "month", "year"]),
    st.integers(1, 6),
    st.one_of(st.none(), st.integers(0, 900)),
    st.one_of(st.none(), st.integers(1, 900)),
    st.sampled_from([recurring(), usage()]),
    st.booleans(),
)
def test_an_opening_holds_together(
    start: date,
    age: int,
    bill_day: int | None,
    unit: str,
    count: int,
    charged_days: int | None,
    ends_after: int | None,
    price: dict[str, Any],
    trial: bool,
) -> None:
    phases: list[dict[str, Any]] = [{"kind": "trial", "days": 10}] if trial else []
    plan = version(
        phases=[*phases, {"kind": "evergreen", "prices": [price]}], interval={"unit": unit, "count": count}
    )
    charged_from = start + timedelta(days=10 if trial else 0)
    charged = None if charged_days is None else charged_from + timedelta(days=charged_days)
    end = None if ends_after is None else start + timedelta(days=ends_after)
    try:
        found = opened(
            plan,
            starts_on=start,
            as_of=start + timedelta(days=age),
            bill_cycle_day=bill_day,
            charged_through=charged,
            ends_on=end,
        )
    except ValueError:
        assert charged is not None
        assert end is not None
        assert charged > end
        return
    assert found.starts_on <= found.opening_on == found.charged_through
    # Usage cannot have been billed elsewhere for days that lie ahead, nor is any owed for a trial.
    assert charged_from <= found.arrears_through <= found.opening_on
    assert found.opening_on == (charged or charged_from)
    interval = plan.interval.interval()
    anchor = Anchor(found.anchor_on, found.anchor_day)
    assert boundary(anchor, interval, 0) == found.anchor_on >= charged_from
    if found.next_bill_on is None:
        assert end is not None
        assert end <= found.opening_on or price["type"] == "recurring"
    else:
        assert end is None or found.next_bill_on <= end
        if price["type"] == "recurring":
            assert found.next_bill_on == found.opening_on
        else:
            whole = period_at(anchor, interval, found.opening_on).end
            assert found.next_bill_on == (whole if end is None else min(whole, end))
    assert (found.status == "expired") == (end is not None and found.starts_on + timedelta(days=age) >= end)


# --- state and next change ---

STARTS, TRIAL_ENDS, ENDS = date(2026, 3, 1), date(2026, 3, 15), date(2026, 9, 1)


@pytest.mark.parametrize(
    ("recorded", "day", "state"),
    [
        ("active", date(2026, 2, 28), "draft"),
        ("active", date(2026, 3, 1), "trialing"),
        ("active", date(2026, 3, 14), "trialing"),
        ("trialing", date(2026, 3, 15), "active"),  # the end of a trial is exclusive
        ("draft", date(2026, 8, 31), "active"),
        ("past_due", date(2026, 8, 31), "past_due"),
        ("past_due", date(2026, 9, 1), "expired"),
        ("active", date(2026, 9, 1), "expired"),  # and so is the end of all
        ("paused", date(2026, 9, 1), "paused"),
        ("canceled", date(2026, 2, 1), "canceled"),
        ("expired", date(2026, 4, 1), "expired"),
    ],
)
def test_the_state_on_a_day_follows_from_the_row(recorded: str, day: date, state: str) -> None:
    found = state_on(State(recorded), starts_on=STARTS, trial_ends_on=TRIAL_ENDS, ends_on=ENDS, day=day)
    assert found == State(state)


@pytest.mark.parametrize(
    ("recorded", "after", "zone", "expected"),
    [
        ("draft", date(2026, 2, 1), "UTC", datetime(2026, 3, 1, tzinfo=UTC)),
        ("trialing", date(2026, 3, 1), "UTC", datetime(2026, 3, 15, tzinfo=UTC)),
        ("active", date(2026, 3, 15), "UTC", datetime(2026, 9, 1, tzinfo=UTC)),
        ("active", date(2026, 9, 1), "UTC", None),
        ("paused", date(2026, 2, 1), "UTC", None),
        ("canceled", date(2026, 2, 1), "UTC", None),
        ("active", date(2026, 3, 15), "Asia/Tokyo", datetime(2026, 8, 31, 15, tzinfo=UTC)),
        ("active", date(2026, 3, 15), "Pacific/Honolulu", datetime(2026, 9, 1, 10, tzinfo=UTC)),
    ],
)
def test_the_next_change_is_a_local_midnight(
    recorded: str, after: date, zone: str, expected: datetime | None
) -> None:
    found = next_change(
        State(recorded),
        starts_on=STARTS,
        trial_ends_on=TRIAL_ENDS,
        ends_on=ENDS,
        zone=ZoneInfo(zone),
        after=after,
    )
    assert found == expected


@given(DATES, st.integers(0, 40), st.integers(1, 400), st.booleans(), st.booleans())
def test_the_state_changes_on_the_days_that_next_change_names(
    starts: date, trial: int, life: int, has_trial: bool, has_end: bool
) -> None:
    trial_ends = starts + timedelta(days=trial) if has_trial and trial else None
    ends = starts + timedelta(days=life) if has_end else None

    def state(day: date) -> State:
        return state_on(State.ACTIVE, starts_on=starts, trial_ends_on=trial_ends, ends_on=ends, day=day)

    days = [starts + timedelta(days=offset) for offset in range(-3, 405)]
    changed = {day for before, day in pairwise(days) if state(before) is not state(day)}
    named = set()
    day: date = days[0]
    while True:
        instant = next_change(
            State.ACTIVE, starts_on=starts, trial_ends_on=trial_ends, ends_on=ends, zone=UTC_ZONE, after=day
        )
        if instant is None:
            break
        assert instant.date() > day
        day = instant.date()
        named.add(day)
    # A trial that outlives the subscription ends unseen; nothing changes without being named.
    assert changed <= named
    assert all(day in changed or (ends is not None and day > ends) or day == trial_ends for day in named)


def test_an_add_on_paid_in_advance_makes_the_subscription_so() -> None:
    """A metered plan alone waits for the end of its period; with a recurring add-on the first day is billed."""
    alone = opened(version(usage()))
    together = opened(version(usage()), add_ons=(version(recurring()),))
    assert alone.next_bill_on is not None
    assert together.next_bill_on == together.opening_on < alone.next_bill_on


def test_an_add_on_with_another_interval_is_refused() -> None:
    with pytest.raises(ValueError, match="billed together"):
        opened(version(), add_ons=(version(interval={"unit": "year"}),))


def test_add_ons_are_billed_as_often_however_that_is_written() -> None:
    quarterly = version(interval={"unit": "quarter"})
    by_months = version(interval={"unit": "month", "count": 3, "align": "calendar"})
    # The periods are those of the plan that the others are added to.
    assert opened(quarterly, add_ons=(by_months,)).anchor_on == date(2026, 10, 15)
    assert opened(by_months, add_ons=(quarterly,)).anchor_on == date(2027, 1, 1)
