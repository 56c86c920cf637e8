"""A subscription's episode: months on the time-skipping server, and its ends on a real one."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.subscription import Episodes, SubscriptionActivities
from contracts.names import ACCOUNT, STATUS
from contracts.names import subscription_id as workflow_id
from contracts.subscription import (
    EpisodeRef,
    EpisodeRequest,
    EpisodeResult,
    SettleInput,
    Standing,
    SubscriptionInput,
)
from domain.periods import local_date, start_of_day
from runtime.temporal import connect
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.subscribers import add_subscription, change_dates
from workflows.subscription import SubscriptionWorkflow

ZONE = ZoneInfo("Europe/Paris")
Handle = WorkflowHandle[SubscriptionWorkflow, EpisodeResult]


def _nothing() -> None:
    pass


class Watched(SubscriptionActivities):
    """The activities, with note taken of when they were called; `meddle` runs once after the first read."""

    def __init__(self, url: str) -> None:
        super().__init__(make_engine(url))
        self.url = url
        self.settled_at: list[datetime] = []
        self.meddle: Callable[[], None] = _nothing

    @activity.defn(name="read_subscription")
    def read(self, order: SubscriptionInput) -> Standing:
        standing = super().read(order)
        meddle, self.meddle = self.meddle, _nothing
        meddle()
        return standing

    @activity.defn(name="settle_subscription")
    def settle(self, order: SettleInput) -> Standing:
        self.settled_at.append(order.now)
        return super().settle(order)

    def add(self, **columns: object) -> str:
        with psycopg.connect(self.url) as connection:
            return add_subscription(connection, zone=str(ZONE), **columns)  # type: ignore[arg-type]

    def row(self, subscription: str) -> tuple[str, datetime | None, int]:
        with psycopg.connect(self.url) as connection:
            row = connection.execute(
                "select status, next_due, version from subscription where id = %s", (subscription,)
            ).fetchone()
        assert row is not None
        return row[0], row[1], row[2]

    def events(self, subscription: str) -> list[tuple[str, int]]:
        with psycopg.connect(self.url) as connection:
            rows = connection.execute(
                "select kind, version from event_log where subject_id = %s order by id", (subscription,)
            )
            return [(kind, version) for kind, version in rows]


@pytest.fixture
async def books(pg_server: PostgresForTests) -> Watched:
    return Watched(pg_server.fresh_database("episode"))


@asynccontextmanager
async def worker(client: Client, books: Watched, kind: type = SubscriptionWorkflow) -> AsyncIterator[str]:
    """A worker for `kind` on a queue of its own, which it answers."""
    queue = f"episode-{uuid.uuid4()}"
    with ThreadPoolExecutor(4) as threads:
        async with Worker(
            client,
            task_queue=queue,
            workflows=[kind],
            activities=books.all(),
            activity_executor=threads,
        ):
            yield queue


async def start(client: Client, subscription: str, queue: str) -> Handle:
    return await client.start_workflow(
        SubscriptionWorkflow.run,
        EpisodeRequest(subscription_id=subscription),
        id=workflow_id(subscription),
        task_queue=queue,
    )


@pytest.fixture
async def today(skipping: WorkflowEnvironment) -> date:
    return local_date(await skipping.get_current_time(), ZONE)


def midnight(day: date) -> datetime:
    return start_of_day(day, ZONE)


async def test_a_trial_becomes_active_and_ends_each_on_its_local_midnight(
    skipping: WorkflowEnvironment, books: Watched, today: date
) -> None:
    trial_ends, ends = today + timedelta(days=3), today + timedelta(days=33)
    subscription = books.add(
        status="trialing", trial_ends_on=trial_ends, ends_on=ends, next_due=midnight(trial_ends)
    )
    async with worker(skipping.client, books) as queue:
        handle = await start(skipping.client, subscription, queue)
        result = await handle.result()
    assert result == EpisodeResult(subscription_id=subscription, status="expired", next_due=None, settled=2)
    assert books.row(subscription) == ("expired", None, 3)
    assert books.events(subscription) == [
        ("notice.trial-ends-soon", today.toordinal()),
        ("subscription.changed", 2),
        ("subscription.changed", 3),
        ("notice.ended", ends.toordinal()),
    ]
    late = [at - midnight(day) for at, day in zip(books.settled_at, (trial_ends, ends), strict=True)]
    assert all(timedelta(0) <= each < timedelta(minutes=1) for each in late), late
    attributes = (await handle.describe()).typed_search_attributes
    assert attributes[STATUS] == "expired"


async def test_a_date_beyond_the_horizon_leaves_the_subscription_quiet(
    skipping: WorkflowEnvironment, books: Watched, today: date
) -> None:
    ends = today + timedelta(days=20 + 36)
    trial_ends = today + timedelta(days=20)
    subscription = books.add(
        status="trialing", trial_ends_on=trial_ends, ends_on=ends, next_due=midnight(trial_ends)
    )
    async with worker(skipping.client, books) as queue:
        handle = await start(skipping.client, subscription, queue)
        result = await handle.result()
        assert (result.status, result.next_due, result.settled) == ("active", midnight(ends), 1)
        assert len(books.settled_at) == 1


async def test_what_is_overdue_is_settled_at_once(
    skipping: WorkflowEnvironment, books: Watched, today: date
) -> None:
    ended = today - timedelta(days=40)
    subscription = books.add(starts_on=date(2025, 1, 1), ends_on=ended, next_due=midnight(ended))
    async with worker(skipping.client, books) as queue:
        handle = await start(skipping.client, subscription, queue)
        assert (await handle.result()).status == "expired"


async def test_a_date_that_is_moved_while_it_sleeps_counts_at_once(
    skipping: WorkflowEnvironment, books: Watched, today: date
) -> None:
    late, early = today + timedelta(days=30), today + timedelta(days=5)
    subscription = books.add(ends_on=late, next_due=midnight(late))
    async with worker(skipping.client, books) as queue:
        handle = await start(skipping.client, subscription, queue)
        change_dates(books.url, subscription, ends_on=early, next_due=midnight(early))
        await handle.signal(SubscriptionWorkflow.look_again)
        assert (await handle.result()).status == "expired"
    assert len(books.settled_at) == 1
    assert books.settled_at[0] - midnight(early) < timedelta(minutes=1)


async def test_a_subscription_that_nobody_knows_fails_in_sight(
    skipping: WorkflowEnvironment, books: Watched
) -> None:
    async with worker(skipping.client, books) as queue:
        handle = await start(skipping.client, str(uuid.uuid4()), queue)
        with pytest.raises(WorkflowFailureError):
            await handle.result()


# --- on a real server ---


@pytest.fixture(scope="module")
async def client(temporal_address: str) -> Client:
    return await connect(temporal_address, NAMESPACE)


async def test_a_change_during_the_look_is_seen(client: Client, books: Watched) -> None:
    """The row that the look has read is old by the time it is answered, and the signal came in between."""
    soon = datetime.now(ZONE).date() + timedelta(days=10)
    subscription = books.add()
    loop = asyncio.get_running_loop()

    def change() -> None:
        change_dates(books.url, subscription, ends_on=soon, next_due=midnight(soon))
        signal = client.get_workflow_handle(workflow_id(subscription)).signal(SubscriptionWorkflow.look_again)
        asyncio.run_coroutine_threadsafe(signal, loop).result(10)

    books.meddle = change
    async with worker(client, books) as queue:
        handle = await start(client, subscription, queue)
        await until_details_say(handle, f"{midnight(soon):%Y-%m-%d %H:%M}")
        change_dates(books.url, subscription, status="canceled", next_due=None)
        await handle.signal(SubscriptionWorkflow.look_again)
        assert (await handle.result()).status == "canceled"


@workflow.defn(name="Subscription", sandboxed=False)
class HeldAtItsEnd(SubscriptionWorkflow):
    """Stops inside the workflow task that would complete, until the test lets it go on."""

    reached = threading.Event()
    go_on = threading.Event()

    @workflow.init
    def __init__(self, request: EpisodeRequest) -> None:
        super().__init__(request)

    @workflow.run
    async def run(self, request: EpisodeRequest) -> EpisodeResult:
        return await super().run(request)

    def _show(self, standing: Standing) -> None:
        super()._show(standing)
        if standing.next_due is None and not self.reached.is_set():
            self.reached.set()
            self.go_on.wait(1.5)


async def test_a_signal_that_arrives_while_it_completes_is_not_lost(client: Client, books: Watched) -> None:
    soon = datetime.now(ZONE).date() + timedelta(days=10)
    subscription = books.add()
    async with worker(client, books, HeldAtItsEnd) as queue:
        handle = await start(client, subscription, queue)
        assert await asyncio.to_thread(HeldAtItsEnd.reached.wait, 10)
        change_dates(books.url, subscription, ends_on=soon, next_due=midnight(soon))
        await handle.signal(SubscriptionWorkflow.look_again)
        HeldAtItsEnd.go_on.set()
        await until_details_say(handle, f"{midnight(soon):%Y-%m-%d %H:%M}")
        change_dates(books.url, subscription, ends_on=None, next_due=None)
        await handle.signal(SubscriptionWorkflow.look_again)
        assert (await handle.result()).next_due is None


@workflow.defn(name="Subscription", sandboxed=False)
class Forgetful(SubscriptionWorkflow):
    """Finds its first history too long at once."""

    @workflow.init
    def __init__(self, request: EpisodeRequest) -> None:
        super().__init__(request)

    @workflow.run
    async def run(self, request: EpisodeRequest) -> EpisodeResult:
        return await super().run(request)

    def _history_is_long(self) -> bool:
        return workflow.info().continued_run_id is None


async def test_a_long_history_is_continued_as_new_between_two_dates(client: Client, books: Watched) -> None:
    today = datetime.now(ZONE).date()
    started, ends = today - timedelta(days=1), today + timedelta(days=10)
    subscription = books.add(status="draft", starts_on=started, ends_on=ends, next_due=midnight(started))
    async with worker(client, books, Forgetful) as queue:
        handle = await start(client, subscription, queue)
        now = client.get_workflow_handle(handle.id)
        await until_details_say(now, "1 recorded here")
        assert (await now.describe()).run_id != handle.first_execution_run_id
        change_dates(books.url, subscription, status="canceled", next_due=None)
        await now.signal(SubscriptionWorkflow.look_again)
        assert (await handle.result()).settled == 1


async def test_opening_is_harmless_and_signalling_wakes(client: Client, books: Watched) -> None:
    soon = datetime.now(ZONE).date() + timedelta(days=10)
    subscription = books.add(ends_on=soon, next_due=midnight(soon))
    ref = EpisodeRef(subscription, str(uuid.uuid4()))
    async with worker(client, books) as queue:
        episodes = Episodes(client, queue)
        await episodes.wake(ref)
        await episodes.open(ref)
        handle = client.get_workflow_handle(workflow_id(subscription))
        await until_details_say(handle, f"{midnight(soon):%Y-%m-%d %H:%M}")
        before = await handle.describe()
        await episodes.open(ref)
        again = await handle.describe()
        assert (again.run_id, again.history_length) == (before.run_id, before.history_length)
        assert again.typed_search_attributes[ACCOUNT] == ref.account_id
        change_dates(books.url, subscription, ends_on=None, next_due=None)
        await episodes.wake(ref)
        await handle.result()
        await episodes.signal(ref)
        assert (await handle.describe()).run_id != before.run_id
        await client.get_workflow_handle(handle.id).result()


async def until_details_say(handle: WorkflowHandle[Any, Any], text: str) -> None:
    """Wait until the episode shows `text` to whoever looks at it in the Temporal UI."""
    deadline = asyncio.get_running_loop().time() + 15
    seen = ""
    while text not in seen:
        assert asyncio.get_running_loop().time() < deadline, f"{text!r} is not in {seen!r}"
        seen = (await handle.query("__temporal_workflow_metadata")).current_details
        await asyncio.sleep(0.02)
