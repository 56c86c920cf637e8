"""The dispatcher of webhooks: it applies what comes, at each endpoint alone, and another takes over when it ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import Engine
from temporalio import workflow
from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from connectors.sdk.webhooks.shelf import bundled_recipes
from operations.webhooks_in.handlers import Outcome, Signal, WebhookHandlers
from runtime import webhook_dispatcher
from runtime.leading import Complaints, Lead
from runtime.webhook_dispatcher import ROLE, Term, dispatch_webhooks, purge_all, register_handlers
from storage.database import PgConnection, make_engine
from storage.inbound_endpoints import InboundEndpoint
from storage.webhook_inbox import StoredDelivery
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.operations.webhooks_in.inbox import Told, make_endpoint, put, rows


@pytest.fixture
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("webhook_dispatcher")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    made = make_engine(url)
    yield made
    made.dispose()


@asynccontextmanager
async def dispatching(
    engine: Engine, handlers: WebhookHandlers, client: Client | None = None
) -> AsyncIterator[asyncio.Task[None]]:
    """One process that leads or stands by."""

    async def serve() -> None:
        async with Lead(engine, ROLE, "webhooks-in") as lead:
            await Term(lead, engine, client, handlers, bundled_recipes(), Complaints()).serve()

    task = asyncio.create_task(serve())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(what: str, true: Callable[[], object]) -> None:
    """Wait until `true()` holds, letting the loop go on."""
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(true):  # noqa: ASYNC110 (rows give no event)
            await asyncio.sleep(0.02)


def applied(url: str, endpoint: InboundEndpoint) -> int:
    query = "select count(*) from webhook_delivery where endpoint_id = %s and status = 'done'"
    return int(rows(url, query, endpoint.id)[0][0])


async def test_what_comes_is_applied_and_what_comes_later_too(url: str, engine: Engine) -> None:
    first, second = make_endpoint(url, "first"), make_endpoint(url, "second")
    put(url, first, [Told(f"k{number}", f"o{number}") for number in range(1200)])
    async with dispatching(engine, WebhookHandlers()):
        await until("a backlog is applied", lambda: applied(url, first) == 1200)
        put(url, second, [Told("a"), Told("b", second=1)])
        await until("the rest is applied", lambda: applied(url, second) == 2)
    assert rows(url, "select count(*), sum(seen) from vendor_fact") == [(1201, 1202)]


async def test_an_endpoint_whose_handler_hangs_holds_up_no_other(url: str, engine: Engine) -> None:
    stuck, free = make_endpoint(url, "stuck"), make_endpoint(url, "free")
    with psycopg.connect(url) as holder:
        holder.execute("select pg_advisory_xact_lock(7)")

        def hang(
            connection: PgConnection, _: InboundEndpoint, deliveries: Sequence[StoredDelivery]
        ) -> list[Outcome]:
            connection.execute("select pg_advisory_xact_lock(7)")
            return [Outcome("late") for _ in deliveries]

        handlers = WebhookHandlers()
        handlers.register("stuck/*", hang)
        async with dispatching(engine, handlers):
            put(url, stuck, [Told("a")])
            put(url, free, [Told("b")])
            await until("the free one is applied", lambda: applied(url, free) == 1)
            assert applied(url, stuck) == 0
            holder.rollback()
            await until("the stuck one goes on", lambda: applied(url, stuck) == 1)


async def test_another_process_takes_over(url: str, engine: Engine) -> None:
    endpoint = make_endpoint(url)
    handlers = WebhookHandlers()
    async with dispatching(engine, handlers) as leader:
        put(url, endpoint, [Told("a")])
        await until("the first is applied", lambda: applied(url, endpoint) == 1)
        async with dispatching(engine, handlers):
            leader.cancel()
            await asyncio.gather(leader, return_exceptions=True)
            put(url, endpoint, [Told("b")])
            await until("the second is applied", lambda: applied(url, endpoint) == 2)


@workflow.defn(name="WaitsForAWebhook", sandboxed=False)
class WaitsForAWebhook:
    def __init__(self) -> None:
        self.heard: str | None = None

    @workflow.run
    async def run(self) -> str:
        await workflow.wait_condition(lambda: self.heard is not None)
        return self.heard or ""

    @workflow.signal
    def hear(self, key: str) -> None:
        self.heard = key


async def test_an_open_workflow_is_told_and_one_that_is_not_there_does_no_harm(
    url: str, engine: Engine, temporal_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await Client.connect(temporal_address, namespace=NAMESPACE)
    waiting = f"waits/{uuid4()}"
    monkeypatch.setattr(webhook_dispatcher, "_registrars", [])

    def registrar(handlers: WebhookHandlers, _: Engine) -> None:
        def tell(
            __: PgConnection, ___: InboundEndpoint, deliveries: Sequence[StoredDelivery]
        ) -> list[Outcome]:
            return [
                Outcome(
                    "told",
                    signals=(Signal("nobody/there", "hear", "x"), Signal(waiting, "hear", each.key)),
                )
                for each in deliveries
            ]

        handlers.register("crm/*", tell)

    register_handlers(registrar)
    endpoint = make_endpoint(url)
    queue = str(uuid4())
    async with Worker(
        client, task_queue=queue, workflows=[WaitsForAWebhook], workflow_runner=UnsandboxedWorkflowRunner()
    ):
        handle = await client.start_workflow(WaitsForAWebhook.run, id=waiting, task_queue=queue)
        loop = asyncio.create_task(dispatch_webhooks(engine, client))
        put(url, endpoint, [Told("the-key")])
        assert await asyncio.wait_for(handle.result(), 20) == "the-key"
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
    assert applied(url, endpoint) == 1


async def test_what_is_old_is_removed_soon_after_the_start(
    url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_dispatcher, "FIRST_PURGE_AFTER_SECONDS", 0.1)
    endpoint = make_endpoint(url)
    put(url, endpoint, [Told("old")])
    with psycopg.connect(url) as connection:
        connection.execute(
            "update webhook_delivery set status = 'done', received_at = received_at - interval '1 year'"
        )
    async with dispatching(engine, WebhookHandlers()):
        await until("the old one is gone", lambda: rows(url, "select 1 from webhook_delivery") == [])


def test_keys_are_kept_for_as_long_as_the_sender_repeats(url: str, engine: Engine) -> None:
    endpoint = make_endpoint(url)  # of Standard Webhooks: five days
    put(url, endpoint, [Told(f"k{number}") for number in range(3)])
    with psycopg.connect(url) as connection:
        connection.execute("update webhook_delivery set status = 'done'")
    now = datetime.now(UTC)
    assert purge_all(engine, bundled_recipes(), now + timedelta(days=5.9)) == 0
    assert purge_all(engine, {}, now + timedelta(days=89)) == 0
    assert purge_all(engine, bundled_recipes(), now + timedelta(days=6.1)) == 3
