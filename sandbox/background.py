"""Work that a stand-in does after it answered, such as sending webhooks: one after the other, in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

logger = logging.getLogger("sandbox")
Work = Coroutine[Any, Any, None]


class Background:
    """A queue with one worker on the server's loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._queue: asyncio.Queue[Work] = asyncio.Queue()
        self._worker: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Start the worker on the running loop."""
        self._loop, self._queue = asyncio.get_running_loop(), asyncio.Queue()
        self._worker = asyncio.create_task(self._run())

    async def close(self) -> None:
        """End the worker; what still waits is dropped."""
        if self._worker is not None:
            self._worker.cancel()
            await asyncio.gather(self._worker, return_exceptions=True)
        self._loop = self._worker = None
        while not self._queue.empty():
            self._queue.get_nowait().close()

    def soon(self, work: Work) -> None:
        """Do `work` after what was given before; from any thread. Dropped while nothing is served."""
        if self._loop is None:
            work.close()
        else:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, work)

    async def settled(self) -> None:
        """Wait, on the server's loop, until all that was given is done."""
        await asyncio.sleep(0)  # lets what another thread gave reach the queue
        await self._queue.join()

    async def _run(self) -> None:
        while True:
            work = await self._queue.get()
            try:
                await work
            except Exception:
                logger.exception("background work of a stand-in failed")
            finally:
                self._queue.task_done()
