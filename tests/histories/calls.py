"""The stories of calls to other systems, as `record` plays them: against a vendor on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import Engine
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client, WorkflowHandle

from contracts.parked import RESOLVE, Action, Resolve
from operations.parked.decide import Decision, decide
from storage.database import transaction
from tests.activities.acme import Vendor
from tests.activities.calling import prepare
from workflows.call_starts import CallHandle, start_call

WHO, WHY = "recorder", "to be recorded"

Handle = WorkflowHandle[Any, Any]


class CallStories:
    """Each method plays one story to its end."""

    def __init__(self, client: Client, engine: Engine, vendor: Vendor) -> None:
        self._client = client
        self._engine = engine
        self._vendor = vendor

    async def connector_call(self) -> Handle:
        """A call that goes well."""
        return await self._start("pay")

    async def connector_call_unknown(self) -> Handle:
        """A call whose answer is lost twice: it is sent again, and goes well."""
        return await self._start("pay", "dropped after", "dropped after")

    async def connector_call_resolved(self) -> Handle:
        """A call that is refused twice: retried, then skipped, by updates."""
        handle = await self._start("ship", "422", "422")
        await self._decide(handle, Action.RETRY)
        await self._decide(handle, Action.SKIP)
        return handle

    async def connector_call_edited(self) -> Handle:
        """A call that is refused, edited in Postgres, and looked at by the workflow itself: nobody told it."""
        handle = await self._start("ship", "422")
        park = await self._parked(handle)
        decision = Decision(Action.EDIT, WHO, WHY, {"weight": 1})
        with transaction(self._engine) as connection:
            decide(connection, park, decision, check=lambda *_: {})
        return handle

    def stories(self) -> dict[str, Callable[[], Awaitable[Handle]]]:
        """All of them."""
        told = (
            self.connector_call,
            self.connector_call_unknown,
            self.connector_call_resolved,
            self.connector_call_edited,
        )
        return {story.__name__: story for story in told}

    async def _start(self, to: str, *faults: str) -> CallHandle:
        self._vendor.faults = list(faults)
        return await start_call(self._client, prepare(self._engine, to).ref)

    async def _parked(self, handle: CallHandle) -> str:
        """Wait until the workflow shows what is parked; its id."""
        async with asyncio.timeout(20):
            while True:
                with transaction(self._engine) as connection:
                    row = connection.execute(
                        "select id::text from parked where resolved_at is null"
                    ).fetchone()
                seen = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
                if row is not None and row[0] in seen.current_details:
                    return str(row[0])
                await asyncio.sleep(0.02)

    async def _decide(self, handle: CallHandle, action: Action) -> None:
        park = await self._parked(handle)
        await handle.execute_update(RESOLVE, Resolve(action=action, actor=WHO, reason=WHY, park_id=park))
