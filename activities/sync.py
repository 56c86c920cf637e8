"""Keeping other systems in step: a turn reads the event log for one connection until there is something to report.

What a turn has written is in Postgres with its cursor before the turn goes on; ending one anywhere loses nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine
from temporalio import activity
from temporalio.client import Client
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.call_attempt import described
from activities.errors import as_temporal, kind_of, pause_after
from activities.heartbeat import beating, pulse
from activities.sync_flow import FlowsOf
from activities.sync_single import CallStarter
from activities.sync_turn import OpenConnector, Turn
from connectors.sdk.config import MissingSecret
from connectors.sdk.errors import ConnectorError, DefinitionError, Transient
from contracts.names import CONNECTOR, SYNC_QUEUE, TASK_QUEUE, sync_id
from contracts.sync import (
    CONNECTOR_SYNC_WORKFLOW,
    SyncControlRecord,
    SyncRequest,
    TurnInput,
    TurnOutput,
)
from operations.audit import record_action

RPC_TIMEOUT = timedelta(seconds=10)
# How often it is tried where a person has to act first: credentials, configuration.
PERSON_PAUSE = timedelta(seconds=60)
DETAILS = (
    "Tells the other system what has changed, and takes what it tells us. It runs as long as masthead.yaml lists flows "
    "for the connection. What it has done and where it stands lie in Postgres: ending or deleting this loses nothing. "
    "Updates `pause` and `resume` (actor, reason) hold it and let it go on."
)


async def start_sync(client: Client, connection: str, queue: str = SYNC_QUEUE) -> None:
    """Make sure that the connection is kept in step."""
    await client.start_workflow(
        CONNECTOR_SYNC_WORKFLOW,
        SyncRequest(connection=connection, queue=queue),
        id=sync_id(connection),
        task_queue=TASK_QUEUE,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        search_attributes=TypedSearchAttributes([SearchAttributePair(CONNECTOR, connection)]),
        static_summary=f"keep {connection} in step",
        static_details=DETAILS,
        rpc_timeout=RPC_TIMEOUT,
    )


class SyncActivities:
    """Turns, on the database of `engine` and the connections of `open_connector`."""

    def __init__(
        self, engine: Engine, open_connector: OpenConnector, flows_of: FlowsOf, start_call: CallStarter
    ) -> None:
        self._engine = engine
        self._open = open_connector
        self._flows_of = flows_of
        self._start_call = start_call

    @activity.defn(name="sync_turn")
    async def turn(self, order: TurnInput) -> TurnOutput:
        """Keep the connection in step for a while. Fails, and is tried again after the pause that fits, while the
        other system takes nothing at all."""
        try:
            return await self._turned(order)
        except ApplicationError:
            raise
        except Exception as error:
            # What the database says of a failure may hold a person's data, and a history is kept.
            text = f"sync of {order.connection}: {described(error)}"
            raise ApplicationError(text, type=type(error).__name__) from None

    async def _turned(self, order: TurnInput) -> TurnOutput:
        turn = Turn(self._engine, order, self._open, self._flows_of, self._start_call)
        try:
            async with beating():
                return await turn.run(activity.is_worker_shutdown, _rest)
        except (ConnectorError, DefinitionError, MissingSecret) as error:
            await turn.note(kind_of(error), error)
            if turn.output.written:
                return turn.output  # it did something: the next try is a first one again
            raise _again(error, order.connection) from None

    def all(self) -> list[Callable[..., Any]]:
        """What runs on the queue of its own."""
        return [self.turn]


class SyncControlActivities:
    """What operators did, written down."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @activity.defn(name="record_sync_control", no_thread_cancel_exception=True)
    def record_control(self, order: SyncControlRecord) -> None:
        """Put an operator's action into the audit table; once per activity id."""
        info = activity.info()
        with pulse():
            record_action(
                self._engine,
                key=f"{info.workflow_run_id}/{info.activity_id}",
                actor=order.actor,
                action=order.action,
                subject=sync_id(order.connection),
                reason=order.reason,
            )

    def all(self) -> list[Callable[..., Any]]:
        """What runs beside the work on the books."""
        return [self.record_control]


async def _rest(seconds: float) -> None:
    """Wait, but not past the moment in which the worker begins to end."""
    with suppress(TimeoutError):
        await asyncio.wait_for(activity.wait_for_worker_shutdown(), seconds)


def _again(error: Exception, connection: str) -> ApplicationError:
    """Every trouble of a whole connection is tried again: nothing is lost by waiting. Upserts may be repeated, so an
    unknown outcome is no more than a transient one."""
    tries = activity.info().attempt
    if isinstance(error, Transient):
        return as_temporal(error, tries=tries, subject=f"sync of {connection}")
    waits_for_person = kind_of(error) in ("unauthorized", "definition", "rejected")
    return ApplicationError(
        f"sync of {connection}: {kind_of(error)}",
        type=type(error).__name__,
        next_retry_delay=PERSON_PAUSE if waits_for_person else pause_after(error, tries),
        category=ApplicationErrorCategory.UNSPECIFIED,
    )
