"""The worker that everybody runs makes calls: here one whose connection nobody has configured."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import psycopg

from contracts.connector_call import CallStatus
from contracts.parked import Action
from operations.parked.decide import Decision, decide
from runtime.temporal import connect
from storage.database import make_engine, transaction
from tests.activities.calling import prepare
from tests.conftest import PostgresForTests, wait_until
from tests.names import NAMESPACE
from workflows.call_starts import start_call, tell

CHECKOUT = Path(__file__).parents[2]


def started_worker(url: str, temporal_address: str, folder: Path, log: Path) -> subprocess.Popen[bytes]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TEMPORAL_", "MASTHEAD_"))}
    mine = {
        "MASTHEAD_HOME": str(folder / "home"),
        "DATABASE_URL": url,
        "TEMPORAL_ADDRESS": temporal_address,
        "TEMPORAL_NAMESPACE": NAMESPACE,
        "TEMPORAL_CONFIG_FILE": os.devnull,
    }
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, str(CHECKOUT / "worker.py")],
            env=inherited | mine,
            cwd=folder,
            stdout=out,
            stderr=out,
        )


async def test_a_call_of_a_connection_that_nobody_configured_waits_for_a_person(
    pg_server: PostgresForTests, temporal_address: str, tmp_path: Path
) -> None:
    url = pg_server.fresh_database("served_calls")
    engine = make_engine(url)
    log = tmp_path / "worker.log"
    worker = started_worker(url, temporal_address, tmp_path, log)
    try:
        client = await connect(temporal_address, NAMESPACE)
        handle = await start_call(client, prepare(engine, "pay").ref)

        def park() -> tuple[str, str] | None:
            with psycopg.connect(url) as connection:
                row = connection.execute("select id::text, message from parked").fetchone()
            return (row[0], row[1]) if row else None

        await asyncio.to_thread(wait_until, "it is parked", lambda: park() or worker.poll() is not None)
        found = park()
        assert found is not None, log.read_text()
        assert "no connection is called 'pay'" in found[1]
        with transaction(engine) as connection:
            decided = decide(connection, found[0], Decision(Action.FAIL, "ops", "there is no such system"))
        assert await tell(client, decided)
        async with asyncio.timeout(30):
            assert (await handle.result()).status is CallStatus.FAILED
    finally:
        worker.terminate()
        worker.wait(20)
        engine.dispose()
