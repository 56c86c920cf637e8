"""The sweep on a real server, started by a Schedule, whose sweeps go on where the last one ended."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

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

from activities.renewals import RenewalActivities
from activities.subscription import Episodes, SweepActivities
from contracts.names import subscription_id as workflow_id
from contracts.sweep import SweepRequest, SweepResult
from runtime.temporal import connect
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.subscribers import add_subscription, change_dates
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
    with ThreadPoolExecutor(2) as threads:
        async with Worker(
            client,
            task_queue=queue,
            workflows=[SweepWorkflow],
            activities=[*SweepActivities(engine, episodes).all(), *RenewalActivities(engine).all()],
            activity_executor=threads,
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


class Renewals:
    """Quiet subscriptions that renew one day, and who was told of it."""

    def __init__(self, sweeps: Sweeps) -> None:
        self.sweeps = sweeps
        self.today = datetime.now(ZoneInfo("America/New_York")).date()

    def add(self, days: int, unit: str = "year", **columns: object) -> str:
        found = self.sweeps.add(None)
        renews_on = self.today + days * DAY
        change_dates(self.sweeps.url, found, interval_unit=unit, charged_through=renews_on, **columns)
        return found

    def told(self) -> list[str]:
        with psycopg.connect(self.sweeps.url) as connection:
            return [
                str(row[0])
                for row in connection.execute(
                    "select subscription_id from event_log e join follow_up f on f.subscription_id = e.subject_id"
                    " and f.key = 'renewal-notice/' || (f.about->>'renews_on') and f.outcome is not null"
                    " where e.kind = 'notice.renewal-notice' order by 1"
                )
            ]


@pytest.mark.parametrize("sweeps", [SweepRequest(full_pass_hours=1e-9)], indirect=True)
async def test_payers_of_quiet_yearly_subscriptions_are_told_once_that_they_renew(sweeps: Sweeps) -> None:
    renewals = Renewals(sweeps)
    soon = sorted([renewals.add(10), renewals.add(30), renewals.add(5, "month", interval_count=12)])
    for quiet in (renewals.add(31), renewals.add(0), renewals.add(10, "month")):
        assert quiet not in soon
    renewals.add(10, ends_on=renewals.today + 10 * DAY)
    renewals.add(10, status="paused")
    assert [(await sweeps.sweep()).told, renewals.told()] == [3, soon]
    assert [(await sweeps.sweep()).told, renewals.told()] == [0, soon]
    assert [await sweeps.signals(each) for each in soon] == [-1] * 3  # which takes no workflow


@pytest.mark.parametrize("sweeps", [SweepRequest(at_most=2)], indirect=True)
async def test_many_renewals_are_told_over_several_sweeps_and_then_not_before_the_next_day(
    sweeps: Sweeps,
) -> None:
    renewals = Renewals(sweeps)
    soon = sorted(renewals.add(10) for _ in range(5))
    assert [(await sweeps.sweep()).told for _ in range(3)] == [2, 2, 1]
    assert renewals.told() == soon
    renewals.add(10)
    assert (await sweeps.sweep()).told == 0


async def test_an_account_that_cannot_be_read_is_parked_and_the_others_are_told(sweeps: Sweeps) -> None:
    renewals = Renewals(sweeps)
    soon = sorted(renewals.add(10) for _ in range(3))
    with psycopg.connect(sweeps.url) as connection:
        connection.execute("insert into subscription_history values (%s, %s)", (soon[0], '{"pauses": "x"}'))
    assert (await sweeps.sweep()).told == 3
    assert renewals.told() == soon[1:]
    with psycopg.connect(sweeps.url) as connection:
        parked = connection.execute("select trace_key from parked where kind = 'follow-up'").fetchall()
    assert parked == [(workflow_id(soon[0]),)]
