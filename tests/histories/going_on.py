"""The stories of workflows whose history becomes long, as `record` plays them on a server that finds thirty events
long: each goes on in new executions, of which the first and the last are kept."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from bench.fleet import DUE
from contracts.bill_run import BillRunRequest
from contracts.payment_run import PaymentRunRequest
from domain.account.commands import Pay
from domain.periods import local_date, start_of_day
from runtime.temporal import MastheadPlugin
from tests.histories.cast import IDENTITY, Cast, Handle, Story
from tests.histories.plain import ZONE
from tests.names import NAMESPACE
from tests.receiver import receiving
from tests.subscribers import change_dates
from tests.temporal_server import TemporalServer
from workflows.checkout import CheckoutWorkflow
from workflows.dunning import DunningWorkflow
from workflows.subscription import SubscriptionWorkflow
from workflows.webhook_delivery import WebhookDeliveryWorkflow

LONG = "limit.historyCount.suggestContinueAsNew=30"


@asynccontextmanager
async def forgetful() -> AsyncIterator[WorkflowEnvironment]:
    """A server that finds a history long after a few events; its time is everybody's."""
    with tempfile.TemporaryDirectory() as folder:
        server = TemporalServer(Path(folder), "--dynamic-config-value", LONG)
        await server.start()
        try:
            client = await Client.connect(
                server.address, namespace=NAMESPACE, plugins=[MastheadPlugin()], identity=IDENTITY
            )
            yield WorkflowEnvironment.from_client(client)
        finally:
            await asyncio.to_thread(server.kill)


class GoingOnStories:
    """Each method plays one story to its end."""

    NAMES = (
        "bill_run_goes_on",
        "payment_run_goes_on",
        "subscription_goes_on",
        "dunning_goes_on",
        "checkout_goes_on",
        "webhook_delivery_goes_on",
        "tax_documents_go_on",
        "connector_sync_goes_on",
    )

    def __init__(self, cast: Cast) -> None:
        self._cast = cast
        self._client = cast.environment.client

    async def bill_run_goes_on(self) -> Handle:
        """More chunks than one execution bills."""
        return await self._cast.plain.run_bills(
            BillRunRequest(as_of=DUE, chunk_size=5, concurrency=2), "going on"
        )

    async def payment_run_goes_on(self) -> Handle:
        """More chunks than one execution charges."""
        return await self._cast.payments.run_of_all(PaymentRunRequest(as_of=DUE, chunk_size=5, concurrency=2))

    async def subscription_goes_on(self) -> Handle:
        """It is told again and again that something has changed, until its date is taken away."""
        now = await self._cast.environment.get_current_time()
        ends = local_date(now, ZONE) + timedelta(days=10)
        subscription = self._cast.plain.add(ends_on=ends, next_due=start_of_day(ends, ZONE))
        handle = await self._cast.plain.episode(subscription)
        await self._until_it_goes_on(handle, lambda latest: latest.signal(SubscriptionWorkflow.look_again))
        change_dates(self._cast.url, subscription, status="canceled", next_due=None)
        await self._latest(handle).signal(SubscriptionWorkflow.look_again)
        return handle

    async def dunning_goes_on(self) -> Handle:
        """The same, until it has paid."""
        account = await self._cast.dunnings.owing()
        account.sweep(await self._cast.environment.get_current_time())
        handle = await self._cast.dunnings.start(account)
        await self._until_it_goes_on(handle, lambda latest: latest.signal(DunningWorkflow.look_again))
        now = await self._cast.environment.get_current_time()
        await asyncio.to_thread(account.step, Pay(at=now, do="pay"), now)
        await self._latest(handle).signal(DunningWorkflow.look_again)
        return handle

    async def checkout_goes_on(self) -> Handle:
        """The gateway tells and tells while the customer is at the bank."""
        handle = await self._cast.checkouts.acting()
        await self._until_it_goes_on(handle, lambda latest: latest.signal(CheckoutWorkflow.confirm, None))
        url = self._cast.shop.row(handle.id.partition("/")[2]).next_action_url
        async with httpx.AsyncClient() as browser:
            await browser.post(f"{url}/approve")
        await self._latest(handle).signal(CheckoutWorkflow.confirm, None)
        return handle

    async def webhook_delivery_goes_on(self) -> Handle:
        """There is something new again and again while one attempt waits for its time."""
        async with receiving() as receiver:
            receiver.answers = [500, 204]
            endpoint = self._cast.plain.subscribe(receiver.url)
            self._cast.plain.tell()
            handle = await self._cast.plain.deliver(endpoint)
            await self._until_it_goes_on(
                handle, lambda latest: latest.signal(WebhookDeliveryWorkflow.look_again)
            )
            await handle.result()
        return handle

    async def tax_documents_go_on(self) -> Handle:
        """The engine stays away for some turns."""
        return await self._cast.taxes.away_for(4)

    async def connector_sync_goes_on(self) -> Handle:
        """Turn after turn, until the flow is taken away."""
        handle = await self._cast.syncs.start(turn_seconds=0.2)
        await self._until_it_goes_on(handle, lambda _: asyncio.sleep(0))
        self._cast.syncs.take_away()
        return handle

    def stories(self) -> dict[str, Story]:
        """All of them, in the order in which they can be played on one database."""
        return {name: getattr(self, name) for name in self.NAMES}

    def _latest(self, handle: Handle) -> Handle:
        return self._client.get_workflow_handle(handle.id)

    async def _until_it_goes_on(self, handle: Handle, again: Callable[[Handle], Awaitable[None]]) -> None:
        """Do `again` each time all is done that it was told to do, until it goes on in a new execution."""
        latest = self._latest(handle)
        first = await latest.describe()
        async with asyncio.timeout(60):
            while True:
                seen = await latest.describe()
                if seen.run_id != first.run_id:
                    return
                told = seen.raw_description
                if not told.HasField("pending_workflow_task") and not told.pending_activities:
                    await again(latest)
                await asyncio.sleep(0.05)
