"""Deliveries and stops as tests tell them: a weekend edition printed in Berlin, days in short, wishes as they come."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st

from domain.media.deliveries import DeliveryCalendar, Issue
from domain.media.holiday_stops import (
    Delivery,
    HolidayStop,
    StopPolicy,
    StopRefused,
    cancel_stop,
    change_stop,
    request_stop,
)

BERLIN = ZoneInfo("Europe/Berlin")

WEEKEND = DeliveryCalendar.model_validate(
    {
        "edition": "weekend",
        "zone": "Europe/Berlin",
        "weekdays": ["sat", "sun"],
        "cut_off": {"days_before": 2, "at": "12:00"},
    }
)


def delivery(
    starts_on: date = date(2025, 6, 15),
    ends_on: date | None = None,
    calendar: DeliveryCalendar = WEEKEND,
    **policy: Any,
) -> Delivery:
    """A delivery of the weekend edition under `policy`."""
    return Delivery(calendar, StopPolicy.model_validate(policy), starts_on, ends_on)


def local(text: str) -> datetime:
    """An instant by the clock in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


def days(issues: list[Issue] | tuple[Issue, ...]) -> list[str]:
    """Month and day of each issue's date."""
    return [issue.day.strftime("%m-%d") for issue in issues]


WISHES = st.lists(
    st.tuples(
        st.sampled_from(["request", "change", "cancel"]),
        st.sampled_from(["a", "b", "c"]),
        st.integers(0, 60),
        st.integers(1, 20),
        st.integers(0, 240),
    ),
    max_size=12,
)
Wish = tuple[str, str, int, int, int]


def played(to: Delivery, wishes: list[Wish]) -> list[tuple[datetime, dict[str, HolidayStop]]]:
    """The stops after each wish that was not refused, with its instant."""
    now = local("2025-12-01T09:00")
    stops: dict[str, HolidayStop] = {}
    history: list[tuple[datetime, dict[str, HolidayStop]]] = [(now, {})]
    for kind, stop_id, first, length, hours in wishes:
        now += timedelta(hours=hours)
        start = date(2025, 12, 1) + timedelta(days=first)
        until = start + timedelta(days=length)
        every = list(stops.values())
        try:
            if kind == "cancel":
                change = cancel_stop(to, every, stop_id, now)
            else:
                do = request_stop if kind == "request" else change_stop
                change = do(to, every, stop_id, start, until, now)
        except StopRefused:
            continue
        stops = {**stops, stop_id: change.stop}
        history.append((now, stops))
    return history
