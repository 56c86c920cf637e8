"""A Temporal server that may be killed, worker processes, and copies of one fleet to bill."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import psycopg
import pytest
from psycopg import sql
from temporalio.client import Client
from temporalio.service import RPCError

from contracts.bill_run import BillRunRequest, BillRunResult
from contracts.names import TASK_QUEUE, bill_run_id
from operations.billrun.post import ChunkRef
from operations.billrun.run import BillRuns, ChunkReport
from operations.billrun.scope import Scope
from runtime.bill_runs import RunHandle
from runtime.stack import launch, ports
from runtime.stack.temporal_server import server_command, server_environment
from runtime.temporal import connect
from storage.billable import Target
from storage.database import make_engine
from tests.conftest import PostgresForTests, wait_until
from tests.faults.books import dump, settled, value
from tests.faults.fleet import DUE, build_fleet
from tests.faults.payment_play import Seeds
from tests.names import NAMESPACE
from workflows.bill_run import BillRunWorkflow

CHECKOUT = Path(__file__).parents[2]
ACCOUNTS = 600
DEADLINE_SECONDS = 60.0

T = TypeVar("T")


class TemporalServer:
    """A server over one file and port that can be killed and started again."""

    def __init__(self, folder: Path, *dynamic: str) -> None:
        self._folder = folder
        self._port = ports.choose_port(0)
        self._ui_port = ports.choose_port(0, frozenset({self._port}))
        self._dynamic = [part for each in dynamic for part in ("--dynamic-config-value", each)]
        self._process: subprocess.Popen[bytes] | None = None
        self.address = f"127.0.0.1:{self._port}"

    def start(self) -> None:
        """Start it over what its file holds, and wait until it answers."""
        command = server_command(
            self._folder / "temporal.db", port=self._port, ui_port=self._ui_port, namespace=NAMESPACE
        )
        with (self._folder / "temporal.log").open("ab") as log:
            process = self._process = subprocess.Popen(
                [*command, *self._dynamic],
                env=server_environment(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        wait_until(
            "the Temporal server listens", lambda: process.poll() is not None or ports.answers(self._port)
        )
        assert process.poll() is None, (self._folder / "temporal.log").read_text()

    def prepare(self) -> None:
        """Namespace and search attributes."""
        work = threading.Thread(
            target=launch.prepare_temporal,
            args=(self.address, NAMESPACE, 30),
            kwargs={"deadline_seconds": 30},
        )
        work.start()
        work.join()

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="session")
def temporal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    """The server of the fault tests; a test that kills it starts it again."""
    server = TemporalServer(tmp_path_factory.mktemp("faults-temporal"))
    server.start()
    try:
        server.prepare()
        yield server
    finally:
        server.kill()


class Fleets:
    """Databases with the same accounts, copied from one that nobody connects to."""

    def __init__(self, server: PostgresForTests) -> None:
        self.server = server
        self._templates: dict[int, str] = {}
        self._copies: list[str] = []
        self._numbers = itertools.count(1)

    def fresh(self, accounts: int = ACCOUNTS) -> str:
        """The URL of a database with a fleet that was never billed."""
        if accounts not in self._templates:
            url = self.server.fresh_database(f"fleet{accounts}")
            engine = make_engine(url)
            build_fleet(engine, accounts)
            engine.dispose()
            self._templates[accounts] = psycopg.conninfo.conninfo_to_dict(url)["dbname"]  # type: ignore[assignment]
        name = f"{self._templates[accounts]}_copy{next(self._numbers)}"
        with psycopg.connect(self.server.server.url("postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL("create database {} template {}").format(
                    sql.Identifier(name), sql.Identifier(self._templates[accounts])
                )
            )
        self._copies.append(name)
        return self.server.server.url(name)

    def drop_copies(self) -> None:
        """Remove the copies: after a crash Postgres syncs every file that it has, before it lets anyone in."""
        with psycopg.connect(self.server.server.url("postgres"), autocommit=True) as connection:
            while self._copies:
                connection.execute(
                    sql.SQL("drop database {} with (force)").format(sql.Identifier(self._copies.pop()))
                )


@pytest.fixture(autouse=True)
def _tidy(fleets: Fleets) -> Iterator[None]:
    yield
    fleets.drop_copies()


@pytest.fixture(scope="session")
def fleets(pg_server: PostgresForTests) -> Fleets:
    return Fleets(pg_server)


class Workers:
    """Worker processes of one test."""

    def __init__(self, folder: Path, temporal_address: str) -> None:
        self._folder = folder
        self._address = temporal_address
        self.processes: list[subprocess.Popen[bytes]] = []
        self.log = folder / "workers.log"

    def start(
        self, database_url: str, *, soon_noticed: bool = False, **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start one; it need not be ready when this returns. soon_noticed: whoever asks for heartbeats of ten seconds
        asks for shorter ones, so that its death is."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("TEMPORAL_", "MASTHEAD_"))}
        env = inherited | {
            "MASTHEAD_HOME": str(self._folder / "home"),
            "DATABASE_URL": database_url,
            "TEMPORAL_ADDRESS": self._address,
            "TEMPORAL_NAMESPACE": NAMESPACE,
            "TEMPORAL_CONFIG_FILE": os.devnull,
            **environment,
        }
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [
                    sys.executable,
                    *(("-m", "tests.soon_noticed") if soon_noticed else (str(CHECKOUT / "worker.py"),)),
                ],
                env=env,
                cwd=CHECKOUT,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def kill_all(self) -> None:
        """End those that still run."""
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
        # Shown by pytest where a test fails.
        sys.stderr.write(self.log.read_text()[-5000:] if self.log.exists() else "no worker was started")


@pytest.fixture
def workers(tmp_path: Path, temporal: TemporalServer) -> Iterator[Workers]:
    """Start worker processes; they end with the test."""
    mine = Workers(tmp_path, temporal.address)
    try:
        yield mine
    finally:
        mine.kill_all()


class Runs:
    """Bill runs on one Temporal server, with the impatience of a test."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._handles: list[RunHandle] = []

    async def start(self, name: str = "all", **request: Any) -> RunHandle:
        """Start a run over the scope `name`; by default chunks are small, and a silent worker is given up soon."""
        order = BillRunRequest(
            **(
                {"as_of": DUE, "scope": name, "chunk_size": 20, "concurrency": 4, "heartbeat_seconds": 1.5}
                | request
            )
        )
        handle = await self.client.start_workflow(
            BillRunWorkflow.run,
            order,
            id=bill_run_id(order.scope, str(order.as_of)),
            task_queue=TASK_QUEUE,
            task_timeout=timedelta(seconds=3),
        )
        self._handles.append(handle)
        return handle

    async def result(self, handle: RunHandle, seconds: float = DEADLINE_SECONDS) -> BillRunResult:
        """How the run ended, however often the server went away meanwhile."""
        async with asyncio.timeout(seconds):
            while True:
                try:
                    return await handle.result()
                except RPCError:
                    await asyncio.sleep(0.1)

    async def end_all(self) -> None:
        """Leave nothing behind for the next test's workers."""
        for handle in self._handles:
            try:
                await handle.terminate("the test has ended")
            except RPCError:
                continue


