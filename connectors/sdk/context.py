"""What one instance of a connector is given: which connection it serves, and the ports."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

from connectors.sdk.ports import Clock, Rate, RateBudget, RequestLog, Secrets, TokenStore

Mode = Literal["live", "test"]

_trace: ContextVar[str | None] = ContextVar("masthead_trace", default=None)
_connection: ContextVar[str | None] = ContextVar("masthead_connection", default=None)


@dataclass(frozen=True, slots=True)
class Context:
    """The surroundings of a connector.

    connection: the connection's name. allow_loopback: whether its addresses may be on this machine, as a sandbox's
    are. rate, timeout: override the connector's own; timeout is seconds for a whole call. rehearsing: nothing is sent,
    the first request is raised as Rehearsed instead.
    """

    connection: str
    mode: Mode
    secrets: Secrets
    tokens: TokenStore
    budget: RateBudget
    log: RequestLog
    clock: Clock
    allow_loopback: bool = False
    rate: Rate | None = None
    timeout: float | None = None
    rehearsing: bool = False


class Rehearsed(Exception):
    """What would have been sent, redacted: method, url and the body's excerpt."""

    def __init__(self, method: str, url: str, body: str | None) -> None:
        super().__init__(f"{method} {url}")
        self.method, self.url, self.body = method, url, body


@contextmanager
def traced(trace: str, connection: str | None = None) -> Iterator[None]:
    """Within, requests are logged as made by `trace`: a workflow or a call, no personal data. connection: the one that
    is spoken to, by whose name the process's own lines are known."""
    token, to = _trace.set(trace), _connection.set(connection)
    try:
        yield
    finally:
        _connection.reset(to)
        _trace.reset(token)


def current_trace() -> str | None:
    """By whom the request that is going on is made."""
    return _trace.get()


def current_connection() -> str | None:
    """The name of the connection that is spoken to, where `traced` was told."""
    return _connection.get()
