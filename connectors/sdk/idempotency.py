"""What a write declares about being sent twice, and whether a write is going on.

native(ttl)    the other system keeps the key: the same key may be sent again until ttl less a margin, never after
by_find(...)   it is looked up by a strongly consistent list; "not found" counts only after the lag
never()        nothing is known: it is never sent again automatically
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ParamSpec, TypeVar, cast

from connectors.sdk.errors import ConnectorError, Unknown

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(slots=True)
class _Writing:
    """A declared write that is going on. applied: a request of it has changed something, or may have. read_last: the
    request after which it ended only read."""

    applied: bool = False
    read_last: bool = False


_writing: ContextVar[_Writing | None] = ContextVar("masthead_writing", default=None)
_MARK = "__masthead_idempotency__"


@dataclass(frozen=True, slots=True)
class Native:
    """The other system remembers the key for `ttl`; None when it does so for ever (a document's own number)."""

    ttl: timedelta | None = None
    margin: timedelta = timedelta(minutes=30)

    @property
    def resend_for(self) -> timedelta | None:
        """How long after the first try the same key may be sent again; None for ever."""
        return None if self.ttl is None else max(self.ttl - self.margin, timedelta())


@dataclass(frozen=True, slots=True)
class ByFind:
    """`find` names the connector's method that answers the write's own result, or None when there is none.

    It gets what the write gets, the key included. Not found counts only once `lag` has gone by since the send.
    """

    find: str
    lag: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Never:
    """Sending it again could do it again."""


Idempotency = Native | ByFind | Never


def native(
    ttl: timedelta | None = None, margin: timedelta = timedelta(minutes=30)
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]:
    """Declare that the other system remembers keys for `ttl` (None: for ever)."""
    return _declared(Native(ttl, margin))


def by_find(
    find: str, lag: timedelta = timedelta()
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]:
    """Declare that the method named `find` tells whether the write was applied, `lag` after it was sent."""
    return _declared(ByFind(find, lag))


def never() -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]:
    """Declare that nothing guards against a second effect."""
    return _declared(Never())


def _declared(
    idempotency: Idempotency,
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Callable[P, Coroutine[Any, Any, R]]]:
    def decorate(method: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
        @functools.wraps(method)
        async def write(*args: P.args, **kwargs: P.kwargs) -> R:
            # A write that calls another is one with it.
            going_on = _writing.get() or _Writing()
            token = _writing.set(going_on)
            try:
                return await method(*args, **kwargs)
            except ConnectorError as error:
                if not _in_doubt(idempotency, going_on, error):
                    raise
                problem = error
            finally:
                _writing.reset(token)
            raise Unknown(
                f"{problem.message}; an earlier request of the same write may have been applied",
                code=problem.code,
                status=problem.status,
            )

        setattr(write, _MARK, idempotency)
        return write

    return decorate


def _in_doubt(idempotency: Idempotency, going_on: _Writing, error: ConnectorError) -> bool:
    """Whether an error hides that the write has been applied: one after a request of it that went well.

    "Nothing was applied" is then true of the last request only. What is native for ever may be sent again in any case,
    and a request that is refused after a first step is a refusal.
    """
    if not going_on.applied or (isinstance(idempotency, Native) and idempotency.ttl is None):
        return False
    if error.kind == "rejected":
        return going_on.read_last
    return error.kind in ("transient", "rate_limited", "unauthorized")


def note_request(*, reading: bool, applied: bool) -> None:
    """A request has ended. applied: it went well, or nobody knows. For the SDK's transports; counts within a write."""
    going_on = _writing.get()
    if going_on is not None:
        going_on.read_last = reading
        going_on.applied = going_on.applied or (applied and not reading)


def idempotency_of(method: Callable[..., Any]) -> Idempotency | None:
    """What the write `method` declares; None for a method that declares nothing."""
    return cast("Idempotency | None", getattr(method, _MARK, None))


def is_writing() -> bool:
    """Whether a declared write is going on in this task: then a request that changes something may have unknown
    outcome. A GET never has."""
    return _writing.get() is not None


def is_write(method: Callable[..., Any]) -> bool:
    """Whether a capability's method is a write: it has a parameter named `key`."""
    return "key" in inspect.signature(method).parameters
