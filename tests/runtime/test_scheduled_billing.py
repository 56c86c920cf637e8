"""Three zones that are on one day for an hour or two of it at most: the real Schedule bills each account by its own
local date, a dated run all of them by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine
from temporalio.client import Client, ScheduleActionExecutionStartWorkflow
from temporalio.worker import Worker

from activities.bill_run import BillRunActivities
from bench.fleet import build_fleet
from contracts.bill_run import BillRunRequest, BillRunResult, RunStatus
from contracts.names import BILL_RUN_SCHEDULE, SWEEP_SCHEDULE, TASK_QUEUE
from runtime.schedules import ensure_schedules
from runtime.temporal import connect
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from workflows.bill_run import BillRunWorkflow
from workflows.starts import start_bill_run

ZONES = ("Pacific/Auckland", "UTC", "Pacific/Honolulu")
DAY = timedelta(days=1)


class Bill(NamedTuple):
    """An account's zone, the day on which it was due, and that of its invoice."""

    zone: str
    due: date
    issued_on: date


@pytest.fixture
def engine(pg_server: PostgresForTests) -> Iterator[Engine]:
    made = make_engine(pg_server.fresh_database("zones"))
    yield made
    made.dispose()


@pytest.fixture
async def client(temporal_address: str, engine: Engine) -> AsyncIterator[Client]:
    """A client beside a worker that bills."""
    connected = await connect(temporal_address, NAMESPACE)
    with ThreadPoolExecutor(4) as threads:
        async with Worker(
            connected,
            task_queue=TASK_QUEUE,
            workflows=[BillRunWorkflow],
            activities=BillRunActivities(engine).all(),
            activity_executor=threads,
        ):
            yield connected


def due_on(engine: Engine, days: list[date]) -> None:
    """An account that falls due on each of `days`, in each of the zones."""
    build_fleet(engine, len(ZONES) * len(days))
    with transaction(engine) as connection:
        for no, (zone, day) in enumerate([(zone, day) for zone in ZONES for day in days], 1):
            key = f"bench-{no:09}"
            connection.execute("update account set time_zone = %s where external_key = %s", (zone, key))
            connection.execute(
                "update subscription set anchor_on = %(day)s, anchor_day = %(no)s, opening_on = %(day)s,"
                " charged_through = %(day)s, arrears_through = %(day)s, next_bill_on = %(day)s"
                " where external_key = %(key)s",
                {"day": day, "no": day.day, "key": key},
            )


def billed(engine: Engine) -> set[Bill]:
    with transaction(engine) as connection:
        rows = connection.execute(
            "select a.time_zone, s.opening_on, i.issued_on from invoice i join account a on a.id = i.account_id"
            " join subscription s on s.account_id = a.id"
        ).fetchall()
    assert len(rows) == len(set(rows))
    return {Bill(*row) for row in rows}


async def scheduled(client: Client) -> BillRunResult:
    """What the Schedule's run came to, triggered now."""
    await ensure_schedules(client)
    schedule = client.get_schedule_handle(BILL_RUN_SCHEDULE)
    try:
        await schedule.trigger()
        async with asyncio.timeout(30):
            while not (actions := (await schedule.describe()).info.recent_actions):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            started = actions[-1].action
            assert isinstance(started, ScheduleActionExecutionStartWorkflow)
            handle = client.get_workflow_handle(started.workflow_id, result_type=BillRunResult)
            return await handle.result()
    finally:
        for name in (SWEEP_SCHEDULE, BILL_RUN_SCHEDULE):
            await client.get_schedule_handle(name).delete()


async def test_the_schedule_bills_those_whose_local_day_has_come(client: Client, engine: Engine) -> None:
    """Whatever time it is, each zone has accounts that are due by its own date and others that are not."""
    today = datetime.now(UTC).date()
    days = [today + no * DAY for no in range(-1, 3)]
    due_on(engine, days)
    result = await scheduled(client)
    instant = datetime.fromisoformat(result.target)
    assert abs(datetime.now(UTC) - instant) < timedelta(minutes=1)
    local = {zone: instant.astimezone(ZoneInfo(zone)).date() for zone in ZONES}
    expected = {Bill(zone, day, local[zone]) for zone in ZONES for day in days if day <= local[zone]}
    assert billed(engine) == expected
    assert (result.status, result.invoices, result.selected) == (
        RunStatus.COMPLETED,
        len(expected),
        len(expected),
    )


async def test_a_dated_run_bills_every_zone_by_its_date(client: Client, engine: Engine) -> None:
    day = datetime.now(UTC).date()
    due_on(engine, [day - DAY, day, day + DAY])
    result = await (await start_bill_run(client, BillRunRequest(as_of=day))).result()
    assert (result.status, result.invoices) == (RunStatus.COMPLETED, 6)
    assert billed(engine) == {Bill(zone, due, day) for zone in ZONES for due in (day - DAY, day)}
