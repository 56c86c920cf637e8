"""What requests that wait for a checkout are woken by: the database tells that its row has changed."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

from storage.checkouts import CHANGED_CHANNEL
from storage.database import libpq_url

log = logging.getLogger("masthead.api")

AGAIN_SECONDS = 1.0


class CheckoutNews:
    """One listening connection to the database at `url`, opened when somebody waits for the first time. What it tells
    is a hint: while it is away nothing is told, so whoever waits looks now and then as well."""

    def __init__(self, url: str) -> None:
        self._url = libpq_url(url)
        self._waiting: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self._listening: asyncio.Task[None] | None = None

    @contextmanager
    def of(self, checkout_id: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever the checkout's row has changed, for as long as the block lasts."""
        if self._listening is None or self._listening.done():
            self._listening = asyncio.create_task(self._listen())
        event = asyncio.Event()
        self._waiting[checkout_id].add(event)
        try:
            yield event
        finally:
            waiting = self._waiting[checkout_id]
            waiting.discard(event)
            if not waiting:
                del self._waiting[checkout_id]

    async def close(self) -> None:
        """Listen no more."""
        if self._listening is not None:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening

    async def _listen(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, connect_timeout=5, application_name="masthead checkout news"
                ) as connection:
                    await connection.execute(f"listen {CHANGED_CHANNEL}".encode())
                    async for told in connection.notifies():
                        for event in self._waiting.get(told.payload, ()):
                            event.set()
            except psycopg.Error as error:
                log.warning("nothing is told of checkouts at the moment: %s", error)
            await asyncio.sleep(AGAIN_SECONDS)
