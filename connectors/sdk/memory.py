"""The ports in memory: for tests, for authors trying a connector, and for a single process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connectors.sdk.config import MissingSecret
from connectors.sdk.context import Context, Mode
from connectors.sdk.ports import Clock, Rate, RequestEntry, RequestLog, StoredToken, Token, Turn

_NO_WAIT = timedelta()


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The instant, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


class EnvSecrets:
    """Secrets from the environment and from files, as their references say; `given` wins over both.

    given: values by reference (`env:ACME_KEY`) or by the name in it (`ACME_KEY`). Never shown.
    """

    def __init__(self, given: Mapping[str, str] | None = None) -> None:
        self._given = dict(given or {})

    def resolve(self, reference: str) -> str:
        """The secret behind `env:NAME` or `file:/path`, without white space around it. Raises MissingSecret."""
        kind, _, name = reference.partition(":")
        found = self._given.get(reference, self._given.get(name))
        if found is None and kind == "env":
            found = os.environ.get(name)
        if found is None and kind == "file":
            try:
                found = Path(name).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError):
                found = None
        if found is None or not found.strip():
            remedy = "set the environment variable" if kind == "env" else "put the secret into the file"
            raise MissingSecret(f"there is no secret at {reference}: {remedy}")
        return found.strip()


@dataclass(slots=True)
class _Row:
    token: Token | None = None
    version: int = 0
    marked: str | None = None
    lease_until: datetime | None = None


@dataclass(slots=True)
class MemoryTokens:
    """Tokens in memory, with the same turns as the stored ones."""

    clock: Clock = field(default_factory=SystemClock)
    _rows: dict[str, _Row] = field(default_factory=dict, repr=False)

    def put(self, connection: str, token: Token) -> None:
        """Store a token as an authorisation by a person does; takes a mark away."""
        row = self._row(connection)
        row.token, row.version, row.marked, row.lease_until = token, row.version + 1, None, None

    async def read(self, connection: str) -> StoredToken:
        """The token as stored."""
        row = self._row(connection)
        return StoredToken(row.token, row.version, row.marked)

    async def begin_refresh(self, connection: str, version: int, lease: timedelta) -> Turn:
        """Whose turn it is to refresh."""
        row = self._row(connection)
        if row.marked is not None:
            return Turn.MARKED
        if row.version != version:
            return Turn.DONE
        now = self.clock.now()
        if row.lease_until is not None and now < row.lease_until:
            return Turn.BUSY
        turn = Turn.MINE if row.lease_until is None else Turn.INTERRUPTED
        row.lease_until = now + lease
        return turn

    async def finish_refresh(self, connection: str, version: int, token: Token) -> StoredToken:
        """Store what the vendor answered."""
        row = self._row(connection)
        if row.version == version:
            row.token, row.version, row.marked, row.lease_until = token, version + 1, None, None
        return StoredToken(row.token, row.version, row.marked)

    async def give_up(self, connection: str, version: int) -> None:
        """End a refresh that never reached the vendor."""
        row = self._row(connection)
        if row.version == version:
            row.lease_until = None

    async def mark(self, connection: str, version: int, reason: str) -> None:
        """The connection waits for a person."""
        row = self._row(connection)
        if row.version == version:
            row.marked, row.lease_until = reason, None

    def _row(self, connection: str) -> _Row:
        return self._rows.setdefault(connection, _Row())


@dataclass(slots=True)
class LocalBudget:
    """A rate budget of this process: calls may come in a burst of `rate.calls`, then evenly."""

    clock: Clock = field(default_factory=SystemClock)
    _next: dict[str, datetime] = field(default_factory=dict)
    _held: dict[str, datetime] = field(default_factory=dict)

    async def take(self, connection: str, rate: Rate, longest: timedelta) -> timedelta:
        """How long to wait; nothing is taken when that is more than `longest`."""
        now = self.clock.now()
        due = max(self._next.get(connection, now), now)
        burst = timedelta(seconds=rate.per)
        each = burst / rate.calls
        wait = max(due + each - burst - now, self._held.get(connection, now) - now, _NO_WAIT)
        if wait <= longest:
            self._next[connection] = due + each
        return wait

    async def hold(self, connection: str, until: datetime) -> None:
        """No call before `until`."""
        self._held[connection] = max(until, self._held.get(connection, until))


@dataclass(slots=True)
class MemoryLog:
    """Keeps the newest `keep` requests."""

    keep: int = 1000
    entries: list[RequestEntry] = field(default_factory=list)

    async def record(self, entry: RequestEntry) -> None:
        """Keep one entry."""
        self.entries.append(entry)
        del self.entries[: max(0, len(self.entries) - self.keep)]


def memory_context(
    connection: str = "test",
    *,
    mode: Mode = "test",
    allow_loopback: bool = True,
    secrets: Mapping[str, str] | None = None,
    rate: Rate | None = None,
    timeout: float | None = None,
    clock: Clock | None = None,
    tokens: MemoryTokens | None = None,
    log: RequestLog | None = None,
) -> Context:
    """A context whose ports are in memory. secrets: values by reference or by environment name."""
    clock = clock or SystemClock()
    return Context(
        connection=connection,
        mode=mode,
        secrets=EnvSecrets(secrets),
        tokens=tokens or MemoryTokens(clock),
        budget=LocalBudget(clock),
        log=log or MemoryLog(),
        clock=clock,
        allow_loopback=allow_loopback,
        rate=rate,
        timeout=timeout,
    )
