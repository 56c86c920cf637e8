"""The stories of dunning, as `record` plays them: weeks on the time-skipping server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Engine
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from activities.dunning import DunningActivities
from connectors.sdk.connector import Connector
from contracts.dunning import LOOK_AGAIN, DunningRequest, DunningSweepRequest, Hold, HoldKind, Release
from contracts.names import TASK_QUEUE, dunning_id
from domain.account.commands import Pay
from operations.charges.methods import NewMethod, keep_method
from sandbox.stripe.stand_in import StripeStandIn
from storage.database import transaction
from tests.domain.simulation.playing import scenario, step
from tests.operations.dunning.live import LiveAccount
from tests.operations.dunning.outcomes import CATALOG, SIX_STEPS
from tests.workflows.paying import opened
from workflows.dunning import DunningSweepWorkflow, DunningWorkflow

Handle = WorkflowHandle[Any, Any]


class DunningStories:
    """Each method plays one story to its end."""

    def __init__(self, environment: WorkflowEnvironment, engine: Engine, stripe: StripeStandIn) -> None:
        self._environment = environment
        self._engine = engine
        self._stripe = stripe

    def activities(self) -> list[Callable[..., Any]]:
        """What runs on the queue."""
        return DunningActivities(self._engine, self._open).all()

    async def _open(self, name: str, /) -> Connector[Any]:
        return opened(name, self._stripe.url, timeout=5)

    async def dunning_never_paid(self) -> Handle:
        """All steps, to the write-off."""
        account = await self.owing()
        account.sweep(await self._environment.get_current_time())
        handle = await self.start(account)
        await handle.result()
        return handle

    async def dunning_paid(self) -> Handle:
        """A promise, and money in time."""
        account = await self.owing()
        now = await self._environment.get_current_time()
        account.sweep(now)
        handle = await self.start(account)
        await self._environment.sleep(timedelta(days=9))
        now = await self._environment.get_current_time()
        until = (now + timedelta(days=8)).date()
        promise = Hold(why=HoldKind.PROMISE, until=until, actor="anna", reason="said so", id=str(uuid4()))
        await account.hold(promise, now)
        await handle.signal(LOOK_AGAIN)
        await self._environment.sleep(timedelta(days=4))
        now = await self._environment.get_current_time()
        await asyncio.to_thread(account.step, Pay(at=now, do="pay"), now)
        await handle.signal(LOOK_AGAIN)
        await handle.result()
        return handle

    async def dunning_another_card(self) -> Handle:
        """A card that is expired, and another one."""
        account = await self.owing(code="expired_card")
        with transaction(self._engine) as connection:
            connection.execute("update charge set ended_at = now() - interval '1 day'")
            keep_method(connection, account.id, "live", NewMethod("cards", "pm_card_visa"))
        handle = await self.start(account)
        await handle.result()
        return handle

    async def dunning_held(self) -> Handle:
        """Operators hold it for a while, and release it before that is over."""
        account, handle = await self._reminded()
        until = (await self._environment.get_current_time() + timedelta(days=12)).date()
        held = Hold(why=HoldKind.DISPUTE, until=until, **_by_anna())
        await handle.execute_update(DunningWorkflow.hold, held)
        await self._environment.sleep(timedelta(days=3))
        await handle.execute_update(DunningWorkflow.release, Release(why=held.why, **_by_anna()))
        await self._environment.sleep(timedelta(days=1))
        now = await self._environment.get_current_time()
        await asyncio.to_thread(account.step, Pay(at=now, do="pay"), now)
        await handle.signal(LOOK_AGAIN)
        await handle.result()
        return handle

    async def dunning_paused(self) -> Handle:
        """Operators hold it without an end: nothing more is dated."""
        _, handle = await self._reminded()
        await handle.execute_update(DunningWorkflow.hold, Hold(why=HoldKind.PAUSE, **_by_anna()))
        await handle.result()
        return handle

    async def _reminded(self) -> tuple[LiveAccount, Handle]:
        account = await self.owing()
        account.sweep(await self._environment.get_current_time())
        handle = await self.start(account)
        await self._environment.sleep(timedelta(days=4))
        return account, handle

    async def dunning_sweep(self) -> Handle:
        """Two batches of a sweep."""
        for _ in range(2):
            await self.owing()
        handle = await self._environment.client.start_workflow(
            DunningSweepWorkflow.run, DunningSweepRequest(batch=1), id=str(uuid4()), task_queue=TASK_QUEUE
        )
        await handle.result()
        return handle

    async def owing(self, code: str | None = None) -> LiveAccount:
        """An account that was billed yesterday, by transfer, or by a card that is declined with `code`."""
        now = await self._environment.get_current_time()
        first = now.astimezone(UTC).date() - timedelta(days=1)
        declines = [step(str(first), "payment_fails", code=code)] if code else []
        owes = scenario(
            step(str(first), "subscribe", plan="news"),
            *declines,
            step(str(first), "bill"),
            account={"auto_pay": code is not None, "payment_terms_days": 0},
            policy={"dunning": SIX_STEPS},
        )
        return await asyncio.to_thread(lambda: LiveAccount(self._engine, owes, CATALOG).play())

    async def start(self, account: LiveAccount) -> Handle:
        """Its case is taken up."""
        return await self._environment.client.start_workflow(
            DunningWorkflow.run,
            DunningRequest(account_id=account.id),
            id=dunning_id(account.id),
            task_queue=TASK_QUEUE,
        )

    def stories(self) -> dict[str, Callable[[], Awaitable[Handle]]]:
        """All of them."""
        return {
            "dunning_another_card": self.dunning_another_card,
            "dunning_paid": self.dunning_paid,
            "dunning_never_paid": self.dunning_never_paid,
            "dunning_sweep": self.dunning_sweep,
            "dunning_held": self.dunning_held,
            "dunning_paused": self.dunning_paused,
        }


def _by_anna() -> dict[str, str]:
    return {"actor": "anna", "reason": "to be recorded", "id": str(uuid4())}
