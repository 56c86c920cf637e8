"""Calling a library that blocks: it runs in a thread, its requests run on the event loop as all others do."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from connectors.sdk.config import MissingSecret
from connectors.sdk.connector import Connector
from connectors.sdk.context import Rehearsed
from connectors.sdk.errors import Broken, ConnectorError, DefinitionError, Transient, Unknown
from connectors.sdk.idempotency import is_writing
from connectors.sdk.outcomes import READING
from connectors.sdk.sending import Answer, Outgoing, Sender

R = TypeVar("R")

# Threads of their own: those that wait for an answer must not use up the loop's, which look up names for them.
_threads = ThreadPoolExecutor(max_workers=32, thread_name_prefix="masthead-bridge")
# After the total time the last request ends by its own clock; this is left for the library to come back.
_GRACE = 2.0


@dataclass(slots=True)
class _Call:
    """A call of a library that is going on. until: by the monotonic clock. wrote: a request that may change something
    has gone out, or is about to."""

    loop: asyncio.AbstractEventLoop
    until: float
    wrote: bool = False
    over: bool = False
    request: Future[Answer] | None = field(default=None, repr=False)

    def end(self) -> None:
        """Nothing is sent any more, and what is being sent is broken off."""
        self.over = True
        if self.request is not None:
            self.request.cancel()


@dataclass(frozen=True, slots=True)
class _Outcome(Generic[R]):
    """What a thread came to. stumbled: the type of the library's own exception."""

    value: R | None = None
    error: Exception | None = None
    stumbled: str | None = None


_current: contextvars.ContextVar[_Call | None] = contextvars.ContextVar("masthead_bridge_call", default=None)


async def in_thread(connector: Connector[Any], call: Callable[[], R], *, total: float = 60.0) -> R:
    """Run `call`, which uses a library through one of the bridges, in a thread.

    total: seconds for all of its requests together. Raises the ConnectorError of a request that failed, also where
    the library wrapped it; an exception of the library's own becomes Unknown once a write was sent, else Broken.
    Exceptions that the library is expected to raise are to be caught within `call`.
    """
    name = connector.context.connection
    total = min(total, connector.context.timeout or total)
    going_on = _Call(asyncio.get_running_loop(), time.monotonic() + total)
    context = contextvars.copy_context()
    context.run(_current.set, going_on)
    thread = going_on.loop.run_in_executor(_threads, context.run, _run, call)
    try:
        await asyncio.wait({thread}, timeout=total + _GRACE)
    finally:
        if not thread.done():
            going_on.end()
    unclear = Unknown if going_on.wrote else Transient
    if not thread.done():
        raise unclear(f"{name}: the library did not come back within {total:g} s")
    outcome: _Outcome[R] = thread.result()
    if outcome.error is not None:
        raise outcome.error
    if outcome.stumbled is not None:
        kind = Unknown if going_on.wrote else Broken
        raise kind(
            f"{name}: the library stumbled ({outcome.stumbled}) after an answer that it did not expect"
        )
    return outcome.value  # type: ignore[return-value]  # neither of the others: it is the call's own value


def send_from_thread(sender: Sender, out: Outgoing) -> Answer:
    """Send a library's request on the event loop, and wait. Raises its ConnectorError."""
    call = _current.get()
    if call is None:
        raise DefinitionError("call the library within `await in_thread(self, lambda: ...)`")
    left = call.until - time.monotonic()
    if call.over or left <= 0:
        raise Transient(f"{out.method} {out.shown} was not sent: the time of the call is over")
    # Before it goes out: while its answer is waited for, or when the wait is given up, it may have been applied.
    call.wrote = call.wrote or (is_writing() and out.method not in READING)
    call.request = asyncio.run_coroutine_threadsafe(sender.send(replace(out, total=left)), call.loop)
    return call.request.result()


def _run(call: Callable[[], R]) -> _Outcome[R]:
    """Nothing leaves the thread as the library's exception: that may hold the request, and so secrets."""
    try:
        return _Outcome(value=call())
    except Exception as raised:
        ours = _ours(raised)
        return _Outcome(error=ours) if ours is not None else _Outcome(stumbled=type(raised).__name__)


def _ours(raised: BaseException) -> Exception | None:
    """The error of ours in a chain of exceptions, cut loose from the others."""
    seen: BaseException | None = raised
    while seen is not None:
        if isinstance(seen, ConnectorError | DefinitionError | MissingSecret | Rehearsed):
            seen.__cause__ = seen.__context__ = None
            return seen
        seen = seen.__cause__ or seen.__context__
    return None
