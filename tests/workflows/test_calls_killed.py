"""A worker killed between the other system's answer and the commit of it: one effect, by that system's own count."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine

from contracts.connector_call import CallOutcome, CallStatus
from contracts.names import STATUS
from contracts.parked import RESOLVE, Action, Resolve
from runtime.temporal import connect
from storage.database import make_engine
from tests.activities.acme import running_vendor
from tests.activities.calling import prepare
from tests.conftest import PostgresForTests, wait_until
from tests.names import NAMESPACE
from workflows.call_starts import start_call

CHECKOUT = Path(__file__).parents[2]
EFFECTS = {"pay": "charge", "ship": "label", "mail": "mail"}
WAITING = (
    "select count(*) from pg_stat_activity"
    " where datname = current_database() and wait_event_type = 'Lock' and query like '%connector_call%'"
)


@pytest.fixture
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("calls_killed")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = make_engine(url)
    yield engine
    engine.dispose()


class Workers:
    """Worker processes for one vendor."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self._environment = os.environ | {"PYTHONPATH": str(CHECKOUT)} | environment
        self._log = folder / "worker.log"
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self) -> subprocess.Popen[bytes]:
        """Start one; it need not be ready when this returns."""
        with self._log.open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.workflows.acme_worker"],
                env=self._environment,
                cwd=CHECKOUT,
                stdout=log,
                stderr=log,
            )
        self.started.append(worker)
        return worker

    def kill_all(self) -> None:
        """End those that still run."""
        for worker in self.started:
            worker.kill()
            worker.wait()
        sys.stderr.write(self._log.read_text()[-5000:])


async def test_a_worker_killed_between_answer_and_commit(
    url: str, engine: Engine, temporal_address: str, tmp_path: Path
) -> None:
    client = await connect(temporal_address, NAMESPACE)
    with running_vendor() as vendor:
        workers = Workers(tmp_path, DATABASE_URL=url, TEMPORAL_ADDRESS=temporal_address, ACME_URL=vendor.url)
        try:
            vendor.gate.clear()
            victim = workers.start()
            handles = {to: await start_call(client, prepare(engine, to).ref) for to in EFFECTS}
            await asyncio.to_thread(wait_until, "the vendor did all three", lambda: len(vendor.effects) == 3)
            with psycopg.connect(url) as holder, psycopg.connect(url, autocommit=True) as watcher:
                holder.execute("select from connector_call for update")
                vendor.gate.set()
                await asyncio.to_thread(
                    wait_until,
                    "three answers wait to be written down",
                    lambda: watcher.execute(WAITING).fetchone() == (3,),
                )
                victim.kill()
                victim.wait()
            with psycopg.connect(url) as connection:
                left = connection.execute("select distinct status from connector_call").fetchall()
            assert left == [("sent",)]
            workers.start()
            async with asyncio.timeout(60):
                assert (await handles["pay"].result()).status is CallStatus.SUCCEEDED
                assert (await handles["ship"].result()).status is CallStatus.SUCCEEDED
                while (await handles["mail"].describe()).typed_search_attributes.get(STATUS) != "parked":  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
                assert parked(url) == ["mail"]
                await handles["mail"].execute_update(
                    RESOLVE, Resolve(action=Action.SKIP, actor="ops", reason="it is in the sent folder")
                )
                mail: CallOutcome = await handles["mail"].result()
        finally:
            workers.kill_all()
        assert mail.status is CallStatus.SKIPPED
        assert {to: vendor.count(kind) for to, kind in EFFECTS.items()} == dict.fromkeys(EFFECTS, 1)
        # Only the key that the vendor keeps went out a second time.
        sends = {to: vendor.requests[f"POST /{kind}"] for to, kind in EFFECTS.items()}
        assert sends == {"pay": 2, "ship": 1, "mail": 1}


def parked(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("select connection from parked where resolved_at is null").fetchall()
    return [row[0] for row in rows]
