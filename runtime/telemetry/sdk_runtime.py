"""Temporal's core library: its log lines into ours, and its metrics where our scrape can read them.

The core serves metrics on an address of its own only. It gets a free one on the loopback interface, and the process's
one endpoint hands on what it says there; it holds counts and durations, no ids.
"""

from __future__ import annotations

import logging
import urllib.error
import urllib.request
from dataclasses import dataclass

from temporalio.runtime import (
    LogForwardingConfig,
    LoggingConfig,
    PrometheusConfig,
    Runtime,
    TelemetryConfig,
    TelemetryFilter,
)

from runtime.stack.ports import LOOPBACK, choose_port

PORT_ATTEMPTS = 5
ANSWER_WITHIN_SECONDS = 2.0
CORE_LOG = logging.getLogger("temporalio.core")


@dataclass(frozen=True)
class SdkRuntime:
    """The runtime that clients are connected with, and where it tells its metrics (None: it counts nothing)."""

    runtime: Runtime
    metrics_port: int | None

    def exposition(self) -> bytes:
        """The core's metrics in Prometheus' text format; empty where it does not answer."""
        if self.metrics_port is None:
            return b""
        try:
            url = f"http://{LOOPBACK}:{self.metrics_port}/metrics"
            with urllib.request.urlopen(url, timeout=ANSWER_WITHIN_SECONDS) as answer:
                return bytes(answer.read())
        except (OSError, urllib.error.URLError):
            return b""


def sdk_runtime(*, metrics: bool) -> SdkRuntime:
    """A runtime whose log lines go to the logger `temporalio.core`, and which counts when `metrics`.

    Raises RuntimeError where no port of the loopback interface is to be had.
    """
    if not metrics:
        return SdkRuntime(Runtime(telemetry=TelemetryConfig(logging=_logging())), None)
    for attempt in range(1, PORT_ATTEMPTS + 1):
        port = choose_port(0)
        counted = PrometheusConfig(
            bind_address=f"{LOOPBACK}:{port}",
            counters_total_suffix=True,
            unit_suffix=True,
            durations_as_seconds=True,
        )
        try:
            telemetry = TelemetryConfig(logging=_logging(), metrics=counted)
            return SdkRuntime(Runtime(telemetry=telemetry), port)
        except (RuntimeError, ValueError):
            # Between our choice of a port and its use somebody took it.
            if attempt == PORT_ATTEMPTS:
                raise
    raise AssertionError("the last attempt returns or raises")


def _logging() -> LoggingConfig:
    return LoggingConfig(
        filter=TelemetryFilter(core_level="WARN", other_level="ERROR"),
        forwarding=LogForwardingConfig(logger=CORE_LOG, append_target_to_name=False),
    )
