"""The story of a sync, as `record` plays it: against the reference stand-in on a real socket."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Engine
from temporalio.client import Client, WorkflowHandle

from activities.sync import SyncActivities
from contracts.names import SYNC_QUEUE, TASK_QUEUE, sync_id
from contracts.sync import SyncControl, SyncRequest
from sandbox.reference.stand_in import ReferenceStandIn
from tests.synced import NAME, Synced, add_account, flow_of, set_status, until
from workflows.connector_sync import ConnectorSyncWorkflow

ORDER = SyncControl(actor="recorder", reason="to be recorded")

Handle = WorkflowHandle[Any, Any]


class SyncStories:
    """Each method plays one story to its end."""

    def __init__(self, client: Client, engine: Engine, url: str, stand_in: ReferenceStandIn) -> None:
        self._client = client
        self._url = url
        self._stand_in = stand_in
        with tempfile.TemporaryDirectory() as folder:
            self._synced = Synced(engine, stand_in, [flow_of(Path(folder))])

    def activities(self) -> list[Callable[..., Any]]:
        """What runs on the queue of turns."""
        synced = self._synced
        return SyncActivities(synced.engine, synced.open, lambda _: synced.flows, synced.note).all()

    async def connector_sync(self) -> Handle:
        """The other system is away at first; it is told, held, told the rest, and the flow is taken away."""
        with psycopg.connect(self._url) as connection:
            account = add_account(connection, "recorded")
        self._stand_in.inject("unavailable", times=1, path="/crm/upsert")
        handle = await self.start()
        await until(lambda: "recorded" in self._synced.records())
        await handle.execute_update(ConnectorSyncWorkflow.pause, ORDER)
        with psycopg.connect(self._url) as connection:
            set_status(connection, account, "paused")
        await handle.execute_update(ConnectorSyncWorkflow.resume, ORDER)
        await until(lambda: self._synced.records()["recorded"]["status"] == "paused")
        self.take_away()
        return handle

    async def start(self, turn_seconds: float = 1800) -> Handle:
        """The connection's sync begins."""
        return await self._client.start_workflow(
            ConnectorSyncWorkflow.run,
            SyncRequest(connection=NAME, queue=SYNC_QUEUE, report_seconds=0.1, turn_seconds=turn_seconds),
            id=sync_id(NAME),
            task_queue=TASK_QUEUE,
        )

    def take_away(self) -> None:
        """The connection has no flows any more."""
        self._synced.flows = None

    def stories(self) -> dict[str, Callable[[], Awaitable[Handle]]]:
        """All of them."""
        return {"connector_sync": self.connector_sync}
