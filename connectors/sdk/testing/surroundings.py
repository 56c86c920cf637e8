"""What the kit gives a connector in place of Postgres: a clock that waits at once, and planted secrets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

#: Stands in every secret that the kit hands out; found in any repr, log or error, it is a leak.
CANARY = "canary-3f9a41d07c"


class KitClock:
    """Real time plus what was waited for. `moved` hears of every step, so that the stand-in's clock goes along."""

    def __init__(self, moved: Callable[[timedelta], None]) -> None:
        self._moved = moved
        self._offset = timedelta()
        self.slept: list[float] = []

    def now(self) -> datetime:
        """The instant, in UTC."""
        return datetime.now(UTC) + self._offset

    async def sleep(self, seconds: float) -> None:
        """Be later, at once."""
        self.slept.append(seconds)
        self.advance(timedelta(seconds=seconds))
        await asyncio.sleep(0)

    def advance(self, step: timedelta) -> None:
        """Be later by `step`."""
        self._offset += step
        self._moved(step)


class KitSecrets:
    """Every reference leads to a value with the canary in it, unless the suite says otherwise."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = dict(given)

    def resolve(self, reference: str) -> str:
        """The value behind a reference."""
        return self._given.get(reference, f"sk_test_{CANARY}")
