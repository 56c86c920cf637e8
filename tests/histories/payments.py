"""The stories of payment runs, as `record` plays them: against a gateway's stand-in on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Engine
from temporalio.client import Client, WorkflowHandle

from activities.payment_run import PaymentRunActivities
from bench.fleet import DUE
from connectors.sdk.connector import Connector
from contracts.bill_run import Control
from contracts.names import TASK_QUEUE
from contracts.payment_run import PaymentRunRequest
from sandbox.stripe.stand_in import StripeStandIn
from tests.operations.billed import bill
from tests.operations.charges.charged import Fleet
from tests.workflows.paying import opened
from workflows.payment_run import PaymentRunWorkflow

Handle = WorkflowHandle[Any, Any]

ORDER = Control(actor="recorder", reason="to be recorded")


class PaymentStories:
    """Each method plays one story to its end."""

    def __init__(self, client: Client, engine: Engine, gateway: StripeStandIn) -> None:
        self._client = client
        self._engine = engine
        self._gateway = gateway

    async def open(self, name: str, /) -> Connector[Any]:
        """The connection to the gateway."""
        return opened(name, self._gateway.url, timeout=5)

    def activities(self) -> list[Callable[..., Any]]:
        """Those of payment runs."""
        return PaymentRunActivities(self._engine, self.open).all()

    async def payment_run_preview(self) -> Handle:
        """A preview; what there is to charge is made first."""
        bill(self._engine, DUE)
        self._give_cards()
        return await self._run(PaymentRunRequest(as_of=DUE, preview=True), "preview")

    async def run_of_all(self, request: PaymentRunRequest) -> Handle:
        """A run over a fleet that is billed and gets its cards here."""
        self._give_cards()
        return await self._run(request, "all")

    def _give_cards(self) -> None:
        fleet = Fleet.there(self._engine)
        fleet.do("update account set auto_pay = true")
        for account in fleet.accounts:
            fleet.give_card(account)

    async def payment_run_controlled(self) -> Handle:
        """A run that operators pause, resume, and cancel."""
        handle = await self._run(PaymentRunRequest(as_of=DUE, chunk_size=1, concurrency=1), "controlled")
        async with asyncio.timeout(20):
            while (await handle.query(PaymentRunWorkflow.progress)).status != "running":  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await handle.execute_update(PaymentRunWorkflow.pause, ORDER)
        await handle.execute_update(PaymentRunWorkflow.resume, ORDER)
        await handle.execute_update(PaymentRunWorkflow.cancel, ORDER)
        return handle

    async def payment_run(self) -> Handle:
        """A run of several chunks."""
        return await self._run(PaymentRunRequest(as_of=DUE, chunk_size=10, concurrency=2), "whole")

    async def payment_run_of_an_instant(self) -> Handle:
        """A run as the Schedule starts it: what is due at its own start."""
        return await self._run(PaymentRunRequest(), "instant")

    def stories(self) -> dict[str, Callable[[], Awaitable[Handle]]]:
        """All of them, in the order in which they can be played on one database."""
        told = (
            self.payment_run_preview,
            self.payment_run_controlled,
            self.payment_run,
            self.payment_run_of_an_instant,
        )
        return {story.__name__: story for story in told}

    async def _run(self, request: PaymentRunRequest, name: str) -> Handle:
        return await self._client.start_workflow(
            PaymentRunWorkflow.run, request, id=f"payment-run/{name}/recorded", task_queue=TASK_QUEUE
        )
