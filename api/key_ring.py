"""The callers whose keys were seen lately, so that a request need not ask the database who sends it."""

from __future__ import annotations

import asyncio
import math
import time
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy import Engine

from contracts.scopes import EVERYTHING, SCOPES
from storage.api_keys import OpenKey, hash_key, open_key
from storage.database import transaction
from storage.sight import Sight

REMEMBERED_SECONDS = 2.0
_MOST = 10_000


class Caller(NamedTuple):
    """The key that a request came with. `mode` and `account_id`: what it is bound to, None where it is not."""

    key_id: str
    name: str
    scopes: frozenset[str]
    mode: str | None = None
    account_id: str | None = None

    def may(self, scope: str) -> bool:
        """Whether the key has `scope`; "*" is every scope. A key of one account has none that is not for such keys."""
        if self.account_id is not None and not SCOPES[scope].for_accounts:
            return False
        return scope in self.scopes or EVERYTHING in self.scopes

    @property
    def sight(self) -> Sight:
        """Which accounts it may see."""
        return Sight(self.mode, self.account_id)


class _Known(NamedTuple):
    caller: Caller
    until: datetime | None
    asked_at: float


class KeyRing:
    """Looks keys up, and remembers those that are good for two seconds: for so long a key that was revoked elsewhere
    may still open the API. A key that is not good is asked for each time. Of many requests with one key only the first
    asks, and in the second of the two seconds it asks beside the answers, so that hardly any has to wait."""

    def __init__(self, engine: Engine, remembered: float = REMEMBERED_SECONDS) -> None:
        self._engine = engine
        self._remembered = remembered
        self._known: dict[bytes, _Known] = {}
        self._asking: dict[bytes, asyncio.Task[_Known | None]] = {}

    async def caller(self, key: str) -> Caller | None:
        """Who has `key`, or None where it opens nothing."""
        key_hash = hash_key(key)
        known = self._known.get(key_hash)
        age = math.inf if known is None else time.monotonic() - known.asked_at
        if age > self._remembered / 2:
            asking = self._asking.get(key_hash) or self._ask(key_hash)
            if age > self._remembered:
                # The others wait for it too, whatever becomes of this request.
                known = await asyncio.shield(asking)
        if known is None or (known.until is not None and known.until <= datetime.now(UTC)):
            return None
        return known.caller

    def forget(self) -> None:
        """Ask anew for every key: something was changed here. What is being asked was asked too early."""
        self._known.clear()
        self._asking.clear()

    def _ask(self, key_hash: bytes) -> asyncio.Task[_Known | None]:
        asked_at = time.monotonic()
        task = asyncio.create_task(asyncio.to_thread(self._look_up, key_hash, asked_at))
        self._asking[key_hash] = task
        task.add_done_callback(lambda done: self._learn(key_hash, done))
        return task

    def _learn(self, key_hash: bytes, done: asyncio.Task[_Known | None]) -> None:
        current = self._asking.get(key_hash) is done
        if current:
            del self._asking[key_hash]
        if done.cancelled() or done.exception() is not None or not current:
            return  # whoever waits gets the error; the next one asks again
        known = done.result()
        if known is None:
            self._known.pop(key_hash, None)
            return
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[key_hash] = known

    def _look_up(self, key_hash: bytes, asked_at: float) -> _Known | None:
        with transaction(self._engine) as connection:
            found = open_key(connection, key_hash)
        return None if found is None else _Known(_caller(found), found.until, asked_at)


def _caller(key: OpenKey) -> Caller:
    return Caller(key.id, key.name, frozenset(key.scopes), key.mode, key.account_id)
