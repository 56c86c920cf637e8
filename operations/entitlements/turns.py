"""Turns: who wants the same thing as others do comes after them, in the order in which they asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from storage.statements import DatabaseAway

LONGEST_SECONDS = 15.0


class Turns:
    """The queues of one process and event loop, by what they are for. They keep those apart who would only take each
    other's place in the database, again and again; what must not happen twice is kept from it there."""

    def __init__(self, longest: float = LONGEST_SECONDS) -> None:
        self._longest = longest
        self._queues: dict[Hashable, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def take(self, of: Hashable) -> AsyncIterator[None]:
        """Wait for the turn, and have it for the block. Raises DatabaseAway where it does not come in time:
        those before are held up."""
        lock, waiting = self._queues.get(of) or (asyncio.Lock(), 0)
        self._queues[of] = (lock, waiting + 1)
        try:
            try:
                async with asyncio.timeout(self._longest):
                    await lock.acquire()
            except TimeoutError as error:
                raise DatabaseAway from error
            try:
                yield
            finally:
                lock.release()
        finally:
            lock, waiting = self._queues[of]
            if waiting == 1:
                del self._queues[of]
            else:
                self._queues[of] = (lock, waiting - 1)
