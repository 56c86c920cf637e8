"""Short database work of the event loop: a small pool whose connections are lent for one statement or transaction."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool

from storage.database import libpq_url

AsyncPgConnection = psycopg.AsyncConnection[tuple[Any, ...]]

LONGEST_WAIT_SECONDS = 15.0


class Pool:
    """Connections in autocommit for one event loop, opened with the first use; `aclose` when done.

    What a connector's ports need of the database is short: nobody keeps a connection while another system is asked.
    """

    def __init__(self, url: str, *, size: int = 4, longest_wait: float = LONGEST_WAIT_SECONDS) -> None:
        self._url = libpq_url(url)
        self._size = size
        self._longest_wait = longest_wait
        self._pool: AsyncConnectionPool[AsyncPgConnection] | None = None
        self._opening = asyncio.Lock()

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncPgConnection]:
        """A connection in autocommit, tested before it is lent, so that a database that came back is used at once.
        Raises psycopg.OperationalError when there is none within `longest_wait` seconds."""
        async with (await self._opened()).connection() as connection:
            yield connection

    @property
    def lent(self) -> int:
        """How many connections are in use now."""
        if self._pool is None:
            return 0
        stats = self._pool.get_stats()
        return stats.get("pool_size", 0) - stats.get("pool_available", 0)

    async def aclose(self) -> None:
        """Close all connections."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.close()

    async def _opened(self) -> AsyncConnectionPool[AsyncPgConnection]:
        async with self._opening:
            if self._pool is None:
                pool: AsyncConnectionPool[AsyncPgConnection] = AsyncConnectionPool(
                    self._url,
                    kwargs={
                        "autocommit": True,
                        "connect_timeout": 5,
                        "application_name": "masthead connectors",
                    },
                    min_size=0,
                    max_size=self._size,
                    open=False,
                    check=AsyncConnectionPool.check_connection,
                    timeout=self._longest_wait,
                    name="connectors",
                )
                await pool.open()
                self._pool = pool
            return self._pool
