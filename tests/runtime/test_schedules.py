"""The Schedules: created once by however many, and operated from the command line."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from temporalio.client import (
    Client,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleOverlapPolicy,
)

from contracts.bill_run import BillRunRequest
from contracts.names import BILL_RUN_SCHEDULE, SWEEP_SCHEDULE, parse_bill_run_id
from runtime.schedules import ensure_schedules, list_schedules
from runtime.temporal import connect
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
async def client(temporal_address: str) -> AsyncIterator[Client]:
    connected = await connect(temporal_address, NAMESPACE)
    await asyncio.gather(*(ensure_schedules(connected) for _ in range(4)))
    yield connected
    for schedule in (SWEEP_SCHEDULE, BILL_RUN_SCHEDULE):
        await connected.get_schedule_handle(schedule).delete()


@pytest.fixture
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("schedules")


async def masthead(address: str, url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one command against the servers of the tests."""
    env = os.environ | {
        "DATABASE_URL": url,
        "TEMPORAL_ADDRESS": address,
        "TEMPORAL_NAMESPACE": NAMESPACE,
        "PYTHONPATH": str(CHECKOUT),
    }
    command = [sys.executable, "-m", "runtime.cli.app", "schedules", *arguments]
    return await asyncio.to_thread(
        subprocess.run, command, env=env, cwd=CHECKOUT, capture_output=True, text=True, timeout=60
    )


async def test_the_sweep_runs_and_the_bill_run_waits_to_be_resumed(client: Client) -> None:
    sweep, bill_run, *_ = await list_schedules(client)
    assert (sweep.name, sweep.paused, sweep.every_seconds) == ("sweep", False, 60)
    assert (bill_run.name, bill_run.paused, bill_run.every_seconds) == ("bill-run", True, 3600)
    assert "masthead schedules resume bill-run" in bill_run.note


async def test_a_scheduled_run_bills_up_to_its_own_start_and_never_overlaps(client: Client) -> None:
    schedule = (await client.get_schedule_handle(BILL_RUN_SCHEDULE).describe()).schedule
    assert schedule.policy.overlap is ScheduleOverlapPolicy.SKIP
    action = schedule.action
    assert isinstance(action, ScheduleActionStartWorkflow)
    assert (action.workflow, action.id) == ("BillRun", "bill-run/scheduled")
    payload: Any = action.args[0]
    (request,) = await client.data_converter.decode([payload], [BillRunRequest])
    assert (request.as_of, request.instant, request.preview, request.scope) == (None, None, False, "all")


async def test_the_id_of_a_run_that_the_schedule_started_is_read_back(client: Client) -> None:
    schedule = client.get_schedule_handle(BILL_RUN_SCHEDULE)
    await schedule.trigger()
    async with asyncio.timeout(20):
        while True:
            if actions := (await schedule.describe()).info.recent_actions:
                break
            await asyncio.sleep(0.05)
    started = actions[-1].action
    assert isinstance(started, ScheduleActionExecutionStartWorkflow)
    await client.get_workflow_handle(started.workflow_id).terminate()
    scope, target = parse_bill_run_id(started.workflow_id)
    assert scope == "all"
    assert abs(datetime.fromisoformat(target) - actions[-1].scheduled_at) < timedelta(seconds=1)


async def test_what_an_operator_changed_is_kept_when_a_worker_starts(client: Client) -> None:
    await client.get_schedule_handle(SWEEP_SCHEDULE).pause(note="maintenance")
    await ensure_schedules(client)
    sweep, *_ = await list_schedules(client)
    assert (sweep.paused, sweep.note) == (True, "maintenance")


async def test_resume_and_pause_from_the_command_line(
    client: Client, temporal_address: str, url: str
) -> None:
    resumed = await masthead(temporal_address, url, "resume", "bill-run", "--reason", "we go live", "--json")
    assert resumed.returncode == 0, resumed.stderr
    view = json.loads(resumed.stdout)
    assert (view["paused"], view["next_run"] is not None) == (False, True)
    paused = await masthead(temporal_address, url, "pause", "bill-run", "--reason", "audit", "--json")
    assert json.loads(paused.stdout)["paused"] is True
    listed = await masthead(temporal_address, url, "list", "--json")
    assert [(each["name"], each["paused"]) for each in json.loads(listed.stdout)] == [
        ("sweep", False),
        ("bill-run", True),
        ("payment-run", True),
        ("dunning", True),
    ]
    assert "audit" in json.loads(listed.stdout)[1]["note"]
    with psycopg.connect(url) as connection:
        actions = connection.execute("select action, subject, reason from audit order by at").fetchall()
    assert actions == [
        ("resume", BILL_RUN_SCHEDULE, "we go live"),
        ("pause", BILL_RUN_SCHEDULE, "audit"),
    ]


async def test_an_unknown_name_is_refused_with_the_known_ones(temporal_address: str, url: str) -> None:
    refused = await masthead(temporal_address, url, "pause", "payroll")
    assert refused.returncode == 2
    assert "sweep, bill-run" in refused.stderr