@pytest.fixture
async def runs(temporal: TemporalServer) -> AsyncIterator[Runs]:
    mine = Runs(await connect(temporal.address, NAMESPACE))
    try:
        yield mine
    finally:
        await mine.end_all()


async def until(what: str, true: Callable[[], object], seconds: float = DEADLINE_SECONDS) -> None:
    """`wait_until` beside a running event loop."""
    await asyncio.to_thread(wait_until, what, true, seconds)


async def until_it(
    what: str, true: Callable[[], Awaitable[object]], seconds: float = DEADLINE_SECONDS
) -> None:
    """Wait until the awaited `true()` holds."""
    deadline = time.monotonic() + seconds
    while not await true():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        await asyncio.sleep(0.05)


@contextmanager
def posting_held(url: str) -> Iterator[psycopg.Connection[Any]]:
    """Hold the number series: every chunk comes to a stop after its COPY and before its commit."""
    with psycopg.connect(url) as connection:
        connection.execute("select 1 from number_series where mode = 'live' for update")
        yield connection


def waiting_for_locks(url: str) -> int:
    """Sessions of the database that wait for a row somebody holds."""
    waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    return int(value(url, waiting))


async def until_under_way(url: str, accounts: int = 40) -> None:
    """Wait until the run has settled `accounts` accounts."""
    await until("the run is under way", lambda: settled(url) >= accounts)


def died_by_sigkill(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process was ended by SIGKILL."""
    return process.poll() == -signal.SIGKILL


class Chunks:
    """Chunks of a run without a workflow: what a worker's activity does, called from a test."""

    def __init__(self, url: str, *, chunk_size: int = 1000) -> None:
        self.engine = make_engine(url)
        self.target = Target(DUE, None)
        self.bill_runs = BillRuns(self.engine)
        self.run_id = self.bill_runs.open(
            workflow_id="by-hand",
            workflow_run_id=str(uuid.uuid4()),
            mode="live",
            scope=Scope("all"),
            target=self.target,
            chunk_size=chunk_size,
        )

    def ref(self, no: int = 0) -> ChunkRef:
        """The chunk `no`."""
        return ChunkRef(self.run_id, no, "live")

    def bill(self, no: int = 0, *, wait: bool, by: BillRuns | None = None) -> ChunkReport:
        """Bill the chunk `no` as an attempt of its activity would."""
        return (by or self.bill_runs).bill(self.ref(no), self.target, wait=wait, heartbeat=lambda _: None)

    def finish(self) -> dict[str, Any]:
        """End the run; answers its summary."""
        return self.bill_runs.finish(self.run_id, canceled=False)


@pytest.fixture(scope="session")
async def undisturbed(
    fleets: Fleets, temporal: TemporalServer, tmp_path_factory: pytest.TempPathFactory
) -> list[str]:
    """What the books say after a run that nobody disturbed."""
    url = fleets.fresh()
    mine = Workers(tmp_path_factory.mktemp("undisturbed"), temporal.address)
    runs = Runs(await connect(temporal.address, NAMESPACE))
    try:
        mine.start(url)
        await runs.result(await runs.start())
    finally:
        await runs.end_all()
        mine.kill_all()
    return dump(url)


@pytest.fixture(scope="session")
def payment_seeds(
    pg_server: PostgresForTests, temporal_address: str, tmp_path_factory: pytest.TempPathFactory
) -> Seeds:
    """Plays seeded faults against payments."""
    return Seeds(pg_server, tmp_path_factory.mktemp("seeds"), temporal_address)
