"""Webhooks to one endpoint: signed so that any receiver can check, tried again by the schedule, and given up in sight.
Time is skipped; the receivers are real."""

from __future__ import annotations

import socket
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest
import uuid_utils
from aiohttp import web
from sqlalchemy import Engine
from standardwebhooks import Webhook
from temporalio import workflow
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.webhooks_out import Deliveries, WebhookActivities
from contracts.names import webhook_delivery_id
from contracts.webhooks_out import DeliverOutput, DeliveryRequest, DeliveryResult
from operations.webhooks_out import endpoints, resending
from operations.webhooks_out.fan_out import fan_out
from operations.webhooks_out.schedule import DELAYS
from storage.database import make_engine
from storage.encryption import Encryption, new_key
from storage.events import NewEvent, append_events
from storage.parked import open_parks
from tests.conftest import PostgresForTests
from tests.receiver import Receiver, receiving
from tests.subscribers import add_subscription
from workflows.webhook_delivery import WebhookDeliveryWorkflow

KIND = "subscription.changed"


class House:
    """One database, one worker on the time-skipping server, and what a subscriber meets."""

    def __init__(self, environment: WorkflowEnvironment, url: str, queue: str) -> None:
        self.client = environment.client
        self.url = url
        self.engine: Engine = make_engine(url)
        self.encryption = Encryption.of(new_key())
        self.queue = queue

    def add(self, url: str, *kinds: str) -> endpoints.Issued:
        return endpoints.add_endpoint(
            self.engine, self.encryption, url=url, kinds=kinds or ("*",), allow_loopback=True
        )

    def happen(self, times: int = 1, kind: str = KIND) -> None:
        """Let so many subscriptions change, and their messages be made."""
        with psycopg.connect(self.url) as connection:
            for _ in range(times):
                add_subscription(connection, event=kind)
        with psycopg.connect(self.url, autocommit=True) as connection:
            while fan_out(connection).moved:
                pass

    async def deliver(self, endpoint_id: str) -> DeliveryResult:
        """Run the endpoint's workflow until nothing waits."""
        result: DeliveryResult = await self.client.execute_workflow(
            WebhookDeliveryWorkflow.run,
            DeliveryRequest(endpoint_id=endpoint_id, queue=self.queue),
            id=webhook_delivery_id(endpoint_id),
            task_queue=self.queue,
        )
        return result

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    def parks(self) -> list[dict[str, Any]]:
        with psycopg.connect(self.url) as connection:
            return open_parks(connection, 100)


@pytest.fixture
async def house(skipping: WorkflowEnvironment, pg_server: PostgresForTests) -> AsyncIterator[House]:
    house = House(skipping, pg_server.fresh_database("webhooks"), f"webhooks-{uuid.uuid4()}")
    activities = WebhookActivities(house.engine, house.encryption, allow_loopback=True)
    async with Worker(
        house.client,
        task_queue=house.queue,
        workflows=[WebhookDeliveryWorkflow],
        activities=activities.all(),
    ):
        yield house
    activities.close()
    house.engine.dispose()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


async def test_a_receiver_can_verify_what_it_is_told(house: House, receiver: Receiver) -> None:
    issued = house.add(receiver.url)
    house.happen()
    result = await house.deliver(issued.endpoint.id)
    assert (result.delivered, result.failed) == (1, 0)
    (request,) = receiver.received
    told = Webhook(issued.secret).verify(request.body, request.headers)
    ((subscription, account),) = house.rows("select id::text, account_id::text from subscription")
    assert told["type"] == KIND
    assert datetime.fromisoformat(told["timestamp"]) <= datetime.now(UTC)
    data = told["data"]
    assert (data["id"], data["account_id"], data["status"]) == (subscription, account, "active")
    assert (data["version"], data["event_version"]) == (1, 1)
    assert "external_key" not in data
    assert request.headers["content-type"] == "application/json"
    assert house.rows("select status, milliseconds >= 0, error_kind from webhook_attempt") == [
        (204, True, None)
    ]


async def test_after_a_rotation_both_secrets_verify_and_after_a_day_only_the_new_one(
    house: House, receiver: Receiver
) -> None:
    first = house.add(receiver.url)
    second = endpoints.rotate_secret(house.engine, house.encryption, first.endpoint.id, datetime.now(UTC))
    house.happen()
    await house.deliver(first.endpoint.id)
    (request,) = receiver.received
    for secret in (first.secret, second.secret):
        Webhook(secret).verify(request.body, request.headers)
    house.rows("update webhook_endpoint set previous_secret_until = now() returning 1")
    house.happen()
    await house.deliver(first.endpoint.id)
    assert len(receiver.received[1].headers["webhook-signature"].split()) == 1
    Webhook(second.secret).verify(receiver.received[1].body, receiver.received[1].headers)


