"""Record the histories that replay tests run against: `python -m tests.histories.record [NAME ...]`.

A history that was recorded by released code is kept as it is: code that cannot replay it would break workflows that
are open. Record a new path under a new name; record an old one anew only while its workflow was never released.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import uuid_utils
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.bill_run import BillRunActivities
from activities.connectors import ConnectorActivities
from activities.parked import ParkedActivities
from activities.refund import RefundActivities
from activities.renewals import RenewalActivities
from activities.subscription import Episodes, SubscriptionActivities, SweepActivities
from activities.sync import SyncControlActivities
from activities.test_clock import TestClockActivities
from activities.webhooks_out import WebhookActivities
from bench.fleet import DUE, build_fleet
from contracts.bill_run import BillRunRequest, Control
from contracts.names import CALL_QUEUE, SYNC_QUEUE, TASK_QUEUE, webhook_delivery_id
from contracts.names import subscription_id as workflow_id
from contracts.subscription import EpisodeRequest
from contracts.sweep import SweepRequest
from contracts.webhooks_out import DeliveryRequest
from domain.periods import local_date, start_of_day
from operations.webhooks_out.endpoints import add_endpoint
from operations.webhooks_out.fan_out import fan_out
from runtime import registry
from runtime.process_exit import leave
from runtime.stack.postgres import EmbeddedPostgres
from sandbox.adyen.stand_in import AdyenStandIn
from sandbox.avatax.stand_in import AvaTaxStandIn
from sandbox.reference.stand_in import ReferenceStandIn
from sandbox.stripe.stand_in import StripeStandIn
from storage.database import make_engine
from storage.encryption import Encryption, new_key
from storage.events import NewEvent, append_events
from storage.migrate import upgrade
from tests.activities.acme import Opener, running_vendor
from tests.histories.calls import CallStories
from tests.histories.checkouts import CheckoutStories
from tests.histories.clocks import ClockStories
from tests.histories.dunnings import DunningStories
from tests.histories.payments import PaymentStories
from tests.histories.refunds import RefundStories
from tests.histories.syncs import SyncStories
from tests.histories.taxes import TaxStories
from tests.receiver import receiving
from tests.subscribers import add_subscription, change_dates
from tests.workflows.refunding import Till
from tests.workflows.selling import Shop
from tests.workflows.skipping import time_skipping
from workflows.bill_run import BillRunWorkflow
from workflows.subscription import SubscriptionWorkflow
from workflows.sweep import SweepWorkflow
from workflows.webhook_delivery import WebhookDeliveryWorkflow

FOLDER = Path(__file__).parent
IDENTITY = "recorder"
ZONE = ZoneInfo("Europe/Paris")
ENCRYPTION = Encryption.of(new_key())
ORDER = Control(actor="recorder", reason="to be recorded")

Handle = WorkflowHandle[Any, Any]


class Recorder:
    """A time-skipping server and a database with a small fleet; each method plays one story to its end."""

    def __init__(self, environment: WorkflowEnvironment, url: str) -> None:
        self._environment = environment
        self._client = environment.client
        self._url = url

    async def subscription_trial_to_end(self) -> Handle:
        """A trial becomes active and ends, a month later."""
        today = local_date(await self._environment.get_current_time(), ZONE)
        trial_ends, ends = today + timedelta(days=3), today + timedelta(days=33)
        return await self._episode(
            self._add(
                status="trialing",
                trial_ends_on=trial_ends,
                ends_on=ends,
                next_due=start_of_day(trial_ends, ZONE),
            )
        )

    async def subscription_moved(self) -> Handle:
        """A date is moved while the episode sleeps, and then there is none any more."""
        today = local_date(await self._environment.get_current_time(), ZONE)
        ends = today + timedelta(days=30)
        subscription = self._add(ends_on=ends, next_due=start_of_day(ends, ZONE))
        handle = await self._episode(subscription)
        change_dates(self._url, subscription, next_due=start_of_day(today + timedelta(days=9), ZONE))
        await handle.signal(SubscriptionWorkflow.look_again)
        change_dates(self._url, subscription, status="canceled", next_due=None)
        await handle.signal(SubscriptionWorkflow.look_again)
        return handle

    async def subscription_with_notices(self) -> Handle:
        """A payer is told before the trial ends, and after all has ended."""
        today = local_date(await self._environment.get_current_time(), ZONE)
        trial_ends, ends = today + timedelta(days=10), today + timedelta(days=33)
        return await self._episode(
            self._add(
                status="trialing",
                trial_ends_on=trial_ends,
                ends_on=ends,
                next_due=start_of_day(trial_ends, ZONE),
            )
        )

    async def subscription_quiet(self) -> Handle:
        """Nothing is dated."""
        return await self._episode(self._add())

    async def sweep_pages(self) -> Handle:
        """One is overdue, four are near, in several pages."""
        now = await self._environment.get_current_time()
        for days in (-1, 2, 3, 4):
            self._add(next_due=now + timedelta(days=days))
        return await self._client.start_workflow(
            SweepWorkflow.run, SweepRequest(rate_per_second=0.1), id="sweep/recorded", task_queue=TASK_QUEUE
        )

    async def bill_run_preview(self) -> Handle:
        """A preview in two ranges."""
        return await self._bill_run(BillRunRequest(as_of=DUE, preview=True, chunk_size=20), "preview")

    async def bill_run_controlled(self) -> Handle:
        """A run that operators pause, resume, and cancel."""
        handle = await self._bill_run(
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
        return await self._bill_run(BillRunRequest(as_of=DUE, chunk_size=10, concurrency=2), "whole")

    async def bill_run_of_an_instant(self) -> Handle:
        """A run as the Schedule starts it: up to its own start."""
        return await self._bill_run(BillRunRequest(), "instant")

    async def webhook_delivery_retried(self) -> Handle:
        """Two messages of which one is delivered at the third attempt; another comes while the delivery sleeps."""
        async with receiving() as receiver:
            receiver.answers = [204, 500, 500, 204]
            endpoint = self._subscribe(receiver.url)
            self._tell()
            handle = await self._deliver(endpoint)
            async with asyncio.timeout(20):
                while len(receiver.received) < 2:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            self._tell()
            await handle.signal(WebhookDeliveryWorkflow.look_again)
            await handle.result()
            return handle

    async def webhook_delivery_gone(self) -> Handle:
        """An endpoint that wants no more."""
        async with receiving() as receiver:
            receiver.answers = [410]
            endpoint = self._subscribe(receiver.url)
            self._tell()
            handle = await self._deliver(endpoint)
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
            self.bill_run_of_an_instant,
            self.webhook_delivery_retried,
            self.webhook_delivery_gone,
        )
        return {story.__name__: story for story in told}

    def _add(
        self,
        *,
        status: str = "active",
        trial_ends_on: date | None = None,
        ends_on: date | None = None,
        next_due: datetime | None = None,
    ) -> str:
        with psycopg.connect(self._url) as connection:
            return add_subscription(
                connection,
                zone=str(ZONE),
                status=status,
                trial_ends_on=trial_ends_on,
                ends_on=ends_on,
                next_due=next_due,
            )

    async def _episode(self, subscription: str) -> Handle:
        return await self._client.start_workflow(
            SubscriptionWorkflow.run,
            EpisodeRequest(subscription_id=subscription),
            id=workflow_id(subscription),
            task_queue=TASK_QUEUE,
        )

    def _subscribe(self, url: str) -> str:
        engine = make_engine(self._url)
        try:
            return add_endpoint(
                engine, ENCRYPTION, url=url, kinds=["recorded.*"], allow_loopback=True
            ).endpoint.id
        finally:
            engine.dispose()

    def _tell(self) -> None:
        with psycopg.connect(self._url, autocommit=True) as connection:
            append_events(connection, [NewEvent("recorded.thing", None, str(uuid_utils.uuid7()), 1)] * 2)
            while fan_out(connection).moved:
                pass

    async def _deliver(self, endpoint: str) -> Handle:
        return await self._client.start_workflow(
            WebhookDeliveryWorkflow.run,
            DeliveryRequest(endpoint_id=endpoint, queue=TASK_QUEUE),
            id=webhook_delivery_id(endpoint),
            task_queue=TASK_QUEUE,
        )

    async def _bill_run(self, request: BillRunRequest, name: str) -> Handle:
        return await self._client.start_workflow(
            BillRunWorkflow.run, request, id=f"bill-run/{name}/recorded", task_queue=TASK_QUEUE
        )


async def record(url: str, wanted: list[str]) -> None:
    """Play the stories (`wanted` by name, or all) and write their histories."""
    engine = make_engine(url)
    build_fleet(engine, 60)
    async with time_skipping(identity=IDENTITY) as environment:
        episodes = Episodes(environment.client, "nobody")
        webhooks = WebhookActivities(engine, ENCRYPTION, allow_loopback=True)
        with (
            ThreadPoolExecutor(4) as threads,
            running_vendor() as vendor,
            ReferenceStandIn() as stand_in,
            AvaTaxStandIn() as avatax,
            StripeStandIn() as gateway,
            StripeStandIn() as stripe,
            AdyenStandIn() as adyen,
        ):
            checkouts = CheckoutStories(Shop(engine, environment.client, gateway), Opener(vendor.url))
            till = Till(engine, environment.client, {"stripe": stripe, "adyen": adyen})
            refunds = RefundStories(till, checkouts.open)
            calls = ConnectorActivities(engine, refunds.open)
            syncs = SyncStories(environment.client, engine, url, stand_in)
            taxes = TaxStories(environment.client, engine, avatax)
            dunnings = DunningStories(environment, engine, gateway)
            payments = PaymentStories(environment.client, engine, gateway)
            async with (
                Worker(
                    environment.client,
                    task_queue=TASK_QUEUE,
                    identity=IDENTITY,
                    workflows=registry.WORKFLOWS,
                    activities=[
                        *BillRunActivities(engine).all(),
                        *checkouts.activities(),
                        *dunnings.activities(),
                        *ParkedActivities(engine).all(),
                        *RefundActivities(engine).all(),
                        *payments.activities(),
                        *SubscriptionActivities(engine, checkouts.provisioner).all(),
                        *SweepActivities(engine, episodes).all(),
                        *RenewalActivities(engine).all(),
                        *SyncControlActivities(engine).all(),
                        *webhooks.all(),
                        *TestClockActivities(engine, Episodes(environment.client)).all(),
                    ],
                    activity_executor=threads,
                ),
                Worker(
                    environment.client,
                    task_queue=CALL_QUEUE,
                    identity=IDENTITY,
                    activities=[*calls.all(), *taxes.activities()],
                ),
                Worker(
                    environment.client,
                    task_queue=SYNC_QUEUE,
                    identity=IDENTITY,
                    activities=syncs.activities(),
                ),
            ):
                stories = Recorder(environment, url).stories()
                stories |= CallStories(environment.client, engine, vendor).stories()
                stories |= syncs.stories() | taxes.stories() | checkouts.stories()
                stories |= refunds.stories()
                stories |= ClockStories(environment.client, engine).stories()
                stories |= payments.stories()
                stories |= dunnings.stories()
                for name, story in stories.items():
                    if wanted and name not in wanted:
                        continue
                    handle = await story()
                    await handle.result()
                    history = await handle.fetch_history()
                    (FOLDER / f"{name}.json").write_text(json.dumps(history.to_json_dict(), indent=1) + "\n")
                    print(f"{name}: {len(history.events)} events")  # noqa: T201
    engine.dispose()


def main() -> int:
    """Record what the command line names, or everything."""
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres")
        server.start()
        try:
            url = server.url("postgres")
            upgrade(url)
            asyncio.run(record(url, sys.argv[1:]))
        finally:
            server.stop()
    return 0


if __name__ == "__main__":
    leave(main())
