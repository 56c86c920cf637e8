"""Keeping other systems in step, in each worker: the queue of turns, and starting the workflow of each connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial

from sqlalchemy import Engine
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.sync import SyncActivities, start_sync
from activities.sync_flow import ConnectionFlows, FlowsOf, InboundFlow
from contracts.names import SYNC_QUEUE
from operations.webhooks_in.handlers import WebhookHandlers
from runtime.connection_source import ConnectionSpec
from runtime.connections import Connections
from runtime.flow_handlers import handler_of
from runtime.flow_source import SHIPPED, FlowShelf, read_flows
from runtime.gateway_webhooks import take_gateway_webhooks
from runtime.leading import Complaints
from runtime.settings import Settings
from runtime.webhook_dispatcher import register_handlers
from workflows.call_starts import start_call

log = logging.getLogger("masthead.syncs")

# Turns wait for what there is to tell: one for each connection, and room for many.
TURNS_AT_ONCE = 100
START_AGAIN_SECONDS = 60.0
GRACEFUL_SHUTDOWN = timedelta(seconds=10)
# A pause comes with a heartbeat.
HEARTBEAT_AT_LEAST_EVERY = timedelta(seconds=2)
FOLDER = "flows"


def load_flows(settings: Settings) -> FlowShelf:
    """The flows of the house, and those in `flows/` beside masthead.yaml. Raises FlowErrors with everything that is
    wrong with any of them."""
    own = settings.config_file.parent / FOLDER if settings.config_file is not None else SHIPPED
    return read_flows([SHIPPED, own] if own != SHIPPED and own.is_dir() else [SHIPPED])


def flows_of(specs: Iterable[ConnectionSpec], shelf: FlowShelf) -> FlowsOf:
    """Which flows each connection has, as its configuration lists them."""
    found = {
        spec.name: ConnectionFlows(spec.name, spec.mode, tuple(shelf.flows[name] for name in spec.flows))
        for spec in specs
        if spec.enabled and spec.flows
    }
    return found.get


@asynccontextmanager
async def running_syncs(
    client: Client,
    engine: Engine,
    connections: Connections,
    shelf: FlowShelf,
    failed: Callable[[BaseException], Awaitable[None]],
) -> AsyncIterator[None]:
    """Turns on this process, for as long as the block runs; none where no connection lists a flow. What webhooks tell
    goes to the flows that name it, else to the reading of payment gateways'."""
    of = flows_of(connections, shelf)
    kept = [spec.name for spec in connections if of(spec.name) is not None]
    for name in kept:
        register_handlers(partial(_take_webhooks, of, name))
    take_gateway_webhooks(connections)
    if not kept:
        yield
        return
    activities = SyncActivities(engine, connections.open, of, partial(start_call, client))
    worker = Worker(
        client,
        task_queue=SYNC_QUEUE,
        activities=activities.all(),
        max_concurrent_activities=TURNS_AT_ONCE,
        graceful_shutdown_timeout=GRACEFUL_SHUTDOWN,
        max_heartbeat_throttle_interval=HEARTBEAT_AT_LEAST_EVERY,
        on_fatal_error=failed,
    )
    async with worker:
        starting = asyncio.create_task(_keep_started(client, kept), name="keep_started")
        try:
            yield
        finally:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)


async def _keep_started(client: Client, connections: list[str]) -> None:
    """Every worker does it: one that runs is left in peace."""
    complaints = Complaints()
    while True:
        for connection in connections:
            try:
                await start_sync(client, connection)
            except RPCError as error:
                complaints.tell(f"the sync of {connection} cannot be started", error)
        await asyncio.sleep(START_AGAIN_SECONDS)


def _take_webhooks(of: FlowsOf, connection: str, handlers: WebhookHandlers, engine: Engine) -> None:
    flows = of(connection)
    for flow in flows.flows if flows else ():
        if isinstance(flow, InboundFlow) and flow.webhook is not None and flows is not None:
            handlers.register_for(connection, flows.mode, flow.webhook, handler_of(flows.plan(flow), flow))
