"""Requests to other systems, counted and traced where they are written down: after the fact, redacted."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

from connectors.sdk.ports import RequestEntry, RequestLog
from runtime.telemetry import traces

REQUESTS = Counter(
    "masthead_connector_requests_total",
    "requests to other systems by connection and how they ended: an HTTP status, or a kind of error",
    ["connection", "outcome"],
)
SECONDS = Histogram(
    "masthead_connector_request_seconds",
    "how long requests to other systems took, tries together",
    ["connection"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 90.0),
)


class ObservedRequests:
    """The port RequestLog before another one that keeps the entries."""

    def __init__(self, kept: RequestLog) -> None:
        self._kept = kept

    async def record(self, entry: RequestEntry) -> None:
        """Count the entry, and hand it on."""
        REQUESTS.labels(entry.connection, entry.outcome).inc()
        SECONDS.labels(entry.connection).observe(entry.milliseconds / 1000)
        traces.note_request(entry)
        await self._kept.record(entry)
