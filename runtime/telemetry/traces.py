"""Traces: spans of requests to the API, of workflows and activities, and of requests to other systems, sent by OTLP.

Off unless MASTHEAD_TRACES_ENDPOINT is set: then OpenTelemetry's SDK is not even loaded. A span holds names, ids and how
it ended; no bodies, no paths, no queries, no header.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from connectors.sdk.ports import RequestEntry

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer
    from temporalio.client import Interceptor

_MILLION = 1_000_000
_current: Tracer | None = None


def tracer() -> Tracer | None:
    """What spans are made with; None while nobody wants traces."""
    return _current


@contextmanager
def tracing(part: str, endpoint: str, exporter: SpanExporter | None = None) -> Iterator[list[Interceptor]]:
    """Traces of this process, `part` of the hub, until the end; what is left is sent then. Gives the interceptors of
    Temporal clients. exporter: in place of one that sends to `endpoint`."""
    global _current
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from temporalio.contrib.opentelemetry import TracingInterceptor

    provider = TracerProvider(resource=Resource.create({"service.name": f"masthead-{part}"}))
    provider.add_span_processor(BatchSpanProcessor(exporter or OTLPSpanExporter(endpoint=endpoint)))
    _current = provider.get_tracer("masthead")
    try:
        yield [TracingInterceptor(_current)]
    finally:
        _current = None
        provider.shutdown()


def note_request(entry: RequestEntry) -> None:
    """A span of a request to another system that has ended. Its URL has the path's template, and no query."""
    if _current is None:
        return
    from opentelemetry.trace import SpanKind, Status, StatusCode

    start = int(entry.at.timestamp() * 1000) * _MILLION
    span = _current.start_span(
        f"{entry.method} {entry.connection}",
        kind=SpanKind.CLIENT,
        start_time=start,
        attributes={
            "masthead.connection": entry.connection,
            "masthead.outcome": entry.outcome,
            "masthead.tries": entry.tries,
            "http.request.method": entry.method,
            "url.template": entry.url,
        },
    )
    if not entry.outcome.isdigit():
        span.set_status(Status(StatusCode.ERROR, entry.outcome))
    span.end(start + entry.milliseconds * _MILLION)
