"""Dunning of a live account by its workflow: weeks on the time-skipping server, by the real rules and rows."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine
from temporalio import activity
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.dunning import DunningActivities
from contracts.dunning import (
    CaseStanding,
    DunInput,
    DunningRequest,
    DunningResult,
    Hold,
    HoldKind,
    Release,
)
from contracts.names import STATUS, dunning_id
from domain.account.commands import Pay
from domain.periods import local_date, start_of_day
from domain.simulation.scenario import Scenario
from operations.accounts.commands import CommandRefused
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.domain.simulation.playing import scenario, step
from tests.operations.dunning.live import LiveAccount
from tests.operations.dunning.outcomes import CATALOG, SIX_STEPS
from workflows.dunning import DunningWorkflow

Handle = WorkflowHandle[DunningWorkflow, DunningResult]
NEW_YORK = "America/New_York"
ZONE = ZoneInfo(NEW_YORK)


class Watched(DunningActivities):
    """The activities, with note taken of each day on which the account was looked at, and how it then stood."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.seen: list[tuple[datetime, CaseStanding]] = []

    @activity.defn(name="dun_account")
    def dun(self, order: DunInput) -> CaseStanding:
        standing = super().dun(order)
        self.seen.append((order.now, standing))
        return standing


def owing(first: date) -> Scenario:
    """An account that subscribed on `first`, is billed then, and does not pay by itself."""
    return scenario(
        step(str(first), "subscribe", plan="news"),
        step(str(first), "bill"),
        account={"timezone": NEW_YORK, "auto_pay": False, "payment_terms_days": 0},
        policy={"dunning": SIX_STEPS},
    )


@pytest.fixture
def engine(pg_server: PostgresForTests) -> Any:
    engine = make_engine(pg_server.fresh_database("dunned"))
    yield engine
    engine.dispose()


@pytest.fixture
async def owes(skipping: WorkflowEnvironment, engine: Engine) -> LiveAccount:
    """A live account that was billed yesterday, found by the sweep."""
    now = await skipping.get_current_time()
    first = local_date(now, ZONE) - timedelta(days=1)
    account = await asyncio.to_thread(lambda: LiveAccount(engine, owing(first), CATALOG).play())
    assert account.sweep(now) == 1
    return account


@asynccontextmanager
async def worker(client: Client, activities: DunningActivities) -> AsyncIterator[str]:
    queue = f"dunning-{uuid.uuid4()}"
    with ThreadPoolExecutor(4) as threads:
        async with Worker(
            client,
            task_queue=queue,
            workflows=[DunningWorkflow],
            activities=activities.all(),
            activity_executor=threads,
        ):
            yield queue


async def start(client: Client, account: str, queue: str) -> Handle:
    return await client.start_workflow(
        DunningWorkflow.run, DunningRequest(account_id=account), id=dunning_id(account), task_queue=queue
    )


async def test_an_account_that_never_pays_goes_through_all_states(
    skipping: WorkflowEnvironment, engine: Engine, owes: LiveAccount
) -> None:
    first = owes.first
    watched = Watched(engine)
    async with worker(skipping.client, watched) as queue:
        handle = await start(skipping.client, owes.id, queue)
        result = await handle.result()
        described = await handle.describe()
    assert (result.open, result.state, result.outcome) == (False, "current", "written_off")
    assert described.typed_search_attributes[STATUS] == "written_off"
    entered = [(day, state) for day, state in owes.account().dunning[1:]]
    days = {name["name"]: name["when"]["age_days"] for name in SIX_STEPS["states"][1:]}
    assert entered == [
        *((first + timedelta(days=age), state) for state, age in days.items() if state != "written_off"),
        (first + timedelta(days=50), "written_off"),
        (first + timedelta(days=50), "current"),
    ]
    # One look a day on which something changes, and none on others.
    assert len(watched.seen) <= len(entered) + 1
    suspended = start_of_day(first + timedelta(days=15), ZONE)
    assert owes.access(suspended - timedelta(seconds=1))
    assert not owes.access(suspended)
    assert [template for _, template in owes.mails()] == [
        "payment-overdue", "payment-overdue", "account-restricted", "account-suspended", "subscription-canceled",
        "thank-you",
    ]  # fmt: skip
    assert owes.events("dunning.%")[-1] == "dunning.closed"


