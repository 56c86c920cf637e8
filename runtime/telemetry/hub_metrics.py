"""What the rows say, as gauges of the one process that exports them: the API.

They are read when somebody scrapes, and then not again for some seconds, however many scrape. Where the database does
not answer there are no gauges but `masthead_exporter_up`, which is 0: old figures would hide what happens.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Engine

from operations.metrics.backlog import BACKLOG
from operations.metrics.questions import Question, Sample, answered
from operations.metrics.recovery_gauges import RECOVERY_QUESTIONS, recovery_samples
from storage.database import transaction

log = logging.getLogger("masthead.telemetry")

BACKLOG_SECONDS = 10.0
RECOVERY_SECONDS = 300.0
RECOVERY_DAYS = 30
AFTER_A_FAILURE_SECONDS = 5.0
UP = "masthead_exporter_up"


class HubMetrics(Collector):
    """Gauges of the rows of one database."""

    def __init__(
        self,
        engine: Engine,
        *,
        backlog_seconds: float = BACKLOG_SECONDS,
        recovery_seconds: float = RECOVERY_SECONDS,
    ) -> None:
        self._backlog = _Kept(lambda: _read_backlog(engine), backlog_seconds)
        self._recovery = _Kept(lambda: _read_recovery(engine), recovery_seconds)

    def describe(self) -> Iterator[Metric]:
        """The gauges without values: nothing is read when this is registered."""
        yield from _families(BACKLOG + RECOVERY_QUESTIONS, ())

    def collect(self) -> Iterator[Metric]:
        """All gauges; those without a value have their names at least."""
        backlog, recovery = self._backlog.now(), self._recovery.now()
        up = GaugeMetricFamily(UP, "1: the gauges could be read from the database")
        up.add_metric([], float(backlog is not None and recovery is not None))
        yield up
        yield from _families(BACKLOG, backlog or ())
        yield from _families(RECOVERY_QUESTIONS, recovery or ())


class _Kept:
    """Samples, read anew when they are older than `seconds`; None while they cannot be read. One thread reads."""

    def __init__(self, read: Callable[[], Sequence[Sample]], seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._lock = threading.Lock()
        self._again_at = 0.0
        self._samples: Sequence[Sample] | None = None

    def now(self) -> Sequence[Sample] | None:
        with self._lock:
            if time.monotonic() >= self._again_at:
                pause = self._seconds
                try:
                    self._samples = self._read()
                except Exception as error:
                    log.warning("the gauges cannot be read: %s", type(error).__name__)
                    self._samples, pause = None, min(pause, AFTER_A_FAILURE_SECONDS)
                self._again_at = time.monotonic() + pause
            return self._samples


def _read_backlog(engine: Engine) -> list[Sample]:
    with transaction(engine) as connection:
        return list(answered(connection, BACKLOG))


def _read_recovery(engine: Engine) -> list[Sample]:
    until = datetime.now(UTC).date() + timedelta(days=1)
    with transaction(engine) as connection:
        return recovery_samples(connection, until - timedelta(days=RECOVERY_DAYS), until)


def _families(questions: Iterable[Question], samples: Iterable[Sample]) -> Iterator[Metric]:
    families = {
        measure.name: GaugeMetricFamily(measure.name, measure.says, labels=question.labels)
        for question in questions
        for measure in question.measures
    }
    for sample in samples:
        families[sample.measure.name].add_metric(sample.labels, sample.value)
    yield from families.values()
