"""Webhooks from an event to the receiver, as the workers run them, on a real Temporal."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import psycopg
import pytest
from aiohttp import web
from standardwebhooks import Webhook
from temporalio.client import Client
from temporalio.worker import Worker

from activities.webhooks_out import Deliveries, WebhookActivities
from contracts.names import webhook_delivery_id
from operations.webhooks_out import endpoints, resending
from runtime import webhooks_out
from runtime.temporal import connect
from runtime.webhooks_out import ROLE, read_events
from storage.database import make_engine
from storage.encryption import Encryption, new_key
from storage.events import NewEvent, append_events
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.receiver import Receiver, receiving
from workflows.webhook_delivery import WebhookDeliveryWorkflow


class Hub:
    """A database, and what carries its events to subscribers."""

    def __init__(self, url: str, client: Client) -> None:
        self.url = url
        self.client = client
        self.engine = make_engine(url)
        self.encryption = Encryption.of(new_key())
        self.queue = f"webhooks-{uuid.uuid4()}"

    def add(self, receiver: Receiver) -> endpoints.Issued:
        return endpoints.add_endpoint(
            self.engine, self.encryption, url=receiver.url, kinds=["invoice.*"], allow_loopback=True
        )

    def happen(self, times: int = 1) -> None:
        with psycopg.connect(self.url) as connection:
            append_events(
                connection,
                [NewEvent("invoice.posted", None, str(uuid.uuid4()), 1) for _ in range(times)],
            )

    def count(self, query: str) -> int:
        with psycopg.connect(self.url) as connection:
            row = connection.execute(query.encode()).fetchone()
        return int(row[0]) if row else 0

    @asynccontextmanager
    async def sending(self) -> AsyncIterator[None]:
        """A worker that delivers."""
        activities = WebhookActivities(self.engine, self.encryption, allow_loopback=True)
        async with Worker(
            self.client,
            task_queue=self.queue,
            workflows=[WebhookDeliveryWorkflow],
            activities=activities.all(),
        ):
            yield
        activities.close()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """A reader, as each worker has one."""
        task = asyncio.create_task(read_events(self.engine, Deliveries(self.client, self.queue, self.queue)))
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


@pytest.fixture
async def hub(pg_server: PostgresForTests, temporal_address: str) -> AsyncIterator[Hub]:
    hub = Hub(pg_server.fresh_database("webhooks_out"), await connect(temporal_address, NAMESPACE))
    yield hub
    hub.engine.dispose()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


async def test_an_endpoint_that_never_answers_holds_up_nobody(hub: Hub, receiver: Receiver) -> None:
    go_on = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await go_on.wait()
        return web.Response()

    async with receiving() as slow, hub.sending(), hub.reading():
        slow.answers = [hang]
        hub.add(slow)
        issued = hub.add(receiver)
        hub.happen(60)
        await receiver.until("the other is told everything", lambda: len(receiver.received) == 60)
        assert 1 <= len(slow.received) <= 8
        go_on.set()
        await slow.until("it is told too, once it answers", lambda: len(set(slow.ids())) == 60)
        await slow.until(
            "all is written down",
            lambda: hub.count("select count(*) from webhook_message where status = 'delivered'") == 120,
        )
    assert len(set(receiver.ids())) == 60
    for request in receiver.received:
        Webhook(issued.secret).verify(request.body, request.headers)


async def test_a_second_reader_takes_over_and_tells_nothing_twice(hub: Hub, receiver: Receiver) -> None:
    hub.add(receiver)
    async with hub.sending(), hub.reading(), hub.reading():
        hub.happen(3)
        await receiver.until("the first leads", lambda: len(receiver.received) == 3)
        with psycopg.connect(hub.url, autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objid = %s"
                " and granted and database = (select oid from pg_database where datname = current_database())",
                (ROLE,),
            )
        hub.happen(3)
        await receiver.until("another leads", lambda: len(receiver.received) == 6)
    assert len(set(receiver.ids())) == 6


async def test_a_delivery_that_somebody_terminated_is_opened_again(
    hub: Hub, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks_out, "UPKEEP_SECONDS", 0.1)
    monkeypatch.setattr(webhooks_out, "NEGLECTED_AFTER", webhooks_out.NEGLECTED_AFTER * 0)
    issued = hub.add(receiver)
    async with hub.reading():
        hub.happen()
        await receiver.until("it is called", lambda: hub.count("select calls_answered from webhook_endpoint"))
        await hub.client.get_workflow_handle(webhook_delivery_id(issued.endpoint.id)).terminate()
        async with hub.sending():
            await receiver.until("it is told after all", lambda: receiver.received)


async def test_what_is_sent_again_by_hand_is_sent_at_once(hub: Hub, receiver: Receiver) -> None:
    """Although the delivery sleeps until the next attempt of another message."""
    receiver.answers = [204, 500, 204]
    issued = hub.add(receiver)
    async with hub.sending(), hub.reading():
        hub.happen()
        await receiver.until("the first is delivered", lambda: len(receiver.received) == 1)
        hub.happen()
        await receiver.until(
            "the second has failed",
            lambda: hub.count("select count(*) from webhook_message where tries = 1") == 2,
        )
        first = receiver.ids()[0]
        await asyncio.to_thread(
            resending.resend_message, hub.engine, issued.endpoint.id, first.removeprefix("msg_")
        )
        await receiver.until("something comes", lambda: len(receiver.received) == 3)
        assert receiver.ids()[2] == first
        await hub.client.get_workflow_handle(webhook_delivery_id(issued.endpoint.id)).terminate()


async def test_a_worker_that_stops_forgets_nothing_that_it_has_sent(hub: Hub, receiver: Receiver) -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        return web.Response()

    receiver.answers = [204, hang]
    hub.add(receiver)
    async with hub.reading():
        async with hub.sending():
            # Eight at once: that the ninth is sent proves that the one answer has been read.
            hub.happen(9)
            await receiver.until("one is answered and eight hang", lambda: len(receiver.received) == 9)
        assert hub.count("select count(*) from webhook_message where status = 'delivered'") == 1
        receiver.answers = [204]
        async with hub.sending():
            await receiver.until(
                "all are delivered",
                lambda: hub.count("select count(*) from webhook_message where status = 'delivered'") == 9,
            )
    assert receiver.ids().count(receiver.ids()[0]) == 1
    assert (len(receiver.received), len(set(receiver.ids()))) == (17, 9)