async def test_money_that_comes_gives_access_back_at_once_and_ends_the_case(
    skipping: WorkflowEnvironment, engine: Engine, owes: LiveAccount
) -> None:
    watched = Watched(engine)
    async with worker(skipping.client, watched) as queue:
        handle = await start(skipping.client, owes.id, queue)
        await skipping.sleep(timedelta(days=19))
        now = await skipping.get_current_time()
        assert owes.account().dunning[-1][1] == "suspended"
        assert not owes.access(now)
        looks = len(watched.seen)
        await asyncio.to_thread(owes.step, Pay(at=local_date(now, ZONE), do="pay"), now)
        # The books say so in the transaction of the payment, before any workflow has heard of it.
        assert owes.access(now)
        assert owes.account().dunning[-1][1] == "current"
        case = owes.case()
        assert case is not None
        assert (case.outcome, case.amount) == ("paid", 0)
        await handle.signal(DunningWorkflow.look_again)
        result = await handle.result()
    assert (result.open, result.outcome) == (False, "paid")
    assert len(watched.seen) == looks + 1


async def test_a_promise_holds_what_would_come_and_a_broken_one_catches_up(
    skipping: WorkflowEnvironment, engine: Engine, owes: LiveAccount
) -> None:
    first = owes.first
    async with worker(skipping.client, Watched(engine)) as queue:
        handle = await start(skipping.client, owes.id, queue)
        await skipping.sleep(timedelta(days=4))
        until = first + timedelta(days=20)
        promise = Hold(
            why=HoldKind.PROMISE, until=until, actor="anna", reason="will pay on the 20th", id="call 1"
        )
        await owes.hold(promise, await skipping.get_current_time())
        await owes.hold(promise, await skipping.get_current_time())  # told twice, it is one
        await handle.signal(DunningWorkflow.look_again)
        case = owes.case()
        assert case is not None
        assert case.holds["promise"] == {
            "state": "reminded", "until": str(until), "by": "anna", "reason": "will pay on the 20th",
        }  # fmt: skip
        await skipping.sleep(timedelta(days=14))
        assert owes.account().dunning[-1][1] == "reminded"
        await skipping.sleep(timedelta(days=3))
        assert owes.account().dunning[-1] == (until + timedelta(days=1), "suspended")
        now = await skipping.get_current_time()
        with pytest.raises(CommandRefused, match="has passed"):
            await owes.hold(promise.model_copy(update={"until": first, "id": "call 2"}), now)
        pause = Hold(why=HoldKind.PAUSE, actor="anna", reason="she is ill", id="call 3")
        await owes.hold(pause, now)
        await handle.signal(DunningWorkflow.look_again)
        # Nothing is dated while it is paused without an end: the case stays, and the workflow ends until it is wanted.
        assert (await handle.result()).open
        await skipping.sleep(timedelta(days=30))
        assert owes.account().dunning[-1][1] == "suspended"
        release = Release(actor="anna", reason="she is well again", id="call 4")
        await owes.release(release, await skipping.get_current_time())
        result = await (await start(skipping.client, owes.id, queue)).result()
    assert result.outcome == "written_off"
    with transaction(engine) as connection:
        told = connection.execute(
            "select actor, action, reason from audit where subject = %s order by at", (f"dunning/{owes.id}",)
        ).fetchall()
    assert told == [
        ("anna", "dunning.promise", f"will pay on the 20th through {until}"),
        ("anna", "dunning.pause", "she is ill"),
        ("anna", "dunning.resume", "she is well again"),
    ]
