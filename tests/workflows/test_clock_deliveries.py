"""A clock of the real server waits for who gives licences and sends parcels."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from temporalio.client import Client
from temporalio.worker import Worker

from activities import test_clock
from activities.connectors import ConnectorActivities
from contracts.names import CALL_QUEUE, TASK_QUEUE, connector_call_id
from domain.account import commands as verbs
from runtime.clock_play import wait_for_clock
from runtime.temporal import connect
from sandbox.reference.stand_in import ReferenceStandIn
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.operations.clocked import FIRST, Clocked, instant
from tests.operations.delivered import Reader
from tests.operations.fulfilment.parcels import Fulfilment
from tests.workflows.clocked import clock_worker
from workflows.clock_starts import advance_clock
from workflows.connector_call import ConnectorCallWorkflow


@pytest.fixture
def reader(pg_server: PostgresForTests) -> Iterator[Reader]:
    """On a clock of her own name, for the workflows of the session's server are everybody's."""
    engine = make_engine(pg_server.fresh_database("delivered"))
    with ReferenceStandIn() as stand_in:
        yield Reader(Clocked(engine), Fulfilment(engine, stand_in), clock=f"clock-{uuid.uuid4()}")
    engine.dispose()


@asynccontextmanager
async def working(client: Client, reader: Reader) -> AsyncIterator[str]:
    calls = ConnectorActivities(reader.clocked.engine, reader.fulfilment.open)
    async with (
        Worker(client, task_queue=TASK_QUEUE, workflows=[ConnectorCallWorkflow]),
        Worker(client, task_queue=CALL_QUEUE, activities=calls.all()),
        clock_worker(client, reader.clocked.engine, reader.clocked.fulfilled_by) as queue,
    ):
        yield queue


async def test_three_months_of_issues_and_licences(temporal_address: str, reader: Reader) -> None:
    client = await connect(temporal_address, NAMESPACE)
    clocked, memory = reader.clocked, reader.fulfilment.stand_in.memory
    clocked.subscribe(reader.account, "ada main", "quarterdeck")
    async with working(client, reader) as queue:
        for day in ("2026-03-20", "2026-04-10"):
            await advance_clock(client, reader.clock.id, instant(day), queue=queue)
            await wait_for_clock(clocked.engine, reader.clock.id, instant(day), seconds=60)
            if day == "2026-03-20":
                cancel = verbs.Cancel(at=FIRST, do="cancel", subscription="ada main", when="now", to="refund")
                clocked.do(reader.account, cancel)
    issues = ("2026-01-15", "2026-02-01", "2026-02-15", "2026-03-01", "2026-03-15")
    assert reader.stands("shipping") == [
        ("order", "ended", "nothing", "ended"),
        *((day, "given", "given", "given") for day in issues),
    ]
    assert len(memory.rows["label"]) == len(issues)
    told = (
        "select request->>'until' from connector_call where method in ('drm.grant', 'drm.extend') order by id"
    )
    assert [until[:10] for (until,) in clocked.rows(told)] == [
        "2026-01-06",
        "2026-02-06",
        "2026-03-06",
        "2026-04-06",
    ]
    [licence] = memory.rows["licence"].values()
    assert licence["status"] == "revoked"
    assert clocked.rows("select count(*) from connector_call where status <> 'succeeded'") == [(0,)]


async def test_time_goes_on_without_a_system_that_is_away(
    temporal_address: str, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked again for as long as in life, and what it was asked for stands written down."""
    monkeypatch.setattr(test_clock, "ANSWER_SECONDS", 0.5)
    client = await connect(temporal_address, NAMESPACE)
    reader.fulfilment.stand_in.inject("unavailable", times=None)
    reader.clocked.subscribe(reader.account, "ada main", "quarterdeck")
    to = instant("2026-02-10")
    async with working(client, reader) as queue:
        await advance_clock(client, reader.clock.id, to, queue=queue)
        await wait_for_clock(reader.clocked.engine, reader.clock.id, to, seconds=60)
        for call in reader.clocked.rows("select connection, method, key from connector_call"):
            await client.get_workflow_handle(connector_call_id(*call)).terminate()
    assert [(day, outcome) for day, _, _, outcome in reader.stands("shipping")] == [
        ("order", "standing order"),
        ("2026-01-15", "asked"),
        ("2026-02-01", "asked"),
    ]
