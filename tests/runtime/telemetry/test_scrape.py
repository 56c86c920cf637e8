"""What a running worker and a running API let those see who watch them."""

from __future__ import annotations

import asyncio
import json
import re
from uuid import uuid4

import psycopg

from contracts.names import TASK_QUEUE
from runtime.temporal import connect
from tests.conftest import wait_until
from tests.deploy.monitoring import OF_PROMETHEUS, exported, expressions, metrics_of
from tests.names import NAMESPACE
from tests.runtime.conftest import get
from tests.runtime.telemetry.conftest import Hub


def value(text: str, name: str) -> float:
    """The value of the series `name`, written with its labels."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    assert found, f"{name} in\n{text}"
    return float(found[1])


def test_each_process_tells_of_itself_and_of_temporals_library(hub: Hub) -> None:
    worker, api = hub.worker.metrics(), hub.api.metrics()
    for text in (worker, api):
        assert value(text, "process_open_fds") > 0
        assert "\ntemporal_request_latency_seconds_bucket{" in text
    assert 'temporal_num_pollers{namespace="masthead",poller_type="workflow_task"' in worker
    assert "masthead_connector_requests_total" in worker


def test_alerts_and_dashboard_name_what_is_exported(hub: Hub, temporal_address: str) -> None:
    async def nobody_can_go_on() -> None:
        client = await connect(temporal_address, NAMESPACE)
        handle = await client.start_workflow("NoSuchWorkflow", id=f"none/{uuid4()}", task_queue=TASK_QUEUE)
        try:
            # Temporal's library tells of a failure only once there is one.
            failed = "temporal_workflow_task_execution_failed_total"
            await asyncio.to_thread(wait_until, "it fails", lambda: failed in hub.worker.metrics())
        finally:
            await handle.terminate()

    asyncio.run(nobody_can_go_on())
    there = exported(hub.worker.metrics(), hub.api.metrics()) | OF_PROMETHEUS
    named = {name: where for where, expression in expressions() for name in metrics_of(expression)}
    assert len(named) > 30
    assert {name: where for name, where in named.items() if name not in there} == {}


def test_lines_of_both_are_json_and_the_library_writes_there_too(hub: Hub) -> None:
    for part in (hub.worker, hub.api):
        assert all({"timestamp", "level", "logger", "event"} <= line.keys() for line in part.lines)
    loggers = {line["logger"] for line in hub.worker.lines}
    assert {"masthead.worker", "masthead.telemetry", "temporalio.core"} <= loggers
    assert any(
        "NoSuchWorkflow" in line["event"] or "NoSuchWorkflow" in str(line) for line in hub.worker.lines
    )
    assert "uvicorn.error" in {line["logger"] for line in hub.api.lines}


def test_the_rows_are_told_of_by_one_process(hub: Hub) -> None:
    assert value(hub.api.metrics(), "masthead_exporter_up") == 1
    assert "masthead_exporter_up" not in hub.worker.metrics()
    assert value(hub.api.metrics(), 'masthead_run_open_seconds{kind="bill"}') == 0


def test_requests_are_counted(hub: Hub) -> None:
    name = 'masthead_api_request_seconds_count{status="4xx"}'
    before = value(hub.api.metrics(), name)
    assert get(f"{hub.api_url}/v1/accounts")[0] == 401
    # It is counted once it is answered, so that the caller may know of it first.
    wait_until("it is counted", lambda: value(hub.api.metrics(), name) == before + 1)


def test_metrics_are_not_where_the_public_api_is(hub: Hub) -> None:
    assert get(f"{hub.api_url}/metrics")[0] == 404


def test_live_and_ready_are_on_both_addresses_of_the_api(hub: Hub) -> None:
    for url in (hub.api_url, hub.api.endpoint):
        assert get(f"{url}/health/live") == (200, '{"status":"live"}')
        assert json.loads(get(f"{url}/health/ready")[1])["status"] == "ready"
    assert get(f"{hub.worker.endpoint}/health/live")[0] == 200
    assert get(f"{hub.worker.endpoint}/anything")[0] == 404


def test_a_database_of_another_schema_is_a_reason_not_to_be_ready(hub: Hub) -> None:
    with psycopg.connect(hub.database_url, autocommit=True) as connection:
        row = connection.execute("select version_num from alembic_version").fetchone()
        assert row
        connection.execute("update alembic_version set version_num = '0001'")
        try:
            told = [part.ready() for part in (hub.worker, hub.api)]
            told.append(
                (lambda answer: (answer[0], json.loads(answer[1])))(get(f"{hub.api_url}/health/ready"))
            )
        finally:
            connection.execute("update alembic_version set version_num = %s", row)
    for status, body in told:
        assert status == 503
        assert body["checks"] == {**body["checks"], "database": False, "temporal": True}
        assert "at migration 0001" in body["reasons"][0]
        assert "masthead migrate" in body["reasons"][0]
    assert hub.worker.ready()[0] == 200
