"""Heartbeats for activities that run in a thread: a long query must not look like a dead worker."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from temporalio import activity


class Pulse:
    """Beats with the last thing said, so that the Temporal UI shows where an activity is."""

    def __init__(self) -> None:
        self._said = "started"

    def __call__(self, what: str) -> None:
        """Say what is being done from now on; the next beat tells it. Costs nothing, so say it often."""
        self._said = what

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
