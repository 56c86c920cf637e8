"""A whole stack under its supervisor: worker, Temporal and Postgres are killed in one run, and nobody helps."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from contracts.bill_run import RunStatus
from runtime.stack.state import ProcessRef
from runtime.temporal import connect
from storage.database import make_engine
from tests.faults.books import check_books, dump, settled
from tests.faults.conftest import ACCOUNTS, Runs, posting_held, until, until_under_way, waiting_for_locks
from tests.faults.fleet import build_fleet, owing, selected
from tests.runtime.conftest import Up, environment


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Up]:
    up = Up(environment(tmp_path / "home"))
    try:
        yield up
    finally:
        if up.process.poll() is None:
            up.stop(signal.SIGTERM)


async def kill_and_await(up: Up, name: str, number: signal.Signals) -> None:
    """Kill a part of the stack and wait until the supervisor has brought it back."""
    before = up.pid(name)
    dead = ProcessRef.of(name, before)
    assert dead is not None
    os.kill(before, number)
    await until(f"{name} is gone", lambda: dead.process() is None)
    await until(
        f"{name} is back",
        lambda: any(child.name == name and child.pid != before for child in up.state.children) and up.ready,
    )


@pytest.mark.deep
async def test_a_run_outlives_its_worker_its_temporal_and_its_postgres(
    stack: Up, undisturbed: list[str]
) -> None:
    url, address = stack.state.database_url, stack.state.temporal_address
    assert url is not None
    assert address is not None
    engine = make_engine(url)
    build_fleet(engine, ACCOUNTS)
    engine.dispose()
    runs = Runs(await connect(address, stack.state.namespace))
    handle = await runs.start(chunk_size=5, concurrency=2)
    done = 0
    for name, number in (
        ("worker-1", signal.SIGKILL),
        ("temporal", signal.SIGKILL),
        ("postgres", signal.SIGQUIT),
    ):
        await until_under_way(url, done + 20)
        # Held until the part is back, so that the run cannot end before the next one is killed.
        with suppress(psycopg.OperationalError), posting_held(url):
            await until("chunks wait to be posted", lambda: waiting_for_locks(url) > 0)
            done = settled(url)
            assert done < selected(ACCOUNTS)
            await kill_and_await(stack, name, number)
    result = await runs.result(handle)
    assert (result.status, result.invoices) == (RunStatus.COMPLETED, owing(ACCOUNTS))
    check_books(url, invoices=owing(ACCOUNTS))
    assert await asyncio.to_thread(dump, url) == undisturbed
