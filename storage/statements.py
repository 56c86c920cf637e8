"""Single statements of the event loop, each a transaction of its own, answered within seconds or not at all: what
routes that many call at once ask of the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from storage.database import libpq_url

POOL_SIZE = 8
WAIT_SECONDS = 2.0  # for a connection: a caller rather hears "later" soon than nothing for long
STATEMENT_MILLISECONDS = 2000
LOCK_MILLISECONDS = 1000
UNACKNOWLEDGED_MILLISECONDS = 4000  # on the wire to the database, before the connection counts as lost
# For all that one statement takes, with the wait for a connection and the second try: even a database that neither
# answers nor closes the connection must not hold a caller longer.
ANSWER_SECONDS = 6.0

AsyncPg = psycopg.AsyncConnection[tuple[Any, ...]]
StatementPool = AsyncConnectionPool[AsyncPg]


class DatabaseAway(Exception):
    """The statement was not carried out, or nobody can tell: the caller has to come again."""


def make_pool(url: str, name: str, size: int = POOL_SIZE) -> StatementPool:
    """Connections in autocommit, named "masthead `name`" at the server. Opened by the caller."""
    return AsyncConnectionPool(
        libpq_url(url),
        min_size=min(2, size),
        max_size=size,
        timeout=WAIT_SECONDS,
        open=False,
        kwargs={
            "autocommit": True,
            "connect_timeout": 5,
            "tcp_user_timeout": UNACKNOWLEDGED_MILLISECONDS,
            "options": f"-c statement_timeout={STATEMENT_MILLISECONDS} -c lock_timeout={LOCK_MILLISECONDS}",
            "application_name": f"masthead {name}",
            "prepare_threshold": 1,
        },
    )


async def open_pool(pool: StatementPool) -> None:
    """Let the pool connect in the background, also when the database is away for now."""
    await pool.open(wait=False)


async def close_pool(pool: StatementPool) -> None:
    """Give up the connections, within a moment."""
    with suppress(TimeoutError):
        async with asyncio.timeout(5):
            await pool.close(timeout=2)


class Statements:
    """Runs statements that may be repeated. `on_failure` is told the kind of each failure."""

    def __init__(self, pool: StatementPool, on_failure: Callable[[str], None] = lambda _kind: None) -> None:
        self._pool = pool
        self._on_failure = on_failure
        self._running: set[asyncio.Task[list[tuple[Any, ...]]]] = set()

    async def execute(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows of one statement, within ANSWER_SECONDS. Raises DatabaseAway when it fails or takes longer."""
        # In a task of its own, which is not waited for any longer: a canceled statement first waits for the server.
        running = asyncio.create_task(self._with_second_try(statement, parameters))
        self._running.add(running)
        running.add_done_callback(self._let_go)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await asyncio.shield(running)
        except (psycopg.Error, TimeoutError) as error:
            running.cancel()
            self._on_failure(type(error).__name__)
            raise DatabaseAway from error

    def _let_go(self, task: asyncio.Task[list[tuple[Any, ...]]]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # seen, so that the loop does not complain of what came after its time

    async def _with_second_try(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        """What a restarted database left of the pool is thrown away, and the statement sent once more. What took too
        long is not."""
        try:
            return await self._once(statement, parameters)
        except (PoolTimeout, psycopg.errors.QueryCanceled, psycopg.errors.LockNotAvailable):
            raise
        except (psycopg.OperationalError, psycopg.InterfaceError):
            await self._pool.check()
            return await self._once(statement, parameters)

    async def _once(self, statement: str, parameters: Sequence[Any]) -> list[tuple[Any, ...]]:
        async with self._pool.connection() as connection:
            # In binary: instants need not be written as text by one side and read by the other.
            cursor = await connection.execute(statement.encode(), parameters, binary=True)
            # Not by cursor.description, which makes an object of each column.
            result = cursor.pgresult
            return await cursor.fetchall() if result is not None and result.nfields else []
