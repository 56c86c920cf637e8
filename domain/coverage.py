"""Coverage: which days between two dates no span covers, or more than one (law I13)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import NamedTuple

Days = tuple[date, date]


class Cover(NamedTuple):
    """Stretches of days, first day inclusive and last exclusive: not covered, covered again, covered though not
    asked for."""

    missing: list[Days]
    double: list[Days]
    outside: list[Days]


def cover(since: date, until: date, spans: Iterable[Days]) -> Cover:
    """How `spans` (ends exclusive) cover the days from `since` until `until` (exclusive)."""
    found = Cover([], [], [])
    if since >= until:
        found.outside.extend(sorted(spans))
        return found
    reached = since
    for start, end in sorted(spans):
        if start < since:
            found.outside.append((start, min(end, since)))
        if end > until:
            found.outside.append((max(start, until), end))
        start, end = max(start, since), min(end, until)
        if start >= end:
            continue
        if start > reached:
            found.missing.append((reached, start))
        elif start < reached:
            found.double.append((start, min(end, reached)))
        reached = max(reached, end)
    if reached < until:
        found.missing.append((reached, until))
    return found
