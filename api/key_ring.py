"""The callers whose keys were seen lately, so that a request need not ask the database who sends it."""

from __future__ import annotations

import asyncio
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
    may still open the API. A key that is not good is asked for each time."""

    def __init__(self, engine: Engine, remembered: float = REMEMBERED_SECONDS) -> None:
        self._engine = engine
        self._remembered = remembered
        self._known: dict[bytes, _Known] = {}

    async def caller(self, key: str) -> Caller | None:
        """Who has `key`, or None where it opens nothing."""
        key_hash = hash_key(key)
        known = self._known.get(key_hash)
        if known is None or time.monotonic() - known.asked_at > self._remembered:
            known = await asyncio.to_thread(self._ask, key_hash)
        if known is None or (known.until is not None and known.until <= datetime.now(UTC)):
            return None
        return known.caller

    def forget(self) -> None:
        """Ask anew for every key: something was changed here."""
        self._known.clear()

    def _ask(self, key_hash: bytes) -> _Known | None:
        asked_at = time.monotonic()
        with transaction(self._engine) as connection:
            found = open_key(connection, key_hash)
        if found is None:
            self._known.pop(key_hash, None)
            return None
        if len(self._known) >= _MOST:
            self._known.clear()
        known = self._known[key_hash] = _Known(_caller(found), found.until, asked_at)
        return known


def _caller(key: OpenKey) -> Caller:
    return Caller(key.id, key.name, frozenset(key.scopes), key.mode, key.account_id)
