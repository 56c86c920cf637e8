"""A run with an instant bills each account by its own local date; and it does not matter who is first, the run or
the timer that records what the dates made true."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine
from uuid_utils import uuid7

from bench.fleet import DUE, build_fleet
from operations.billrun.post import ChunkRef
from operations.billrun.run import BillRuns
from operations.billrun.scope import Scope
from operations.subscriptions import settle_subscription
from storage.billable import Target
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests

# Midnight of 1 December in Auckland is 11:00 the day before in UTC, in Honolulu 10:00 of that day.
AUCKLAND_MIDNIGHT = datetime(2026, 11, 30, 11, tzinfo=UTC)
HONOLULU_MIDNIGHT = datetime(2026, 12, 1, 10, tzinfo=UTC)


@pytest.fixture
def engine(pg_server: PostgresForTests) -> Iterator[Engine]:
    made = make_engine(pg_server.fresh_database("hourly"))
    build_fleet(made, 2)
    with transaction(made) as connection:
        for key, zone in (("bench-000000001", "Pacific/Auckland"), ("bench-000000002", "Pacific/Honolulu")):
            connection.execute("update account set time_zone = %s where external_key = %s", (zone, key))
    yield made
    made.dispose()


def hourly_run(engine: Engine, instant: datetime) -> list[str]:
    """One run, as the Schedule starts it at `instant`; answers the zones of the accounts that it billed."""
    runs = BillRuns(engine)
    target = Target(None, instant)
    run_id = runs.open(
        workflow_id="bill-run/scheduled",
        workflow_run_id=str(uuid7()),
        mode="live",
        scope=Scope.parse("all"),
        target=target,
    )
    for no in range(runs.size(run_id)[0]):
        runs.bill(ChunkRef(run_id, no, "live"), target, wait=True, heartbeat=lambda _: None)
    runs.finish(run_id, canceled=False)
    return [
        row[0]
        for row in query(
            engine,
            "select a.time_zone from invoice i join account a on a.id = i.account_id where i.bill_run_id = %s",
            run_id,
        )
    ]


def query(engine: Engine, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    with transaction(engine) as connection:
        return connection.execute(statement.encode(), parameters).fetchall()


def test_auckland_is_billed_almost_a_day_before_honolulu(engine: Engine) -> None:
    billed = {
        hour: hourly_run(engine, instant)
        for hour, instant in {
            "before any midnight": AUCKLAND_MIDNIGHT.replace(hour=10, minute=59),
            "midnight in Auckland": AUCKLAND_MIDNIGHT,
            "an hour before Honolulu's": HONOLULU_MIDNIGHT.replace(hour=9),
            "midnight in Honolulu": HONOLULU_MIDNIGHT,
            "later": HONOLULU_MIDNIGHT.replace(hour=20),
        }.items()
    }
    assert billed == {
        "before any midnight": [],
        "midnight in Auckland": ["Pacific/Auckland"],
        "an hour before Honolulu's": [],
        "midnight in Honolulu": ["Pacific/Honolulu"],
        "later": [],
    }
    assert query(engine, "select distinct issued_on from invoice") == [(DUE,)]


@pytest.mark.parametrize(
    "timer_first",
    [pytest.param(True, id="timer first"), pytest.param(False, id="run first")],
)
def test_the_days_before_an_end_are_billed_whoever_is_first(engine: Engine, timer_first: bool) -> None:
    """It ends on the 10th, and nothing was billed since the 1st when the timer records the end."""
    ends_at = datetime(2026, 12, 10, 10, tzinfo=UTC)
    (subscription,) = query(
        engine,
        "update subscription set ends_on = '2026-12-10', next_due = %s where external_key = 'bench-000000002'"
        " returning id::text",
        ends_at,
    )[0]

    def timer() -> None:
        assert settle_subscription(engine, subscription, ends_at).status == "expired"

    def run() -> None:
        assert sorted(hourly_run(engine, ends_at)) == ["Pacific/Auckland", "Pacific/Honolulu"]

    for step in (timer, run) if timer_first else (run, timer):
        step()
    rows = query(
        engine,
        "select status, charged_through::text, next_bill_on from subscription where id = %s",
        subscription,
    )
    assert rows == [("expired", "2026-12-10", None)]
