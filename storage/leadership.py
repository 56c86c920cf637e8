"""One leader among many processes: the one whose session holds an advisory lock.

The lock lives on a connection of its own, outside of transactions. When that connection is lost the lock is free, and
whatever the old leader still tries to write on it fails. (A pooler in transaction mode would break this: give
DATABASE_URL a direct connection.)
"""

from __future__ import annotations

import psycopg
from sqlalchemy import Engine

from storage.database import PgConnection, libpq_url

# The server notices a leader whose machine vanished after some 25 s instead of two hours.
_SESSION = b"""
set statement_timeout = '30s';
set idle_in_transaction_session_timeout = '30s';
set tcp_keepalives_idle = 10;
set tcp_keepalives_interval = 5;
set tcp_keepalives_count = 3;
"""


def open_session(engine: Engine) -> PgConnection:
    """A connection to the engine's database beside its pool, in autocommit; the caller closes it. Raises psycopg's
    OperationalError when the database is away."""
    session = psycopg.connect(
        libpq_url(engine.url.render_as_string(hide_password=False)),
        autocommit=True,
        connect_timeout=5,
        application_name="masthead leader",
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
    )
    try:
        session.execute(_SESSION)
    except BaseException:
        session.close()
        raise
    return session


def try_lead(session: PgConnection, role: int) -> bool:
    """Try to take the lock `role`, without waiting. It is held until the session ends."""
    row = session.execute("select pg_try_advisory_lock(%s)", (role,)).fetchone()
    return row is not None and bool(row[0])
