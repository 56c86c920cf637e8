"""Deliveries and stops as tests tell them: a weekend edition printed in Berlin, days in short."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from domain.media.deliveries import DeliveryCalendar, Issue
from domain.media.holiday_stops import Delivery, StopPolicy

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