async def test_the_schedule_and_its_end(house: House, receiver: Receiver) -> None:
    receiver.answers = [500, 302, 404, *[500] * 7]
    issued = house.add(receiver.url)
    house.happen()
    result = await house.deliver(issued.endpoint.id)
    assert (result.delivered, result.failed) == (0, len(DELAYS))
    assert len(set(receiver.ids())) == 1
    at = [row[0] for row in house.rows("select at from webhook_attempt order by no")]
    gaps = [after - before for before, after in pairwise(at)]
    for gap, delay in zip(gaps, DELAYS[1:], strict=True):
        assert delay <= gap <= delay * 1.1 + timedelta(seconds=5)
    assert house.rows("select status, error_kind, attempts from webhook_message") == [
        ("failed", "http_500", 10)
    ]
    (park,) = house.parks()
    assert (park["kind"], park["error_kind"], park["trace_key"]) == (
        "webhook_out",
        "http_500",
        receiver.ids()[0],
    )
    assert f"webhooks resend {issued.endpoint.id} --message " in park["remedy"]


async def test_what_failed_is_sent_again_on_demand(house: House, receiver: Receiver) -> None:
    receiver.answers = [500] * 10 + [204]
    issued = house.add(receiver.url)
    house.happen()
    await house.deliver(issued.endpoint.id)
    assert resending.resend_failed(house.engine, issued.endpoint.id, datetime.now(UTC)) == 0
    assert (
        resending.resend_failed(house.engine, issued.endpoint.id, datetime.now(UTC) - timedelta(days=1)) == 1
    )
    assert house.parks() == []
    await house.deliver(issued.endpoint.id)
    assert len(set(receiver.ids())) == 1
    assert house.rows("select status, error_kind, attempts, tries from webhook_message") == [
        ("delivered", None, 11, 1)
    ]
    ((message,),) = house.rows("select id::text from webhook_message")
    resending.resend_message(house.engine, issued.endpoint.id, message)
    assert (await house.deliver(issued.endpoint.id)).delivered == 1
    assert len(receiver.received) == 12


