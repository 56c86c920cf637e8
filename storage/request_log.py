"""Requests to other systems, written down as they happen and kept for a while."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from typing import NamedTuple

import psycopg

from connectors.sdk.ports import RequestEntry
from storage.database import PgConnection
from storage.pool import Pool

log = logging.getLogger("masthead.requests")

KEPT_DAYS = 14
KEPT_ROWS = 10_000  # of each connection
LONGEST_TEXT = 8_000
_TRIM_EVERY = 1_000
LONGEST_WRITE_SECONDS = 3.0


class LoggedRequest(NamedTuple):
    """A request as it was written down. ms: milliseconds for all `tries`."""

    id: int
    connection: str
    at: datetime
    method: str
    url: str
    outcome: str
    ms: int
    tries: int
    trace: str | None
    request: str | None
    answer: str | None


class PostgresRequestLog:
    """The port RequestLog. Entries older than `days`, and of each connection all but the newest `rows`, are removed as
    new ones come."""

    def __init__(
        self,
        pool: Pool,
        *,
        days: int = KEPT_DAYS,
        rows: int = KEPT_ROWS,
        within: float = LONGEST_WRITE_SECONDS,
    ) -> None:
        self._pool = pool
        self._within = within
        self._days = days
        self._rows = rows
        self._written = 0

    async def record(self, entry: RequestEntry) -> None:
        """Write one entry. Never fails the call that it is about, and holds it up for `within` seconds at most."""
        try:
            async with asyncio.timeout(self._within):
                await self._write(entry)
                self._written += 1
                if self._written % _TRIM_EVERY == 0:
                    await self.trim()
        except (psycopg.Error, OSError, TimeoutError) as error:
            # Without the entry: what went wrong with it may be what it holds.
            log.warning("a request of %s was not written down: %s", entry.connection, type(error).__name__)

    async def trim(self) -> int:
        """Remove what is old or too many; answers how many entries that were."""
        async with self._pool.connection() as database:
            old = await database.execute(
                "delete from request_log where at < now() - %s", (timedelta(days=self._days),)
            )
            many = await database.execute(
                """
                delete from request_log l using (
                    select c.connection, (
                        select id from request_log where connection = c.connection
                        order by id desc offset %s limit 1) as upto
                    from (select distinct connection from request_log) c) limits
                where l.connection = limits.connection and l.id <= limits.upto
                """,
                (self._rows,),
            )
        return old.rowcount + many.rowcount

    async def _write(self, entry: RequestEntry) -> None:
        async with self._pool.connection() as database:
            # What a crash of the database takes with it is a moment of a log.
            await database.execute(
                """
                insert into request_log (connection, at, method, url, outcome, ms, tries, trace, request, answer)
                select %s, %s, %s, %s, %s, %s, %s, %s, %s, %s
                from (select set_config('synchronous_commit', 'off', true)) quick
                """,
                (
                    entry.connection,
                    entry.at,
                    entry.method,
                    _text(entry.url),
                    _text(entry.outcome),
                    entry.milliseconds,
                    min(entry.tries, 32_767),
                    _text(entry.trace),
                    _text(entry.request),
                    _text(entry.answer),
                ),
            )


def requests_of(
    connection: PgConnection, name: str | None = None, *, trace: str | None = None, limit: int = 100
) -> list[LoggedRequest]:
    """The newest requests, newest first: of the connection `name`, or made by `trace`, or all."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select id, connection, at, method, url, outcome, ms, tries, trace, request, answer from request_log
            where (%(name)s::text is null or connection = %(name)s) and (%(trace)s::text is null or trace = %(trace)s)
            order by id desc limit %(limit)s
            """,
            {"name": name, "trace": trace, "limit": limit},
        )
        return [LoggedRequest(*row) for row in cursor]


def _text(value: str | None) -> str | None:
    """As Postgres takes it: without the one character that it cannot keep, and not endless."""
    return None if value is None else value.replace("\0", "�")[:LONGEST_TEXT]
