"""Reading what has changed since the last time, without loss and without the same change twice.

Clocks differ and records become visible late, so each read begins a little before the newest change seen. What was
seen in that overlap is kept in the cursor, by id and version, and left out when it comes again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from connectors.sdk.errors import Broken

T = TypeVar("T")
OVERLAP = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Incremental:
    """How far changes were read. newest: of the newest change seen, None at the beginning.

    overlap: how far before it the next read begins. seen: the version of each id within the overlap, and when it
    changed.
    """

    newest: datetime | None = None
    overlap: timedelta = OVERLAP
    seen: dict[str, tuple[str, datetime]] = field(default_factory=dict)

    @property
    def since(self) -> datetime | None:
        """Ask for what changed at or after this; None for everything."""
        return self.newest - self.overlap if self.newest is not None else None

    def advance(
        self,
        changes: Iterable[T],
        *,
        identity: Callable[[T], str],
        version: Callable[[T], str],
        changed_at: Callable[[T], datetime],
    ) -> tuple[list[T], Incremental]:
        """The changes that are new, in their order, and the cursor after them.

        version: anything that differs when the record does, as its time of change. Raises ValueError for a time
        without a zone.
        """
        seen, newest, fresh = dict(self.seen), self.newest, []
        for change in changes:
            at = changed_at(change)
            if at.tzinfo is None:
                raise ValueError(f"the change of {identity(change)} has a time without a zone")
            known = seen.get(identity(change))
            if known is None or known[0] != version(change):
                fresh.append(change)
            seen[identity(change)] = (version(change), at.astimezone(UTC))
            newest = max(newest or at, at)
        if newest is None:
            return fresh, self
        edge = newest - self.overlap
        kept = {name: entry for name, entry in seen.items() if entry[1] >= edge}
        return fresh, Incremental(newest.astimezone(UTC), self.overlap, kept)

    def dump(self) -> str:
        """The cursor as text, to be stored."""
        newest = self.newest.isoformat() if self.newest is not None else None
        seen = {name: [version, at.isoformat()] for name, (version, at) in self.seen.items()}
        return json.dumps({"newest": newest, "seen": seen}, separators=(",", ":"))

    @classmethod
    def load(cls, text: str | None, overlap: timedelta = OVERLAP) -> Incremental:
        """The cursor of `dump`; None is the beginning. Raises Broken for another text."""
        if text is None:
            return cls(overlap=overlap)
        try:
            stored = json.loads(text)
            newest = datetime.fromisoformat(stored["newest"]) if stored["newest"] is not None else None
            seen = {
                name: (str(each[0]), datetime.fromisoformat(each[1])) for name, each in stored["seen"].items()
            }
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            seen = None
        if seen is None:
            raise Broken("the stored cursor cannot be read; begin anew without one")
        return cls(newest, overlap, seen)
