"""The sweep on a real server, started by a Schedule, whose sweeps go on where the last one ended."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleHandle,
    ScheduleSpec,
)
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.subscription import Episodes, SweepActivities
from contracts.names import subscription_id as workflow_id
from contracts.sweep import SweepRequest, SweepResult
from runtime.temporal import connect
from storage.database import make_engine
from tests.conftest import NAMESPACE, PostgresForTests
from tests.subscribers import add_subscription
from workflows.sweep import SweepWorkflow

DAY = timedelta(days=1)


class Sweeps:
    """A Schedule of a test's own over a database of its own. Nobody polls the queue of the episodes that it opens."""

    def __init__(self, client: Client, url: str, schedule: ScheduleHandle) -> None:
        self.client = client
        self.url = url
        self.schedule = schedule
        self.opened: set[str] = set()

    def add(self, days: float | None, **columns: object) -> str:
        """A subscription with its next date so many days from now."""
        due = None if days is None else datetime.now(UTC) + days * DAY
        with psycopg.connect(self.url) as connection:
            return add_subscription(connection, next_due=due, **columns)  # type: ignore[arg-type]

    async def sweep(self) -> SweepResult:
        """Let the Schedule start one, and wait for its end."""
        before = (await self.schedule.describe()).info.num_actions
        await self.schedule.trigger()
        async with asyncio.timeout(20):
            while True:
                info = (await self.schedule.describe()).info
                if info.num_actions > before and info.recent_actions and not info.running_actions:
                    break
                await asyncio.sleep(0.05)
        action = info.recent_actions[-1].action
        assert isinstance(action, ScheduleActionExecutionStartWorkflow)
        handle = self.client.get_workflow_handle(action.workflow_id, result_type=SweepResult)
        result: SweepResult = await handle.result()
        return result

    async def signals(self, subscription: str) -> int:
        """How many signals the subscription's episode was sent; -1 when there is none."""
        try:
            history = await self.client.get_workflow_handle(workflow_id(subscription)).fetch_history()
        except RPCError:
            return -1
        kind = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
        return sum(event.event_type == kind for event in history.events)


@pytest.fixture(params=[SweepRequest()])
async def sweeps(
    request: pytest.FixtureRequest, temporal_address: str, pg_server: PostgresForTests
) -> AsyncIterator[Sweeps]:
    client = await connect(temporal_address, NAMESPACE)
    url = pg_server.fresh_database("sweep")
    engine = make_engine(url)
    queue = f"sweep-{uuid.uuid4()}"
    episodes = Episodes(client, f"nobody-{uuid.uuid4()}")
    schedule = await client.create_schedule(
        f"test/{queue}",
        Schedule(
            action=ScheduleActionStartWorkflow(
                SweepWorkflow.run, request.param, id=f"sweep/{queue}", task_queue=queue
            ),
            spec=ScheduleSpec(),
        ),
    )
    async with Worker(
        client,
        task_queue=queue,
        workflows=[SweepWorkflow],
        activities=SweepActivities(engine, episodes).all(),
    ):
        yield Sweeps(client, url, schedule)
    await schedule.delete()
    engine.dispose()


async def test_what_comes_near_is_opened_once_and_what_is_overdue_is_signalled(sweeps: Sweeps) -> None:
    near = [sweeps.add(days) for days in (1, 20, 34.9)]
    left_alone = [sweeps.add(36), sweeps.add(None), sweeps.add(5, mode="test"), sweeps.add(-5, mode="test")]
    overdue = sweeps.add(-1)
    first = await sweeps.sweep()
    assert (first.overdue, first.opened, first.caught_up) == (1, 4, True)
    assert [await sweeps.signals(each) for each in near] == [0, 0, 0]
    assert [await sweeps.signals(each) for each in left_alone] == [-1] * 4
    assert await sweeps.signals(overdue) == 1

    later = sweeps.add(34.95)
    second = await sweeps.sweep()
    assert (second.overdue, second.opened) == (1, 1)
    assert await sweeps.signals(later) == 0
    assert [await sweeps.signals(each) for each in near] == [0, 0, 0]
    assert await sweeps.signals(overdue) == 2
    assert second.pass_started_at == first.pass_started_at


@pytest.mark.parametrize("sweeps", [SweepRequest(at_most=4)], indirect=True)
async def test_a_large_number_is_spread_over_several_sweeps(sweeps: Sweeps) -> None:
    waiting = [sweeps.add(1 + place) for place in range(10)]
    results = [await sweeps.sweep() for _ in range(4)]
    assert [(result.opened, result.caught_up) for result in results] == [
        (4, False),
        (4, False),
        (2, True),
        (0, True),
    ]
    assert [await sweeps.signals(each) for each in waiting] == [0] * 10


@pytest.mark.parametrize("sweeps", [SweepRequest(at_most=4)], indirect=True)
async def test_what_stays_overdue_does_not_keep_the_rest_from_being_opened(sweeps: Sweeps) -> None:
    for _ in range(9):
        sweeps.add(-1)
    near = sweeps.add(3)
    for _ in range(5):
        result = await sweeps.sweep()
        assert (result.overdue, result.opened <= 2) == (2, True)
    assert await sweeps.signals(near) == 0


@pytest.mark.parametrize("sweeps", [SweepRequest(full_pass_hours=1e-9)], indirect=True)
async def test_a_full_pass_finds_an_episode_that_somebody_ended(sweeps: Sweeps) -> None:
    subscription = sweeps.add(10)
    first = await sweeps.sweep()
    handle = sweeps.client.get_workflow_handle(workflow_id(subscription))
    ended = (await handle.describe()).run_id
    await handle.terminate()
    second = await sweeps.sweep()
    assert second.pass_started_at > first.pass_started_at
    assert (await handle.describe()).run_id != ended


@pytest.mark.parametrize("sweeps", [SweepRequest(rate_per_second=10)], indirect=True)
async def test_it_keeps_to_its_rate(sweeps: Sweeps) -> None:
    for place in range(11):
        sweeps.add(1 + place)
    began = asyncio.get_running_loop().time()
    assert (await sweeps.sweep()).opened == 11
    assert asyncio.get_running_loop().time() - began >= 1
