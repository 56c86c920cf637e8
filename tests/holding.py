"""A hold on external writes, as a restore begins it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from storage.write_holds import open_hold, release_hold


@contextmanager
def writes_held(url: str) -> Iterator[None]:
    """Nothing is written to other systems for as long as the block runs."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "insert into write_hold (id, reason, since) values (uuidv7(), 'restored from a backup of then', now())"
        )
        yield
        hold = open_hold(connection)
        assert hold is not None
        assert release_hold(connection, hold.id, "ops", "it is known what happened")
        assert not release_hold(connection, hold.id, "ops", "again")