async def test_gone_disables_the_endpoint_with_a_notice(house: House, receiver: Receiver) -> None:
    receiver.answers = [410]
    issued = house.add(receiver.url)
    house.happen(3)
    result = await house.deliver(issued.endpoint.id)
    assert result.status == "disabled"
    assert house.rows("select distinct status, error_kind from webhook_message") == [
        ("failed", "endpoint_disabled")
    ]
    (park,) = house.parks()
    assert (park["error_kind"], park["trace_key"]) == (
        "endpoint_gone",
        webhook_delivery_id(issued.endpoint.id),
    )
    assert house.rows("select subject_id::text from event_log where kind = 'webhook_endpoint.disabled'") == [
        (issued.endpoint.id,)
    ]
    sent = len(receiver.received)
    house.happen()
    await house.deliver(issued.endpoint.id)
    assert len(receiver.received) == sent


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_is_kept(house: House, receiver: Receiver, status: int) -> None:
    async def later(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Retry-After": "1800"})

    receiver.answers = [later, 204]
    issued = house.add(receiver.url)
    house.happen()
    await house.deliver(issued.endpoint.id)
    first, second = (row[0] for row in house.rows("select at from webhook_attempt order by no"))
    assert timedelta(minutes=30) <= second - first <= timedelta(minutes=30, seconds=5)
    ((held,),) = house.rows("select held_until from webhook_endpoint")
    assert held >= first + timedelta(minutes=30)


async def test_an_endpoint_that_fails_for_days_is_disabled(house: House, receiver: Receiver) -> None:
    receiver.answers = [500]
    issued = house.add(receiver.url)
    house.happen()
    house.rows(
        "update webhook_endpoint set failing_since = now() - interval '5 days', failures = 90 returning 1"
    )
    result = await house.deliver(issued.endpoint.id)
    assert (result.status, result.failed) == ("disabled", 1)
    (park,) = house.parks()
    assert park["error_kind"] == "endpoint_failing"
    assert "every attempt to reach it failed" in park["message"]
    endpoints.enable(house.engine, issued.endpoint.id)
    assert house.parks() == []


@contextmanager
def nobody() -> Iterator[str]:
    """A URL where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/"


async def test_a_backlog_is_not_spent_on_an_endpoint_that_is_down(
    skipping: WorkflowEnvironment, house: House
) -> None:
    with nobody() as url:
        issued = house.add(url)
        house.happen(200)
        await Deliveries(house.client, house.queue, house.queue).call(issued.endpoint.id)
        await skipping.sleep(timedelta(hours=1))
        await house.client.get_workflow_handle(webhook_delivery_id(issued.endpoint.id)).terminate()
    # Three turns of eight, and then one at a time with pauses up to five minutes.
    assert 24 <= house.rows("select count(*) from webhook_attempt")[0][0] <= 50
    assert house.rows("select distinct error_kind from webhook_attempt") == [("not_sent",)]


async def test_an_address_inside_is_refused_at_each_attempt(house: House, receiver: Receiver) -> None:
    issued = house.add(receiver.url)
    house.happen()
    strict = WebhookActivities(house.engine, house.encryption, allow_loopback=False)
    queue = f"strict-{uuid.uuid4()}"
    async with Worker(
        house.client, task_queue=queue, workflows=[WebhookDeliveryWorkflow], activities=strict.all()
    ):
        await house.client.execute_workflow(
            WebhookDeliveryWorkflow.run,
            DeliveryRequest(endpoint_id=issued.endpoint.id, queue=queue),
            id=webhook_delivery_id(issued.endpoint.id),
            task_queue=queue,
        )
    strict.close()
    assert receiver.received == []
    assert house.rows("select distinct error_kind from webhook_attempt") == [("refused",)]


async def test_an_event_of_another_sort_has_ids_only(house: House, receiver: Receiver) -> None:
    issued = house.add(receiver.url, "payment.*")
    subject = str(uuid_utils.uuid7())
    with psycopg.connect(house.url) as connection:
        append_events(connection, [NewEvent("payment.settled", None, subject, 3)])
    house.happen()
    await house.deliver(issued.endpoint.id)
    (request,) = receiver.received
    assert request.told["data"] == {"id": subject, "account_id": None, "event_version": 3}


@pytest.mark.parametrize("broken", ["https://999.1.1.1/x", "date"])
async def test_what_cannot_be_read_is_a_failed_attempt(house: House, receiver: Receiver, broken: str) -> None:
    async def odd(_: web.Request) -> web.Response:
        later = "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"
        return web.Response(status=500, headers={"Retry-After": later})

    receiver.answers = [odd]
    issued = house.add(receiver.url)
    house.happen()
    if broken != "date":
        house.rows("update webhook_endpoint set url = %s returning 1", broken)
    result = await house.deliver(issued.endpoint.id)
    assert result.failed == len(DELAYS)
    kind = "http_500" if broken == "date" else "not_sent"
    assert house.rows("select distinct error_kind from webhook_attempt") == [(kind,)]


@workflow.defn(name="WebhookDelivery", sandboxed=False)
class Forgetful(WebhookDeliveryWorkflow):
    """Whose history is long after each turn."""

    @workflow.init
    def __init__(self, request: DeliveryRequest) -> None:
        super().__init__(request)
        self._turns = 0

    @workflow.run
    async def run(self, request: DeliveryRequest) -> DeliveryResult:
        return await super().run(request)

    async def _deliver(self) -> DeliverOutput:
        self._turns += 1
        return await super()._deliver()

    def _history_is_long(self) -> bool:
        return self._turns > 0


async def test_nothing_is_lost_or_counted_twice_when_the_history_is_cut(
    house: House, receiver: Receiver
) -> None:
    receiver.answers = [500, 500, 500, 204]
    issued = house.add(receiver.url)
    house.happen()
    queue = f"forgetful-{uuid.uuid4()}"
    async with Worker(house.client, task_queue=queue, workflows=[Forgetful]):
        handle = await house.client.start_workflow(
            "WebhookDelivery",
            DeliveryRequest(endpoint_id=issued.endpoint.id, queue=house.queue),
            id=webhook_delivery_id(issued.endpoint.id),
            task_queue=queue,
            result_type=DeliveryResult,
        )
        result = await handle.result()
    assert (result.delivered, result.failed, len(receiver.received)) == (1, 3, 4)
    assert (await handle.describe()).run_id != handle.first_execution_run_id
