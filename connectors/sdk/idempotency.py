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

P = ParamSpec("P")
R = TypeVar("R")

_writing: ContextVar[bool] = ContextVar("masthead_writing", default=False)
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
            token = _writing.set(True)
            try:
                return await method(*args, **kwargs)
            finally:
                _writing.reset(token)

        setattr(write, _MARK, idempotency)
        return write

    return decorate


def idempotency_of(method: Callable[..., Any]) -> Idempotency | None:
    """What the write `method` declares; None for a method that declares nothing."""
    return cast("Idempotency | None", getattr(method, _MARK, None))


def is_writing() -> bool:
    """Whether a declared write is going on in this task: then a request that changes something may have unknown
    outcome. A GET never has."""
    return _writing.get()


def is_write(method: Callable[..., Any]) -> bool:
    """Whether a capability's method is a write: it has a parameter named `key`."""
    return "key" in inspect.signature(method).parameters
