"""Engines and connections: one way to reach Postgres, for SQLAlchemy and for COPY alike."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import psycopg
import sqlalchemy.exc
from sqlalchemy import Engine, create_engine, event

from storage.packing import register_arrays
from storage.turns import TurnTaking

register_arrays()  # before any engine is made: each copies what psycopg knows by then

# What the database being away looks like: while connecting, and in the middle of a statement.
DATABASE_AWAY = (psycopg.OperationalError, sqlalchemy.exc.OperationalError)

# A connection that was used within this time is taken to be alive; if it is not, the work fails and is done again.
_FRESH_SECONDS = 1.0

# Reading holds nobody up: books of any size may be read in one transaction.
_SNAPSHOT = b"set transaction isolation level repeatable read, read only; set local transaction_timeout = 0"

PgConnection = psycopg.Connection[tuple[Any, ...]]


def sqlalchemy_url(url: str) -> str:
    """`url` with the psycopg 3 driver named, whichever Postgres form it came in."""
    scheme, separator, rest = url.partition("://")
    if not separator or scheme.split("+")[0] not in ("postgres", "postgresql"):
        raise ValueError("the database URL must start with postgresql://")
    return f"postgresql+psycopg://{rest}"


def libpq_url(url: str) -> str:
    """`url` in the form libpq reads, without SQLAlchemy's driver name."""
    return "postgresql://" + sqlalchemy_url(url).partition("://")[2]


def make_engine(url: str, *, pool_size: int = 8) -> Engine:
    """An engine on `url` whose pool tests a connection that lay idle before lending it, so that a database that came
    back after a crash is used at once."""
    engine = create_engine(
        sqlalchemy_url(url),
        pool_size=pool_size,
        max_overflow=8,
        connect_args={
            "connect_timeout": 5,
            "application_name": "masthead",
            # Rows are fetched and moved a thousand at a time, out of tables of any size. At the server's default,
            # made for turning disks, it read a whole table for each thousand: four times the work of a posting.
            "options": "-c random_page_cost=1.1",
        },
    )
    event.listen(engine, "do_connect", _connect)
    event.listen(engine, "connect", _remember_more)
    event.listen(engine, "checkin", _lay_down)
    event.listen(engine, "checkout", _test_idle)
    return engine


def _connect(dialect: Any, record: Any, arguments: Any, named: dict[str, Any]) -> TurnTaking:
    return TurnTaking.connect(*arguments, **named)


def _remember_more(connection: psycopg.Connection[Any], record: Any) -> None:
    """Statements that stay prepared: a whole account alone is read and written by some sixty."""
    connection.prepared_max = 500


def _lay_down(connection: Any, record: Any) -> None:
    record.info["idle_since"] = time.monotonic()


def _test_idle(connection: psycopg.Connection[Any], record: Any, proxy: Any) -> None:
    """A round trip for each lending is a tenth of a command: one used a moment ago is asked nothing. Raises
    DisconnectionError, upon which the pool makes a new one."""
    idle = time.monotonic() - record.info.get("idle_since", float("-inf"))
    try:
        if not connection.closed:
            if idle < _FRESH_SECONDS:
                return
            connection.execute("select 1")
            connection.rollback()
            return
    except psycopg.Error:
        pass
    raise sqlalchemy.exc.DisconnectionError("the database has hung up")


@contextmanager
def transaction(engine: Engine, *, read_only_snapshot: bool = False) -> Iterator[PgConnection]:
    """A psycopg connection of the engine's pool in one transaction: committed at the end, rolled back on an
    exception. With `read_only_snapshot` every statement sees the same snapshot and none may write."""
    lent = engine.raw_connection()
    try:
        raw = cast(PgConnection, lent.driver_connection)
        if read_only_snapshot:
            with raw.cursor() as cursor:
                cursor.execute(_SNAPSHOT)
        yield raw
        lent.commit()
    finally:
        lent.close()  # which rolls back what was not committed
