"""Allowances of features: which of two gives more, and how one is written in a row."""

from __future__ import annotations

from domain.catalog import FeatureAllowance
from domain.media.metering import MonthWindow, RollingWindow

_MONTH = "calendar_month"
_ROLLING = "rolling/"
_DAYS_OF_A_MONTH = 30


class BadPeriod(ValueError):
    """A text that is no allowance's period."""


def period_text(allowance: FeatureAllowance) -> str:
    """The window as a row has it: `calendar_month`, or `rolling/30` for so many days."""
    window = allowance.window
    return _MONTH if isinstance(window, MonthWindow) else f"{_ROLLING}{window.days}"


def read_allowance(count: int | None, period: str | None) -> FeatureAllowance | None:
    """The allowance that a row's columns say; None (no limit) where both are empty. Raises BadPeriod."""
    if count is None or period is None:
        return None
    if period == _MONTH:
        return FeatureAllowance(count=count, window=MonthWindow(kind="calendar_month"))
    days = period.removeprefix(_ROLLING)
    if days == period or not days.isdecimal():
        raise BadPeriod(f"{period!r} is no period of an allowance; write {_MONTH} or {_ROLLING}30")
    return FeatureAllowance(count=count, window=RollingWindow(kind="rolling", days=int(days)))


def more_generous(one: FeatureAllowance | None, other: FeatureAllowance | None) -> FeatureAllowance | None:
    """The one that gives more: no limit before any, then more a day (a month counts 30), then the larger count."""
    if one is None or other is None:
        return None
    return max(one, other, key=_generosity)


def _generosity(allowance: FeatureAllowance) -> tuple[float, int]:
    window = allowance.window
    days = window.days if isinstance(window, RollingWindow) else _DAYS_OF_A_MONTH
    return allowance.count / days, allowance.count
