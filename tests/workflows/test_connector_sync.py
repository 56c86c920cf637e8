"""A sync as a process: it tells what changes, is held, comes through trouble, ends with its flows, idles quietly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import uuid_utils
from sqlalchemy import Engine
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError, WorkflowUpdateStage
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.sync import SyncActivities, SyncControlActivities
from contracts.names import sync_id
from contracts.sync import SyncControl, SyncRequest
from runtime.temporal import connect
from sandbox.reference.stand_in import ReferenceStandIn
from storage.database import PgConnection, make_engine
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.synced import NAME, Synced, add_account, flow_of, set_status, until
from workflows.connector_sync import ConnectorSyncWorkflow

OPERATOR = SyncControl(actor="ops", reason="a look at the other side")


@pytest.fixture
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("syncs")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = make_engine(url)
    yield made
    made.dispose()


@pytest.fixture
def connection(url: str) -> Iterator[PgConnection]:
    with psycopg.connect(url, autocommit=True) as opened:
        yield opened


@pytest.fixture
async def client(temporal_address: str) -> Client:
    return await connect(temporal_address, NAMESPACE)


@pytest.fixture
def stand_in() -> Iterator[ReferenceStandIn]:
    with ReferenceStandIn() as listening:
        yield listening


@pytest.fixture
def synced(engine: Engine, stand_in: ReferenceStandIn, tmp_path: Path) -> Synced:
    return Synced(engine, stand_in, [flow_of(tmp_path)])


Start = Callable[..., Awaitable[WorkflowHandle[Any, Any]]]


@asynccontextmanager
async def working(client: Client, synced: Synced) -> AsyncIterator[Start]:
    """A worker with both queues of its own; what is started ends with it."""
    queue = f"syncs-{uuid_utils.uuid7()}"
    turns = SyncActivities(synced.engine, synced.open, lambda _: synced.flows, synced.note)
    handles: list[WorkflowHandle[Any, Any]] = []

    async def start(**changes: Any) -> WorkflowHandle[Any, Any]:
        request = SyncRequest(connection=NAME, queue=f"{queue}-turns", report_seconds=0.1).model_copy(
            update=changes
        )
        handles.append(
            await client.start_workflow(
                ConnectorSyncWorkflow.run, request, id=f"{sync_id(NAME)}-{queue}", task_queue=queue
            )
        )
        return handles[-1]

    with ThreadPoolExecutor(2) as threads:
        async with (
            Worker(
                client,
                task_queue=queue,
                workflows=[ConnectorSyncWorkflow],
                activities=SyncControlActivities(synced.engine).all(),
                activity_executor=threads,
            ),
            Worker(
                client,
                task_queue=f"{queue}-turns",
                activities=turns.all(),
                max_heartbeat_throttle_interval=timedelta(seconds=1),
            ),
        ):
            yield start
            for handle in handles:
                with suppress(RPCError):  # it has ended
                    await handle.terminate()


async def test_it_tells_what_changes_and_ends_with_its_flows(
    client: Client, synced: Synced, connection: PgConnection
) -> None:
    account = add_account(connection, "a")
    async with working(client, synced) as start:
        handle = await start()
        await until(lambda: "a" in synced.records())
        set_status(connection, account, "paused")
        await until(lambda: synced.records()["a"]["status"] == "paused")
        synced.flows = None
        async with asyncio.timeout(20):
            status = await handle.result()
    assert {lane.flow for lane in status.lanes} == {"contacts"}


async def test_it_is_held_and_goes_on(client: Client, synced: Synced, connection: PgConnection) -> None:
    account = add_account(connection, "a")
    async with working(client, synced) as start:
        handle = await start()
        await until(lambda: "a" in synced.records())
        held = await handle.execute_update(ConnectorSyncWorkflow.pause, OPERATOR)
        assert held.paused == "ops: a look at the other side"
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update(ConnectorSyncWorkflow.pause, OPERATOR)
        set_status(connection, account, "paused")
        # Nobody has the connection any more: a turn by hand gets it, and finds what nobody has told.
        assert (await synced.turn()).written == 1
        set_status(connection, account, "canceled")
        await handle.execute_update(ConnectorSyncWorkflow.resume, OPERATOR)
        await until(lambda: synced.records()["a"]["status"] == "canceled")
    actions = connection.execute("select action, actor, subject from audit order by at").fetchall()
    assert actions == [("pause", "ops", "sync/crm"), ("resume", "ops", "sync/crm")]


async def test_a_resume_right_after_a_pause_goes_on_once_the_turn_is_gone(
    client: Client, synced: Synced, connection: PgConnection
) -> None:
    account = add_account(connection, "a")
    opened, closing, close = synced.open, asyncio.Event(), asyncio.Event()

    async def open_slow_to_close(name: str) -> Any:
        connector = await opened(name)
        aclose = connector.aclose

        async def slowly() -> None:
            closing.set()
            await close.wait()
            await aclose()

        connector.aclose = slowly
        return connector

    synced.open = open_slow_to_close
    async with working(client, synced) as start:
        handle = await start(report_seconds=60.0)
        await until(lambda: "a" in synced.records())
        pausing = asyncio.create_task(handle.execute_update(ConnectorSyncWorkflow.pause, OPERATOR))
        await until(closing.is_set)  # the turn is being stopped, and is not gone
        resuming = await handle.start_update(
            ConnectorSyncWorkflow.resume, OPERATOR, wait_for_stage=WorkflowUpdateStage.ACCEPTED
        )
        synced.open = opened
        close.set()
        assert (await pausing).paused is not None
        assert (await resuming.result()).paused is None
        set_status(connection, account, "paused")
        await until(lambda: synced.records()["a"]["status"] == "paused")


async def test_no_word_of_the_database_reaches_the_history(
    client: Client, synced: Synced, connection: PgConnection
) -> None:
    account = add_account(connection, "a")
    connection.execute("alter table synced_record add constraint refuses check (account_id is null)")
    async with working(client, synced) as start:
        handle = await start()

        async def failure() -> str:
            described = await handle.describe()
            pending = described.raw_description.pending_activities
            return str(pending[0].last_failure) if pending and pending[0].HasField("last_failure") else ""

        async with asyncio.timeout(20):
            while not (told := await failure()):  # noqa: ASYNC110 (nothing tells of it)
                await asyncio.sleep(0.05)
    assert "CheckViolation" in told
    assert account not in told


async def test_it_comes_through_what_passes(
    client: Client, synced: Synced, connection: PgConnection, stand_in: ReferenceStandIn
) -> None:
    for no in range(5):
        add_account(connection, f"k{no}")
    stand_in.inject("unavailable", times=1, path="/crm/upsert")
    stand_in.inject("drop_after", times=1, path="/crm/upsert", skip=1)
    async with working(client, synced) as start:
        handle = await start()
        await until(lambda: len(synced.records()) == 5)
        await handle.query(ConnectorSyncWorkflow.status)
    assert synced.writes() == 5


async def test_an_idle_turn_costs_six_events(client: Client, synced: Synced) -> None:
    """At half an hour a turn, that is twelve an hour."""
    async with working(client, synced) as start:
        handle = await start(turn_seconds=0.1)

        async def events() -> int:
            return len((await handle.fetch_history()).events)

        seen = await events()
        async with asyncio.timeout(20):
            while await events() < seen + 24:  # noqa: ASYNC110 (nothing tells of it)
                await asyncio.sleep(0.1)
        history = await handle.fetch_history()
    turns = [event for event in history.events if event.HasField("activity_task_completed_event_attributes")]
    assert len(history.events) <= 6 * (len(turns) + 1) + 3
