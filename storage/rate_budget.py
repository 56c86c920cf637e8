"""How many calls a connection may make, shared by all processes: virtual scheduling on one row of Postgres.

The row says when the next call is due. A call takes that time and moves it on by the spacing of the rate (GCRA), in
one UPDATE by the database's clock, so that no two processes get the same time. Who was idle may catch up on a few
calls at once: a twentieth of the rate and ten at most, by which the spacing is widened, so that in no window of the
rate's length more calls fall due than the rate allows. Calls of one process that come together take their times
together.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connectors.sdk.ports import Rate
from storage.database import DATABASE_AWAY
from storage.pool import AsyncPgConnection, Pool
from storage.port_away import told_as_transient

log = logging.getLogger("masthead.rate_budget")

_AT_ONCE = 50
_BURST_SHARE = 20
_LARGEST_BURST = 10


def spacing(rate: Rate) -> tuple[float, int]:
    """Seconds between two calls, and how many an idle connection may make at once beside the first."""
    burst = min(rate.calls // _BURST_SHARE, _LARGEST_BURST)
    return rate.per / (rate.calls - burst), burst


@dataclass(slots=True)
class _Line:
    """Calls of this process that wait to be told their time."""

    waiting: list[asyncio.Future[timedelta]] = field(default_factory=list)
    serving: asyncio.Task[None] | None = None


class PostgresRateBudget:
    """The port RateBudget."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._lines: dict[tuple[str, Rate, timedelta], _Line] = {}
        self._known: set[str] = set()

    async def take(self, connection: str, rate: Rate, longest: timedelta) -> timedelta:
        """Take one call; answers how long to wait before sending it, zero for now. Where that is more than `longest`
        nothing is taken. Raises Transient while the database is away."""
        line = self._lines.setdefault((connection, rate, longest), _Line())
        told: asyncio.Future[timedelta] = asyncio.get_running_loop().create_future()
        line.waiting.append(told)
        if line.serving is None:
            line.serving = asyncio.create_task(self._serve(_Asked(connection, rate, longest), line))
        with told_as_transient(connection):
            return await told

    async def hold(self, connection: str, until: datetime) -> None:
        """No call before `until`; an earlier hold that lasts longer stays. While the database is away it is only
        logged: the answer that brought it counts for more than the hold."""
        try:
            async with self._pool.connection() as database:
                await database.execute(
                    """
                    insert into rate_bucket as b (connection, next_at, held_until)
                    values (%(connection)s, clock_timestamp(), %(until)s)
                    on conflict (connection) do update set held_until = greatest(b.held_until, excluded.held_until)
                    """,
                    {"connection": connection, "until": until},
                )
        except DATABASE_AWAY as away:
            log.warning("%s: a hold until %s was not stored: %s", connection, until, type(away).__name__)

    async def release(self, connection: str) -> None:
        """End a hold: a person knows that the other system takes calls again. Raises psycopg.OperationalError."""
        async with self._pool.connection() as database:
            await database.execute(
                "update rate_bucket set held_until = null where connection = %s", (connection,)
            )

    async def _serve(self, asked: _Asked, line: _Line) -> None:
        try:
            while line.waiting:
                told, line.waiting = line.waiting[:_AT_ONCE], line.waiting[_AT_ONCE:]
                told = [each for each in told if not each.done()]  # canceled while it waited
                try:
                    waits = await self._times(asked, len(told)) if told else []
                except Exception as error:
                    for each in told:
                        if not each.done():
                            each.set_exception(error)
                    continue
                for each, seconds in zip(told, waits, strict=True):
                    if not each.done():
                        each.set_result(timedelta(seconds=max(seconds, 0.0)))
        finally:
            line.serving = None

    async def _times(self, asked: _Asked, calls: int) -> list[float]:
        """Take `calls` calls; the seconds until each is due. The last of them, which have to wait for too long, are
        answered so and not taken."""
        async with self._pool.connection() as database:
            await self._known_to(database, asked)
            between, _ = spacing(asked.rate)
            if (first := await _take(database, asked, calls)) is not None:
                return [first + between * place for place in range(calls)]
            self._known.discard(asked.connection)  # for the row may also have been removed
            await self._known_to(database, asked)
            waits: list[float] = []
            while len(waits) < calls and (due := await _take(database, asked, 1)) is not None:
                waits.append(due)
            if len(waits) < calls:
                too_long = await _wait_now(database, asked)
                waits += [max(too_long, asked.longest.total_seconds() + between)] * (calls - len(waits))
            return waits

    async def _known_to(self, database: AsyncPgConnection, asked: _Asked) -> None:
        if asked.connection in self._known:
            return
        await database.execute(
            "insert into rate_bucket (connection, next_at) values (%s, clock_timestamp() - %s) on conflict do nothing",
            (asked.connection, asked.idle),
        )
        self._known.add(asked.connection)


@dataclass(frozen=True, slots=True)
class _Asked:
    """Whose calls are asked for, how fast they may be, and for how long one would wait."""

    connection: str
    rate: Rate
    longest: timedelta

    @property
    def idle(self) -> timedelta:
        """How much of an idle time can be caught up on."""
        between, burst = spacing(self.rate)
        return timedelta(seconds=between * burst)


async def _take(database: AsyncPgConnection, asked: _Asked, calls: int) -> float | None:
    """Take `calls` calls; the seconds until the first is due, negative in an idle time that is left over. None, and
    nothing is taken, when the last would have to wait for too long."""
    between, _ = spacing(asked.rate)
    # It need not be safe on disk: a crash of the database takes longer than the spacing of the calls it may forget.
    taken = await database.execute(
        """
        update rate_bucket
        set next_at = greatest(next_at, held_until, clock_timestamp() - %(idle)s) + %(whole)s
        from (select set_config('synchronous_commit', 'off', true)) quick
        where connection = %(connection)s
          and greatest(next_at, held_until, clock_timestamp() - %(idle)s) + %(others)s
              <= clock_timestamp() + %(longest)s
        returning extract(epoch from next_at - %(whole)s - clock_timestamp())::float8
        """,
        {
            "connection": asked.connection,
            "idle": asked.idle,
            "longest": asked.longest,
            "whole": timedelta(seconds=between * calls),
            "others": timedelta(seconds=between * (calls - 1)),
        },
    )
    row = await taken.fetchone()
    return None if row is None else float(row[0])


async def _wait_now(database: AsyncPgConnection, asked: _Asked) -> float:
    """Seconds until the next call is due."""
    found = await database.execute(
        "select extract(epoch from greatest(next_at, held_until) - clock_timestamp())::float8"
        " from rate_bucket where connection = %s",
        (asked.connection,),
    )
    row = await found.fetchone()
    return 0.0 if row is None else float(row[0])
