"""Spans of requests, workflows, activities and requests to other systems; nothing at all of it while nobody asks."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from uuid import uuid4

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from temporalio import activity
from temporalio.worker import Worker

from connectors.sdk.memory import MemoryLog
from connectors.sdk.ports import RequestEntry
from runtime.telemetry.requests import ObservedRequests
from runtime.telemetry.traces import tracer, tracing
from runtime.temporal import connect
from tests.api.served import client_for
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.runtime.conftest import CHECKOUT
from tests.runtime.telemetry.logging_workflow import Logging

TRACE = "0af7651916cd43dd8448eb211c80319c"


def entry(outcome: str) -> RequestEntry:
    """A request of 120 ms to a system called crm."""
    return RequestEntry(
        connection="crm",
        at=datetime(2026, 11, 29, 12, tzinfo=UTC),
        method="POST",
        url="https://crm.example/contacts/{id}",
        outcome=outcome,
        milliseconds=120,
        tries=1,
        trace=None,
        request="{}",
        answer="{}",
    )


def by_name(exporter: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    """The spans that were sent."""
    return {span.name: span for span in exporter.get_finished_spans()}


async def test_a_workflow_and_what_it_calls_are_one_trace(temporal_address: str) -> None:
    kept, exporter = MemoryLog(), InMemorySpanExporter()

    @activity.defn(name="logs")
    async def calls() -> None:
        await ObservedRequests(kept).record(entry("200"))

    with tracing("worker", "http://127.0.0.1:1", exporter) as interceptors:
        client = await connect(temporal_address, NAMESPACE, interceptors=interceptors)
        queue = f"traces-{uuid4()}"
        with ThreadPoolExecutor(1) as executor:
            async with Worker(
                client, task_queue=queue, workflows=[Logging], activities=[calls], activity_executor=executor
            ):
                await client.execute_workflow(Logging.run, id=f"traces/{uuid4()}", task_queue=queue)
    assert tracer() is None
    spans = by_name(exporter)
    assert {"StartWorkflow:Logging", "RunWorkflow:Logging", "RunActivity:logs", "POST crm"} <= spans.keys()
    assert len({span.context.trace_id for span in spans.values()}) == 1
    request, parent = spans["POST crm"], spans["RunActivity:logs"]
    assert request.parent is not None
    assert request.parent.span_id == parent.context.span_id
    assert request.kind is SpanKind.CLIENT
    assert (request.end_time or 0) - (request.start_time or 0) == 120_000_000
    assert request.attributes is not None
    assert request.attributes["url.template"] == "https://crm.example/contacts/{id}"
    assert len(kept.entries) == 1


async def test_a_request_that_failed_is_an_error() -> None:
    exporter = InMemorySpanExporter()
    with tracing("worker", "http://127.0.0.1:1", exporter):
        await ObservedRequests(MemoryLog()).record(entry("transient"))
    assert by_name(exporter)["POST crm"].status.status_code is StatusCode.ERROR


def test_a_request_to_the_api_is_a_span_of_its_callers_trace(
    pg_server: PostgresForTests, tmp_path: Path
) -> None:
    exporter = InMemorySpanExporter()
    url = pg_server.fresh_database("traces")
    caller = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    with tracing("api", "http://127.0.0.1:1", exporter), client_for(url, tmp_path) as client:
        client.get("/health/live", headers=caller)
        client.get("/v1/accounts/annabella@kund.example")
    spans = by_name(exporter)
    span = spans["GET /health/live"]
    assert f"{span.context.trace_id:032x}" == TRACE
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == 200
    assert "annabella" not in "".join(map(str, [each.to_json() for each in spans.values()]))
    # Once tracing has ended there are no more.
    with client_for(url, tmp_path) as client:
        client.get("/health/live")
    assert len(exporter.get_finished_spans()) == 2


class _Collector(BaseHTTPRequestHandler):
    got: list[tuple[str, bytes]]

    def do_POST(self) -> None:
        self.got.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """A collector of spans: its address, and what came."""
    got: list[tuple[str, bytes]] = []
    server = HTTPServer(("127.0.0.1", 0), type("Handler", (_Collector,), {"got": got}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1/traces", got
    server.shutdown()
    server.server_close()
    thread.join()


def test_spans_are_sent_by_otlp(collector: tuple[str, list[tuple[str, bytes]]]) -> None:
    endpoint, got = collector
    with tracing("api", endpoint):
        asyncio.run(ObservedRequests(MemoryLog()).record(entry("200")))
    ((path, body),) = got
    assert path == "/v1/traces"
    assert b"POST crm" in body
    assert b"masthead-api" in body


def test_nothing_of_it_is_loaded_where_nobody_asks() -> None:
    seen = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, worker, runtime.serve_api; "
            "print([name for name in sys.modules if name.startswith(('opentelemetry.sdk', 'opentelemetry.exporter'))])",
        ],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert seen.stdout.strip() == "[]", seen.stderr
