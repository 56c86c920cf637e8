"""Heartbeats: a long query must not look like a dead worker, and a dead worker must be known within seconds.

They bring back cancellation too. Our activities in threads are defined with `no_thread_cancel_exception`: an exception
thrown into a thread anywhere would be taken for what is wrong with an account, and park it. Instead they look, between
two steps.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from temporalio import activity
from temporalio.exceptions import ApplicationError, CancelledError


class Pulse:
    """Beats with the last thing said, so that the Temporal UI shows where an activity is."""

    def __init__(self) -> None:
        self._said = "started"

    def __call__(self, what: str) -> None:
        """Say what is being done from now on; the next beat tells it. Costs nothing, so say it often, and where the
        activity may end. Raises CancelledError when it shall not go on, and an ApplicationError, so that it is tried
        again elsewhere, when its worker shuts down."""
        self._said = what
        if activity.is_cancelled():
            details = activity.cancellation_details()
            if details is not None and details.worker_shutdown:
                raise ApplicationError(
                    "the worker shuts down; it is tried again elsewhere", type="WorkerShutdown"
                )
            raise CancelledError(f"canceled before: {what}")

    def beat(self) -> None:
        """Beat with what was said last."""
        activity.heartbeat(self._said)


@contextmanager
def pulse() -> Iterator[Pulse]:
    """Beat four times per heartbeat timeout from a side thread, for as long as the block runs."""
    timeout = activity.info().heartbeat_timeout
    heart = Pulse()
    if timeout is None:
        yield heart
        return
    stop = threading.Event()
    context = contextvars.copy_context()

    def keep_beating() -> None:
        while not stop.wait(timeout.total_seconds() / 4):
            context.run(heart.beat)

    thread = threading.Thread(target=keep_beating, name="pulse", daemon=True)
    thread.start()
    try:
        yield heart
    finally:
        stop.set()
        thread.join()


@asynccontextmanager
async def beating() -> AsyncIterator[None]:
    """`pulse` for an activity that runs on the event loop, where a cancellation comes by itself."""
    timeout = activity.info().heartbeat_timeout

    async def keep_beating(seconds: float) -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(seconds)

    beats = asyncio.create_task(keep_beating(timeout.total_seconds() / 4)) if timeout is not None else None
    try:
        yield
    finally:
        if beats is not None:
            beats.cancel()
