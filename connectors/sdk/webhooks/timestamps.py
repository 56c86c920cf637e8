"""Instants as vendors write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from connectors.sdk.webhooks.recipe import Unit

_NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read_instant(text: str, unit: Unit) -> datetime | None:
    """The instant that `text` names in `unit`; None when it names none. An ISO text without an offset is UTC."""
    try:
        if unit == "iso":
            found = datetime.fromisoformat(text)
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        if not _NUMBER.fullmatch(text):
            return None
        return _EPOCH + timedelta(**{unit: int(text)})
    except (ValueError, OverflowError):
        return None


def write_instant(instant: datetime, unit: Unit) -> str:
    """`instant` (aware) as `unit` writes it, to the second, or to the millisecond where that is the unit."""
    if unit == "iso":
        return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return str((instant - _EPOCH) // timedelta(**{unit: 1}))
