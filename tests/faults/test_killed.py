"""Processes killed in the middle of a run: it goes on by itself, and the books are those of a quiet day."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from contracts.bill_run import BillRunResult, RunStatus
from tests.conftest import wait_until
from tests.faults.books import check_books, dump, settled
from tests.faults.conftest import (
    ACCOUNTS,
    Fleets,
    Runs,
    TemporalServer,
    Workers,
    died_by_sigkill,
    posting_held,
    until,
    until_under_way,
    waiting_for_locks,
)
from tests.faults.fleet import owing, selected

Books = list[str]


def check(url: str, result: BillRunResult, undisturbed: Books) -> None:
    """The run is complete, and as good as undisturbed."""
    assert result.status is RunStatus.COMPLETED
    assert (result.selected, result.invoices, result.parked) == (selected(ACCOUNTS), owing(ACCOUNTS), 0)
    assert result.invoices + result.nothing_due == result.selected
    check_books(url, invoices=owing(ACCOUNTS))
    assert dump(url) == undisturbed


def test_the_undisturbed_run_bills_the_whole_fleet(undisturbed: Books) -> None:
    assert sum(len(json.loads(line).get("invoices", [])) for line in undisturbed) == owing(ACCOUNTS)


POINTS = [
    ("after-rating", 3),
    ("after-copy", 3),
    ("after-commit", 3),
    ("between-chunks", 6),
    ("in-parent", 7),
]
MORE = [(point, count) for point, _ in POINTS for count in (1, 2, 9, 17, 26)]


@pytest.mark.parametrize(
    ("point", "count"), [*POINTS, *(pytest.param(*each, marks=pytest.mark.deep) for each in MORE)]
)
async def test_a_worker_killed_at(
    point: str, count: int, fleets: Fleets, workers: Workers, runs: Runs, tmp_path: Path, undisturbed: Books
) -> None:
    url = fleets.fresh()
    marker = tmp_path / "killed"
    spec = f"{point}:{count}:{marker}"
    first = workers.start(url, MASTHEAD_FAIL_POINT=spec)
    handle = await runs.start()
    await until("the worker has killed itself", lambda: died_by_sigkill(first))
    assert marker.exists()
    assert settled(url) < selected(ACCOUNTS)
    workers.start(url, MASTHEAD_FAIL_POINT=spec)
    check(url, await runs.result(handle), undisturbed)


async def test_a_killed_temporal_server(
    fleets: Fleets, workers: Workers, runs: Runs, temporal: TemporalServer, undisturbed: Books
) -> None:
    url = fleets.fresh()
    worker = workers.start(url)
    handle = await runs.start(concurrency=2, chunk_size=10)
    await until_under_way(url)
    with posting_held(url):
        await until("chunks wait to be posted", lambda: waiting_for_locks(url) > 0)
        temporal.kill()
    # Chunks under way now commit, and nobody hears of it.
    temporal.start()
    check(url, await runs.result(handle), undisturbed)
    assert worker.poll() is None


async def test_postgres_stopped_at_once(
    fleets: Fleets, workers: Workers, runs: Runs, undisturbed: Books
) -> None:
    url = fleets.fresh()
    postgres = fleets.server.server
    worker = workers.start(url)
    handle = await runs.start(concurrency=2, chunk_size=10)
    await until_under_way(url)
    with posting_held(url) as held:
        await until("chunks wait to be posted", lambda: waiting_for_locks(url) > 0)
        dead = postgres.ref
        assert dead is not None
        process = dead.process()
        assert process is not None
        process.send_signal(signal.SIGQUIT)
        wait_until("Postgres is gone", lambda: dead.process() is None)
        held.close()
    postgres.start()
    check(url, await runs.result(handle), undisturbed)
    assert worker.poll() is None
