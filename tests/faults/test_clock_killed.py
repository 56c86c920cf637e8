"""Workers killed while a clock goes on: it goes on by itself, and all is as on a quiet day."""

from __future__ import annotations

import asyncio
import uuid
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

import pytest

from contracts.test_clock import Clock
from domain.account import commands as verbs
from operations.test_clocks.clocks import set_declines
from operations.test_clocks.playing import play_step
from runtime.clock_play import wait_for_clock
from runtime.temporal import connect
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.faults.conftest import TemporalServer, Workers, died_by_sigkill, until
from tests.names import NAMESPACE
from tests.operations.clocked import FIRST, Clocked, instant
from workflows.clock_starts import advance_clock

TO = instant("2026-06-15")
PAUSE_ENDS = date(2026, 2, 20)


class Told(NamedTuple):
    """What a clock's accounts came to."""

    dump: list[str]
    follow_ups: list[tuple]
    notices: list[tuple]


def begin(pg_server: PostgresForTests) -> tuple[Clocked, str]:
    """A clock with three accounts: one whose trial and intro end, one whose card fails, one that pauses."""
    clocked = Clocked(make_engine(pg_server.fresh_database("killed")))
    clock = clocked.clock(f"clock {uuid.uuid4()}")
    for key in ("ada", "bob", "cyd"):
        plan = "digital-monthly" if key == "cyd" else "digital-welcome"
        clocked.subscribe(clocked.account(clock, key), f"{key} main", plan)
    set_declines(clocked.engine, clock.id, "bob", {date(2026, 4, 19): "insufficient_funds"})
    [(cyd,)] = clocked.rows("select id::text from account where external_key = 'cyd'")
    clocked.do(cyd, verbs.Pause(at=FIRST, do="pause", subscription="cyd main", until=date(2026, 3, 20)))
    return clocked, clock.id


def told(clocked: Clocked) -> Told:
    return Told(
        clocked.dump(),
        clocked.rows(
            "select s.external_key, f.key, f.due_at, f.outcome from follow_up f"
            " join subscription s on s.id = f.subscription_id order by 1, 2"
        ),
        clocked.rows(
            "select s.external_key, e.kind, e.version, count(*) from event_log e join subscription s"
            " on s.id = e.subject_id where starts_with(e.kind, 'notice.') group by 1, 2, 3 order by 1, 2, 3"
        ),
    )


@pytest.fixture(scope="module")
def undisturbed(pg_server: PostgresForTests) -> Told:
    clocked, clock_id = begin(pg_server)
    clocked.advance(clocked.clock(clocked.rows("select name from test_clock")[0][0]), TO)
    assert clocked.rows("select frozen_at from test_clock where id = %s", clock_id) == [(TO,)]
    found = told(clocked)
    clocked.engine.dispose()
    assert found.notices
    return found


@pytest.mark.parametrize(
    ("point", "count"),
    [
        ("follow-up-written", 3),
        pytest.param("clock-step", 20, marks=pytest.mark.deep),
        pytest.param("clock-passed", 9, marks=pytest.mark.deep),
        pytest.param("clock-tick", 4, marks=pytest.mark.deep),
    ],
)
async def test_a_worker_killed_on_the_way(
    point: str,
    count: int,
    pg_server: PostgresForTests,
    temporal: TemporalServer,
    workers: Workers,
    tmp_path: Path,
    undisturbed: Told,
) -> None:
    clocked, clock_id = begin(pg_server)
    url = str(clocked.engine.url.render_as_string(hide_password=False)).replace("+psycopg", "")
    spec = f"{point}:{count}:{tmp_path / 'killed'}"
    first = workers.start(url, soon_noticed=True, MASTHEAD_FAIL_POINT=spec)
    client = await connect(temporal.address, NAMESPACE)
    await advance_clock(client, clock_id, TO)
    await until("the worker has killed itself", lambda: died_by_sigkill(first))
    [(status, frozen_at)] = clocked.rows("select status, frozen_at from test_clock where id = %s", clock_id)
    assert (status, frozen_at) == ("advancing", instant(FIRST))
    workers.start(url, soon_noticed=True, MASTHEAD_FAIL_POINT=spec)
    await wait_for_clock(clocked.engine, clock_id, TO, seconds=90)
    found = await asyncio.to_thread(told, clocked)
    clocked.engine.dispose()
    assert found.follow_ups == undisturbed.follow_ups
    assert found.notices == undisturbed.notices
    assert all(count == 1 for *_, count in found.notices)
    assert found.dump == undisturbed.dump


def pausing(pg_server: PostgresForTests) -> tuple[Clocked, Clock, str]:
    """A clock with one account, whose pause ends on the day to which the clock will go."""
    clocked = Clocked(make_engine(pg_server.fresh_database("last_day")))
    clock = clocked.clock(f"clock {uuid.uuid4()}")
    account = clocked.account(clock, "cyd")
    clocked.subscribe(account, "cyd main", "digital-monthly")
    clocked.do(account, verbs.Pause(at=FIRST, do="pause", subscription="cyd main", until=PAUSE_ENDS))
    return clocked, clock, account


def played(clocked: Clocked, account: str, to: datetime) -> int:
    """Play the account up to `to`; how often an episode had to be told what time it was."""
    ticks = 0
    while not (step := play_step(clocked.engine, clocked.tariffs.current(), account, to)).arrived:
        for subscription in step.waiting:
            clocked.tick(subscription, step.at)
            ticks += 1
    return ticks


@pytest.mark.deep
async def test_a_worker_killed_on_the_last_day(
    pg_server: PostgresForTests, temporal: TemporalServer, workers: Workers, tmp_path: Path
) -> None:
    """The account stands at the target, and its episode was not told yet that a pause ends there."""
    to = instant(PAUSE_ENDS)
    quiet, _, account = pausing(pg_server)
    ticks = played(quiet, account, to)
    undisturbed = told(quiet)
    quiet.engine.dispose()
    clocked, clock, _ = pausing(pg_server)
    url = str(clocked.engine.url.render_as_string(hide_password=False)).replace("+psycopg", "")
    spec = f"clock-tick:{ticks}:{tmp_path / 'killed'}"
    first = workers.start(url, soon_noticed=True, MASTHEAD_FAIL_POINT=spec)
    client = await connect(temporal.address, NAMESPACE)
    await advance_clock(client, clock.id, to)
    await until("the worker has killed itself", lambda: died_by_sigkill(first))
    assert clocked.rows("select clock_at from account") == [(to,)]
    workers.start(url, soon_noticed=True, MASTHEAD_FAIL_POINT=spec)
    await wait_for_clock(clocked.engine, clock.id, to, seconds=90)
    found = await asyncio.to_thread(told, clocked)
    clocked.engine.dispose()
    assert found == undisturbed
    assert all(outcome is not None for _, _, due_at, outcome in found.follow_ups if due_at <= to)
