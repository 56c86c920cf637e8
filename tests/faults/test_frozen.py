"""A worker that is frozen for longer than its heartbeat allows, and goes on after another has done its work: nothing is
posted twice, and what it still wants to commit is refused."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psutil
import psycopg
import pytest

from contracts.bill_run import RunStatus
from tests.faults.books import check_books, dump, value
from tests.faults.conftest import ACCOUNTS, Fleets, Runs, Workers, until
from tests.faults.fleet import LATER, owing, selected

# Frozen with nothing in the database; with a chunk copied and not committed, its locks held; after the commit that
# nobody has heard of.
POINTS = ("after-rating", "after-copy", "after-commit")
SESSION_ENDS_AFTER = "2s"  # ten minutes where it is not a test


def frozen(pid: int) -> bool:
    return psutil.Process(pid).status() == psutil.STATUS_STOPPED


@pytest.mark.deep
@pytest.mark.parametrize("point", POINTS)
async def test_a_worker_frozen_at(
    point: str, fleets: Fleets, workers: Workers, runs: Runs, tmp_path: Path, undisturbed: list[str]
) -> None:
    url = fleets.fresh()
    with psycopg.connect(url, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"alter database {name} set transaction_timeout = '{SESSION_ENDS_AFTER}'".encode())
    # One activity at once: it can do something else only when it is through with what it was frozen in.
    spec = f"frozen/{point}:3:{tmp_path / 'frozen'}"
    first = workers.start(url, MASTHEAD_FAIL_POINT=spec, MASTHEAD_WORKER_ACTIVITIES="1")
    handle = await runs.start(chunk_size=50)
    await until("the worker is frozen", lambda: frozen(first.pid))
    second = workers.start(url)
    result = await runs.result(handle)
    assert frozen(first.pid), "another was to do it meanwhile"
    assert (result.status, result.selected, result.parked) == (RunStatus.COMPLETED, selected(ACCOUNTS), 0)
    check_books(url, invoices=owing(ACCOUNTS))
    assert dump(url) == undisturbed
    second.kill()
    second.wait()

    os.kill(first.pid, signal.SIGCONT)
    again = await runs.result(await runs.start(as_of=LATER, chunk_size=50))
    assert again.status is RunStatus.COMPLETED
    assert first.poll() is None, "it has gone on"
    late, early = (
        value(url, f"select count(*) from invoice where issued_on {than} %s", LATER) for than in ("=", "<")
    )
    assert early == owing(ACCOUNTS), "its late commit was taken"
    check_books(url, invoices=early + late)
    if point == "after-copy":  # Postgres had ended its session, and with it its transaction
        assert "terminating connection due to transaction timeout" in fleets.server.server.log.read_text()
