"""API keys, believed for a moment: asking the database who calls costs more than many an answer."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from api.security import Caller, hash_key

KEPT_SECONDS = 2.0  # how long a key that was taken back, or has expired, may still be used
FRESH_SECONDS = 1.0  # after this it is looked up again beside the answers, so that none has to wait
KEPT_KEYS = 10_000


class KeyCache:
    """Callers by the hashes of their keys, looked up by `find` (given the hash; it may block). A key that is not known
    is looked up each time, and of many requests at once only the first asks."""

    def __init__(self, find: Callable[[bytes], Caller | None]) -> None:
        self._find = find
        self._known: dict[bytes, tuple[float, Caller]] = {}
        self._asking: dict[bytes, asyncio.Task[Caller | None]] = {}

    async def caller(self, key: str) -> Caller | None:
        """Who calls with `key`; None when it is of nobody. Raises what `find` raises."""
        hashed = hash_key(key)
        known = self._known.get(hashed)
        age = math.inf if known is None else time.monotonic() - known[0]
        if known is not None and age < FRESH_SECONDS:
            return known[1]
        asking = self._asking.get(hashed)
        if asking is None:
            asking = self._asking[hashed] = asyncio.create_task(self._ask(hashed))
            asking.add_done_callback(_seen)
        if known is not None and age < KEPT_SECONDS:
            return known[1]
        # The others wait for it too, whatever becomes of this request.
        return await asyncio.shield(asking)

    async def _ask(self, hashed: bytes) -> Caller | None:
        began = time.monotonic()
        try:
            caller = await asyncio.to_thread(self._find, hashed)
        finally:
            del self._asking[hashed]
        if caller is None:
            self._known.pop(hashed, None)
            return None
        if len(self._known) >= KEPT_KEYS:
            self._known.clear()
        self._known[hashed] = (began, caller)
        return caller


def _seen(task: asyncio.Task[Caller | None]) -> None:
    """Whoever waits gets the error; where nobody does, the next one who has to asks again."""
    if not task.cancelled():
        task.exception()
