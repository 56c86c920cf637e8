"""The budget of a connection holds over all processes, and nobody is kept out by those who will not wait."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import psycopg
import pytest

from connectors.sdk.errors import Transient
from connectors.sdk.ports import Rate
from storage.pool import Pool
from storage.rate_budget import PostgresRateBudget, spacing
from tests.conftest import PostgresForTests
from tests.runtime.conftest import CHECKOUT
from tests.storage import calling

HOUR = timedelta(hours=1)
NOW = timedelta()


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("budget")


@pytest.fixture
async def pool(url: str) -> AsyncIterator[Pool]:
    made = Pool(url)
    yield made
    await made.aclose()


def next_at(url: str, connection: str) -> datetime:
    with psycopg.connect(url) as database:
        row = database.execute(
            "select next_at from rate_bucket where connection = %s", (connection,)
        ).fetchone()
    assert row is not None
    at = row[0]
    assert isinstance(at, datetime)
    return at


async def test_each_call_gets_a_time_of_its_own_whoever_asks(url: str) -> None:
    rate = Rate(10, per=1000)
    pools = [Pool(url) for _ in range(4)]
    await PostgresRateBudget(pools[0]).take("spread", rate, HOUR)
    before = next_at(url, "spread")
    budgets = [PostgresRateBudget(pool) for pool in pools]
    longest = timedelta(days=1)
    waits = await asyncio.gather(*(budgets[n % 4].take("spread", rate, longest) for n in range(80)))
    assert next_at(url, "spread") - before == 80 * timedelta(seconds=100)
    apart = [
        round(later.total_seconds() - earlier.total_seconds()) for earlier, later in pairwise(sorted(waits))
    ]
    assert min(apart) >= 90  # 100 s but for the time that this test takes
    for pool in pools:
        await pool.aclose()


async def test_calls_of_one_process_that_come_together_ask_the_database_together(url: str) -> None:
    counted = CountingPool(url)
    budget = PostgresRateBudget(counted)
    await asyncio.gather(*(budget.take("together", Rate(1000), HOUR) for _ in range(100)))
    assert counted.borrowed == 2
    await counted.aclose()


class CountingPool(Pool):
    borrowed = 0

    def connection(self):  # type: ignore[no-untyped-def]
        self.borrowed += 1
        return super().connection()


@pytest.mark.parametrize("rate", [Rate(10), Rate(100, per=10), Rate(1), Rate(2_000, per=86_400)])
def test_in_no_window_of_its_length_are_more_calls_due_than_the_rate_says(rate: Rate) -> None:
    between, burst = spacing(rate)
    due = [0.0] * (burst + 1) + [between * n for n in range(1, 2 * rate.calls)]
    widest = max(sum(start <= each < start + rate.per - 1e-6 for each in due) for start in due[: burst + 3])
    assert widest == rate.calls


async def test_an_idle_connection_may_catch_up_on_a_few(pool: Pool) -> None:
    waits = [await PostgresRateBudget(pool).take("idle", Rate(100, per=3600), HOUR) for _ in range(7)]
    assert [wait == NOW for wait in waits] == [True] * 6 + [False]


async def test_who_would_have_to_wait_for_too_long_takes_nothing(url: str, pool: Pool) -> None:
    budget, rate = PostgresRateBudget(pool), Rate(1, per=60)
    short = timedelta(seconds=90)
    waits = await asyncio.gather(*(budget.take("short", rate, short) for _ in range(10)))
    assert [wait <= short for wait in waits] == [True, True] + [False] * 8
    before = next_at(url, "short")
    assert await budget.take("short", rate, short) > short
    assert next_at(url, "short") == before
    assert await budget.take("short", rate, HOUR) <= timedelta(seconds=120)


async def test_while_the_other_system_says_to_wait_nobody_calls(url: str, pool: Pool) -> None:
    budget, other = PostgresRateBudget(pool), PostgresRateBudget(pool)
    await budget.take("held", Rate(10), HOUR)
    until = datetime.now(UTC) + timedelta(minutes=10)
    await budget.hold("held", until)
    await budget.hold("held", until - timedelta(minutes=5))
    wait = await other.take("held", Rate(10), HOUR)
    assert timedelta(minutes=9) < wait <= timedelta(minutes=10)
    assert await other.take("held", Rate(10), timedelta(seconds=5)) > timedelta(minutes=9)
    assert await other.take("not-held", Rate(10), HOUR) == NOW


async def test_a_budget_that_was_removed_begins_anew(url: str, pool: Pool) -> None:
    budget = PostgresRateBudget(pool)
    await budget.take("removed", Rate(1, per=600), HOUR)
    with psycopg.connect(url) as database:
        database.execute("delete from rate_bucket where connection = 'removed'")
    assert await budget.take("removed", Rate(1, per=600), HOUR) == NOW


async def test_a_caller_that_gives_up_leaves_the_others_their_answer(pool: Pool) -> None:
    budget = PostgresRateBudget(pool)
    calls = [asyncio.create_task(budget.take("left", Rate(10), HOUR)) for _ in range(3)]
    await asyncio.sleep(0)
    calls[1].cancel()
    waits = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(wait, timedelta) for wait in waits] == [True, False, True]


async def test_when_the_database_is_away_the_caller_is_told() -> None:
    pool = Pool("postgresql://nobody@127.0.0.1:1/nowhere", longest_wait=0.3)
    with pytest.raises(Transient, match="our own database is away"):
        await PostgresRateBudget(pool).take("away", Rate(10), HOUR)
    await pool.aclose()


async def test_a_hold_that_cannot_be_stored_does_not_fail_the_answer_that_brought_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pool = Pool("postgresql://nobody@127.0.0.1:1/nowhere", longest_wait=0.3)
    await PostgresRateBudget(pool).hold("away", datetime.now(UTC) + timedelta(hours=1))
    await pool.aclose()
    assert "away: a hold until" in caplog.text


async def test_a_person_ends_a_hold(pool: Pool) -> None:
    budget = PostgresRateBudget(pool)
    await budget.hold("released", datetime.now(UTC) + timedelta(days=20))
    assert await budget.take("released", Rate(10), HOUR) > HOUR
    await budget.release("released")
    assert await budget.take("released", Rate(10), HOUR) <= timedelta(seconds=1)


@pytest.mark.parametrize("seconds", [5, pytest.param(30, marks=[pytest.mark.deep, pytest.mark.timeout(120)])])
def test_four_processes_together_keep_to_the_rate_as_the_receiver_counts(url: str, seconds: int) -> None:
    arrivals = count_arrivals(url, seconds)
    span = arrivals[-1] - arrivals[0]
    assert len(arrivals) - 1 <= 1.05 * calling.RATE.calls * span
    assert len(arrivals) > seconds * calling.RATE.calls / 2  # and it is used


def count_arrivals(url: str, seconds: float) -> list[float]:
    """When calls arrive at a real socket within so many seconds of the first, from four processes of three tasks."""
    arrivals: list[float] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        command = [sys.executable, str(Path(calling.__file__)), url, port, "3"]
        callers = [
            subprocess.Popen(command, cwd=CHECKOUT, env={"PYTHONPATH": str(CHECKOUT)}) for _ in range(4)
        ]
        try:
            server.settimeout(30)
            while not arrivals or arrivals[-1] - arrivals[0] < seconds:
                server.accept()[0].close()
                arrivals.append(time.monotonic())
            server.close()
        finally:
            for caller in callers:
                caller.terminate()
            for caller in callers:
                caller.wait()
    return arrivals
