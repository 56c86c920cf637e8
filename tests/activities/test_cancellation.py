"""Cancellation of activities: it is heard between two steps, and is never taken for what is wrong with an account."""

from __future__ import annotations

import dataclasses
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError, CancelledError
from temporalio.testing import ActivityEnvironment

from activities.bill_run import BillRunActivities
from bench.fleet import DUE, build_fleet
from contracts.bill_run import ChunkInput, OpenRunInput, PreviewInput
from operations.billrun.run import BATCH_SIZE
from storage.database import make_engine
from tests.conftest import PostgresForTests, wait_until

ACCOUNTS = BATCH_SIZE + 40  # two batches, of half as many: a cancellation is heard between them


@pytest.fixture
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("cancellation")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = make_engine(url)
    build_fleet(engine, ACCOUNTS)
    yield engine
    engine.dispose()


@pytest.fixture
def environment() -> ActivityEnvironment:
    made = ActivityEnvironment()
    made.info = dataclasses.replace(
        made.info, heartbeat_timeout=timedelta(seconds=0.4), workflow_run_id=str(uuid.uuid4())
    )
    return made


def counts(url: str) -> tuple[Any, ...]:
    """(invoices, parked, pending) as the database has them."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select (select count(*) from invoice), (select count(*) from parked),"
            " (select coalesce(sum(cardinality(pending)), 0) from bill_run_chunk)"
        ).fetchone()
        assert row is not None
        return row


def open_run(environment: ActivityEnvironment, activities: BillRunActivities) -> ChunkInput:
    order = OpenRunInput(as_of=DUE, instant=None, scope="all", mode="live", chunk_size=ACCOUNTS)
    run = environment.run(activities.open, order)
    return ChunkInput(run_id=run.run_id, no=0, as_of=DUE, instant=None, mode="live")


@pytest.mark.parametrize(
    ("why", "error"),
    [
        (ActivityCancellationDetails(cancel_requested=True), CancelledError),
        (ActivityCancellationDetails(not_found=True), CancelledError),
        (ActivityCancellationDetails(worker_shutdown=True), ApplicationError),
    ],
    ids=["asked", "workflow gone", "worker shuts down"],
)
def test_a_chunk_canceled_while_it_posts_ends_after_that_batch_and_parks_nobody(
    url: str,
    engine: Engine,
    environment: ActivityEnvironment,
    why: ActivityCancellationDetails,
    error: type[Exception],
) -> None:
    activities = BillRunActivities(engine)
    chunk = open_run(environment, activities)
    beating = threading.Event()
    environment.on_heartbeat = lambda *_: beating.set()
    with ThreadPoolExecutor(1) as thread:
        with psycopg.connect(url) as holder:
            holder.execute("select 1 from number_series where mode = 'live' for update")
            done = thread.submit(environment.run, activities.bill, chunk)
            waiting = (
                "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
            )
            wait_until("it waits to post", lambda: holder.execute(waiting).fetchone() is not None)
            environment.cancel(why)
        with pytest.raises(error):
            done.result(30)
    assert counts(url) == (ACCOUNTS // 2, 0, ACCOUNTS // 2)
    assert beating.is_set()
    assert not isinstance(done.exception(), ApplicationError) or not done.exception().non_retryable  # type: ignore[union-attr]


def test_a_preview_that_was_canceled_rates_no_further_range(
    url: str, engine: Engine, environment: ActivityEnvironment
) -> None:
    activities = BillRunActivities(engine)
    order = OpenRunInput(as_of=DUE, instant=None, scope="all", mode="live")
    (first, *_rest) = environment.run(activities.preview_ranges, order).firsts
    preview = PreviewInput(as_of=DUE, instant=None, scope="all", mode="live", first=first, until=None)
    seen = environment.run(activities.preview, preview)
    assert (seen.invoices, seen.rated, seen.taxed) == (ACCOUNTS, ACCOUNTS, ACCOUNTS)
    environment.cancel()
    with psycopg.connect(url) as holder:
        # Rating would wait for this; a canceled activity does not get so far.
        holder.execute("lock table subscription in access exclusive mode")
        for activity, given in ((activities.preview, preview), (activities.preview_ranges, order)):
            with pytest.raises(CancelledError):
                environment.run(activity, given)
