"""Dunning as workers keep it, on a real server: a failed charge opens it, operators hold it, another card ends it."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowUpdateFailedError
from temporalio.worker import Worker

from activities.dunning import DunningActivities
from connectors.sdk.connector import Connector
from contracts.dunning import Hold, HoldKind, Release
from contracts.names import TASK_QUEUE, dunning_id
from operations.charges.methods import NewMethod, keep_method
from operations.charges.retrying import retries_due
from runtime.dunning_keeper import keep_dunning
from runtime.temporal import connect
from sandbox.stripe.stand_in import StripeStandIn
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests, wait_until
from tests.domain.simulation.playing import scenario, step
from tests.names import NAMESPACE
from tests.operations.dunning.live import LiveAccount
from tests.operations.dunning.outcomes import CATALOG, SIX_STEPS
from tests.workflows.paying import opened
from workflows.dunning import DunningSweepWorkflow, DunningWorkflow


@pytest.fixture
def engine(pg_server: PostgresForTests) -> Iterator[Engine]:
    made = make_engine(pg_server.fresh_database("kept"))
    yield made
    made.dispose()


@pytest.fixture
def stripe() -> Iterator[StripeStandIn]:
    with StripeStandIn() as stand_in:
        yield stand_in


@asynccontextmanager
async def kept(client: Client, engine: Engine, stripe: StripeStandIn) -> AsyncIterator[None]:
    """A worker for dunning, and the keeper."""

    async def gateway(name: str, /) -> Connector[object]:
        return opened(name, stripe.url, timeout=5)

    with ThreadPoolExecutor(4) as threads:
        async with Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=[DunningWorkflow, DunningSweepWorkflow],
            activities=DunningActivities(engine, gateway).all(),
            activity_executor=threads,
        ):
            keeper = asyncio.create_task(keep_dunning(engine, client))
            try:
                yield
            finally:
                keeper.cancel()
                await asyncio.gather(keeper, return_exceptions=True)


def declined(engine: Engine) -> LiveAccount:
    """An account that subscribed yesterday, and whose card is expired."""
    first = datetime.now(UTC).date() - timedelta(days=1)
    owes = scenario(
        step(str(first), "subscribe", plan="news"),
        step(str(first), "payment_fails", code="expired_card", until=str(first + timedelta(days=90))),
        step(str(first), "bill"),
        policy={"dunning": SIX_STEPS},
    )
    account = LiveAccount(engine, owes, CATALOG)
    with transaction(engine) as connection:
        connection.execute("update payment_method set added_at = added_at - interval '3 days'")
    return account.play()


async def until(what: str, true: Callable[[], bool]) -> None:
    """Wait until `true()` holds."""
    await asyncio.to_thread(wait_until, what, true)


def closed(account: LiveAccount) -> bool:
    case = account.case()
    return case is not None and case.closed_at is not None


async def test_a_failed_charge_is_dunned_until_another_card_pays(
    temporal_address: str, engine: Engine, stripe: StripeStandIn
) -> None:
    client = await connect(temporal_address, NAMESPACE)
    account = await asyncio.to_thread(declined, engine)
    async with kept(client, engine, stripe):
        handle = client.get_workflow_handle_for(DunningWorkflow.run, dunning_id(account.id))
        await until("it is overdue", lambda: account.account().dunning[-1][1] == "overdue")
        pause = Hold(why=HoldKind.PAUSE, actor="anna", reason="asked for time", id=str(uuid.uuid4()))
        await handle.execute_update(DunningWorkflow.hold, pause)
        case = account.case()
        assert case is not None
        assert (case.holds["pause"]["by"], case.holds["pause"]["reason"]) == ("anna", "asked for time")
        release = Release(why=HoldKind.DISPUTE, actor="anna", reason="none", id=str(uuid.uuid4()))
        with pytest.raises(WorkflowUpdateFailedError) as refused:
            await handle.execute_update(DunningWorkflow.release, release)
        assert "not held by a dispute" in str(refused.value.cause)
        release = Release(actor="anna", reason="no more time", id=str(uuid.uuid4()))
        await handle.execute_update(DunningWorkflow.release, release)
        with transaction(engine) as connection:
            keep_method(connection, account.id, "live", NewMethod("cards", "pm_card_visa"))
        await until("it has paid", lambda: closed(account))
        result = await handle.result()
        described = await handle.describe()
    assert described.status is WorkflowExecutionStatus.COMPLETED
    assert (result.open, result.outcome) == (False, "paid")
    [invoice] = account.account().invoices
    assert invoice.balance.open == 0
    with transaction(engine) as connection:
        charges = connection.execute(
            "select no, status, method from charge where account_id = %s order by no", (account.id,)
        ).fetchall()
        assert retries_due(connection, datetime.now(UTC) + timedelta(days=400)) == []
    # A charge of its own, with a key of its own, for the other card; and one at its gateway.
    assert charges == [(1, "failed", "pm_1"), (2, "succeeded", "pm_card_visa")]


async def test_a_case_without_its_workflow_is_taken_up_again(
    temporal_address: str, engine: Engine, stripe: StripeStandIn
) -> None:
    client = await connect(temporal_address, NAMESPACE)
    account = await asyncio.to_thread(declined, engine)
    async with kept(client, engine, stripe):
        handle = client.get_workflow_handle_for(DunningWorkflow.run, dunning_id(account.id))
        await until("it is overdue", lambda: account.account().dunning[-1][1] == "overdue")
        await handle.terminate("somebody slipped")
    with transaction(engine) as connection:
        connection.execute("update dunning_case set next_at = now() - interval '1 hour'")
    async with kept(client, engine, stripe):

        def dated() -> bool:
            case = account.case()
            return case is not None and case.next_at is not None and case.next_at > datetime.now(UTC)

        await until("it was looked at again", dated)
        described = await handle.describe()
        assert described.status is WorkflowExecutionStatus.RUNNING
        await client.get_workflow_handle(dunning_id(account.id)).terminate("the test is over")
