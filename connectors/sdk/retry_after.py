"""How a system says how long to wait: which header, in which form. Declared, never guessed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Literal

Form = Literal["seconds", "milliseconds", "date", "epoch", "seconds_or_date"]

_NONE = timedelta()
# A longer wait means that the header is not in the declared form.
_LONGEST = timedelta(days=31)


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """The header that says how long to wait.

    form: seconds from now, milliseconds from now, an HTTP date, seconds since 1970, or as RFC 9110 has it: seconds
    or an HTTP date.
    """

    header: str = "Retry-After"
    form: Form = "seconds_or_date"

    def read(self, headers: Mapping[str, str], now: datetime) -> timedelta | None:
        """How long to wait from `now`; None when it is not said, not in the declared form, or over 31 days."""
        text = headers.get(self.header, "").strip()
        after = _read(text, self.form, now) if text else None
        if after is None or after > _LONGEST:
            return None
        return max(after, _NONE)


@dataclass(frozen=True, slots=True)
class Quota:
    """Headers of every answer that say how many calls are left, and when there are more.

    At `at_most` calls left no further call is made until the reset.
    """

    remaining: str
    reset: RetryAfter
    at_most: int = 0

    def read(self, headers: Mapping[str, str], now: datetime) -> timedelta | None:
        """How long no call may be made; None when calls are left."""
        left = _number(headers.get(self.remaining, "").strip())
        if left is None or left > self.at_most:
            return None
        return self.reset.read(headers, now)


def _read(text: str, form: Form, now: datetime) -> timedelta | None:
    number = _number(text)
    if form == "date" or (form == "seconds_or_date" and number is None):
        return _date(text, now)
    if number is None:
        return None
    if form == "epoch":
        return timedelta(seconds=number - now.timestamp())
    return timedelta(seconds=number / 1000 if form == "milliseconds" else number)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if abs(number) < 1e12 else None


def _date(text: str, now: datetime) -> timedelta | None:
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError, OverflowError):
        return None
    # RFC 9110: an HTTP date is in UTC, also where the zone is left out.
    return (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
