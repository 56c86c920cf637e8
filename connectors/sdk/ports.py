"""What a connector is given from outside. Masthead implements these on Postgres; tests and authors, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Rate:
    """`calls` per `per` seconds, over all processes that use a connection."""

    calls: int
    per: float = 1.0

    def __post_init__(self) -> None:
        if self.calls < 1 or self.per <= 0:
            raise ValueError("a rate needs at least one call per more than zero seconds")


@dataclass(frozen=True, slots=True)
class Token:
    """An OAuth access token, and what gives the next one. Never shown."""

    access: str = field(repr=False)
    refresh: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class StoredToken:
    """A token with the version of its row; version 0 and no token where none was stored yet.

    needs_authorisation: why the connection was marked, None when it was not.
    """

    token: Token | None
    version: int
    needs_authorisation: str | None = None


class Turn(StrEnum):
    """What a worker that wants to refresh is told."""

    MINE = "mine"  # refresh now: nobody else does
    BUSY = "busy"  # another refreshes: look again shortly
    DONE = "done"  # the version has moved: read it
    INTERRUPTED = "interrupted"  # mine, and the one before began and never told how it ended
    MARKED = "marked"  # the connection waits for a person


class TokenStore(Protocol):
    """The tokens of connections, one row each, encrypted at rest. No call holds a database connection while the
    vendor is asked."""

    async def read(self, connection: str) -> StoredToken:
        """The token as stored."""
        ...

    async def begin_refresh(self, connection: str, version: int, lease: timedelta) -> Turn:
        """Ask to refresh what has `version`; MINE or INTERRUPTED is answered to one caller per lease."""
        ...

    async def finish_refresh(self, connection: str, version: int, token: Token) -> StoredToken:
        """Store what the vendor answered, committed on return, before it is used."""
        ...

    async def give_up(self, connection: str, version: int) -> None:
        """End a refresh that surely never reached the vendor; the next may try."""
        ...

    async def mark(self, connection: str, version: int, reason: str) -> None:
        """The credentials are refused: nobody tries again until a person has authorised anew."""
        ...


class RateBudget(Protocol):
    """How many calls a connection may make, shared by all processes."""

    async def take(self, connection: str, rate: Rate, longest: timedelta) -> timedelta:
        """Take one call. Answers how long to wait before sending it; zero for now.

        Where that is more than `longest` nothing is taken: callers that come back later would else push each
        other back for ever.
        """
        ...

    async def hold(self, connection: str, until: datetime) -> None:
        """The other system said to wait: no call before `until`."""
        ...


@dataclass(frozen=True, slots=True)
class RequestEntry:
    """One request as it may be shown: no secret, no personal data.

    outcome: the status as text, or the kind of what went wrong. trace: the workflow or call that made it.
    request, answer: redacted excerpts.
    """

    connection: str
    at: datetime
    method: str
    url: str
    outcome: str
    milliseconds: int
    tries: int = 1
    trace: str | None = None
    request: str | None = None
    answer: str | None = None


class RequestLog(Protocol):
    """Where requests are written down. Writing never fails a call."""

    async def record(self, entry: RequestEntry) -> None:
        """Write one entry."""
        ...


class Secrets(Protocol):
    """Where secret references lead."""

    def resolve(self, reference: str) -> str:
        """The secret behind `env:NAME` or `file:/path`. Raises MissingSecret naming the reference, never a value."""
        ...


class Clock(Protocol):
    """The time, and waiting."""

    def now(self) -> datetime:
        """The instant, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...
