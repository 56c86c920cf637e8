"""The stories of subscriptions, sweeps, bill runs and webhooks, as `record` plays them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import uuid_utils
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from bench.fleet import DUE
from contracts.bill_run import BillRunRequest, Control
from contracts.names import TASK_QUEUE, webhook_delivery_id
from contracts.names import subscription_id as workflow_id
from contracts.subscription import EpisodeRequest
from contracts.sweep import SweepRequest
from contracts.webhooks_out import DeliveryRequest
from domain.periods import local_date, start_of_day
from operations.webhooks_out.endpoints import add_endpoint
from operations.webhooks_out.fan_out import fan_out
from storage.database import make_engine
from storage.encryption import Encryption
from storage.events import NewEvent, append_events
from tests.receiver import receiving
from tests.subscribers import add_subscription, change_dates
from workflows.bill_run import BillRunWorkflow
from workflows.subscription import SubscriptionWorkflow
from workflows.sweep import SweepWorkflow
from workflows.webhook_delivery import WebhookDeliveryWorkflow

ZONE = ZoneInfo("Europe/Paris")
ORDER = Control(actor="recorder", reason="to be recorded")

Handle = WorkflowHandle[Any, Any]


class PlainStories:
    """On a database with a small fleet; each method plays one story to its end."""

    def __init__(self, environment: WorkflowEnvironment, url: str, encryption: Encryption) -> None:
        self._environment = environment
        self._client = environment.client
        self._url = url
        self._encryption = encryption

    async def subscription_trial_to_end(self) -> Handle:
        """A trial becomes active and ends, a month later."""
        return await self._trial(days=3)

    async def subscription_moved(self) -> Handle:
        """A date is moved while the episode sleeps, and then there is none any more."""
        today = local_date(await self._environment.get_current_time(), ZONE)
        ends = today + timedelta(days=30)
        subscription = self.add(ends_on=ends, next_due=start_of_day(ends, ZONE))
        handle = await self.episode(subscription)
        change_dates(self._url, subscription, next_due=start_of_day(today + timedelta(days=9), ZONE))
        await handle.signal(SubscriptionWorkflow.look_again)
        change_dates(self._url, subscription, status="canceled", next_due=None)
        await handle.signal(SubscriptionWorkflow.look_again)
        return handle

    async def subscription_with_notices(self) -> Handle:
        """A payer is told before the trial ends, and after all has ended."""
        return await self._trial(days=10)

    async def subscription_quiet(self) -> Handle:
        """Nothing is dated."""
        return await self.episode(self.add())

    async def sweep_pages(self) -> Handle:
        """One is overdue, four are near, in several pages."""
        now = await self._environment.get_current_time()
        for days in (-1, 2, 3, 4):
            self.add(next_due=now + timedelta(days=days))
        return await self._client.start_workflow(
            SweepWorkflow.run, SweepRequest(rate_per_second=0.1), id="sweep/recorded", task_queue=TASK_QUEUE
        )

    async def bill_run_preview(self) -> Handle:
        """A preview in two ranges."""
        return await self.run_bills(BillRunRequest(as_of=DUE, preview=True, chunk_size=20), "preview")

    async def bill_run_controlled(self) -> Handle:
        """A run that operators pause, resume, and cancel."""
        handle = await self.run_bills(
            BillRunRequest(as_of=DUE, scope="plan:daily", chunk_size=1, concurrency=1), "controlled"
        )
        async with asyncio.timeout(20):
            while True:
                if (await handle.query(BillRunWorkflow.progress)).status == "running":
                    break
                await asyncio.sleep(0.01)
        await handle.execute_update(BillRunWorkflow.pause, ORDER)
        await handle.execute_update(BillRunWorkflow.resume, ORDER)
        await handle.execute_update(BillRunWorkflow.cancel, ORDER)
        return handle

    async def bill_run(self) -> Handle:
        """A run of several chunks."""
        return await self.run_bills(BillRunRequest(as_of=DUE, chunk_size=10, concurrency=2), "whole")

    async def bill_run_told_already(self) -> Handle:
        """A run of which each chunk says that it left nothing."""
        later = DUE + timedelta(days=31)
        return await self.run_bills(BillRunRequest(as_of=later, chunk_size=10, concurrency=2), "told")

    async def bill_run_of_an_instant(self) -> Handle:
        """A run as the Schedule starts it: up to its own start."""
        return await self.run_bills(BillRunRequest(), "instant")

    async def webhook_delivery_retried(self) -> Handle:
        """Two messages of which one is delivered at the third attempt; another comes while the delivery sleeps."""
        async with receiving() as receiver:
            receiver.answers = [204, 500, 500, 204]
            endpoint = self.subscribe(receiver.url)
            self.tell()
            handle = await self.deliver(endpoint)
            async with asyncio.timeout(20):
                while len(receiver.received) < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            self.tell()
            await handle.signal(WebhookDeliveryWorkflow.look_again)
            await handle.result()
            return handle

    async def webhook_delivery_gone(self) -> Handle:
        """An endpoint that wants no more."""
        async with receiving() as receiver:
            receiver.answers = [410]
            endpoint = self.subscribe(receiver.url)
            self.tell()
            handle = await self.deliver(endpoint)
            await handle.result()
            return handle

    def stories(self) -> dict[str, Callable[[], Awaitable[Handle]]]:
        """All of them, in the order in which they can be played on one database."""
        told = (
            self.subscription_trial_to_end,
            self.subscription_moved,
            self.subscription_with_notices,
            self.subscription_quiet,
            self.sweep_pages,
            self.bill_run_preview,
            self.bill_run_controlled,
            self.bill_run,
            self.bill_run_told_already,
            self.bill_run_of_an_instant,
            self.webhook_delivery_retried,
            self.webhook_delivery_gone,
        )
        return {story.__name__: story for story in told}

    async def _trial(self, days: int) -> Handle:
        today = local_date(await self._environment.get_current_time(), ZONE)
        trial_ends, ends = today + timedelta(days=days), today + timedelta(days=33)
        return await self.episode(
            self.add(
                status="trialing",
                trial_ends_on=trial_ends,
                ends_on=ends,
                next_due=start_of_day(trial_ends, ZONE),
            )
        )

    def add(
        self,
        *,
        status: str = "active",
        trial_ends_on: date | None = None,
        ends_on: date | None = None,
        next_due: datetime | None = None,
    ) -> str:
        """A subscription."""
        with psycopg.connect(self._url) as connection:
            return add_subscription(
                connection,
                zone=str(ZONE),
                status=status,
                trial_ends_on=trial_ends_on,
                ends_on=ends_on,
                next_due=next_due,
            )

    async def episode(self, subscription: str) -> Handle:
        """Its episode begins."""
        return await self._client.start_workflow(
            SubscriptionWorkflow.run,
            EpisodeRequest(subscription_id=subscription),
            id=workflow_id(subscription),
            task_queue=TASK_QUEUE,
        )

    def subscribe(self, url: str) -> str:
        """A receiver of webhooks; the id of its endpoint."""
        engine = make_engine(self._url)
        try:
            return add_endpoint(
                engine, self._encryption, url=url, kinds=["recorded.*"], allow_loopback=True
            ).endpoint.id
        finally:
            engine.dispose()

    def tell(self) -> None:
        """Two events for whoever listens."""
        with psycopg.connect(self._url, autocommit=True) as connection:
            append_events(connection, [NewEvent("recorded.thing", None, str(uuid_utils.uuid7()), 1)] * 2)
            while fan_out(connection).moved:
                pass

    async def deliver(self, endpoint: str) -> Handle:
        """What waits for an endpoint is sent."""
        return await self._client.start_workflow(
            WebhookDeliveryWorkflow.run,
            DeliveryRequest(endpoint_id=endpoint, queue=TASK_QUEUE),
            id=webhook_delivery_id(endpoint),
            task_queue=TASK_QUEUE,
        )

    async def run_bills(self, request: BillRunRequest, name: str) -> Handle:
        """A bill run begins."""
        return await self._client.start_workflow(
            BillRunWorkflow.run, request, id=f"bill-run/{name}/recorded", task_queue=TASK_QUEUE
        )
