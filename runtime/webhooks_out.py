"""Webhooks going out, in each worker: the queue that sends, and, in the one that leads, the reader of the event log."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import psycopg
from sqlalchemy import Engine
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker

from activities.webhooks_out import Deliveries, WebhookActivities
from contracts.names import WEBHOOK_QUEUE
from operations.webhooks_out.fan_out import FannedOut, fan_out
from operations.webhooks_out.upkeep import AT_ONCE, forget_old_messages
from runtime.leading import CANDIDATE_SECONDS, Complaints, Lead
from runtime.settings import load_settings
from storage.database import PgConnection
from storage.encryption import Encryption, SecretKeyError
from storage.webhooks_out import called_endpoints, calls_answered, neglected_endpoints

log = logging.getLogger("masthead.webhooks")

ROLE = 0x77686F6B  # any number, as long as it is the same everywhere
IDLE_SECONDS = 0.5
UPKEEP_SECONDS = 60.0
NEGLECTED_AFTER = timedelta(minutes=2)
CALLS_AT_ONCE = 8
# Sending is waiting: so many endpoints may be slow at the same time before one waits for another.
ENDPOINTS_AT_ONCE = 200
GRACEFUL_SHUTDOWN = timedelta(seconds=5)


async def send_webhooks(engine: Engine, client: Client) -> None:
    """Send what waits, and lead or stand by as the reader of the event log, until canceled."""
    settings = load_settings()
    activities = WebhookActivities(
        engine, encryption_of(settings.secret_key), allow_loopback=settings.allow_loopback
    )
    worker = Worker(
        client,
        task_queue=WEBHOOK_QUEUE,
        activities=activities.all(),
        max_concurrent_activities=ENDPOINTS_AT_ONCE,
        graceful_shutdown_timeout=GRACEFUL_SHUTDOWN,
    )
    try:
        async with worker:
            await read_events(engine, Deliveries(client))
    finally:
        activities.close()


def encryption_of(setting: str | None) -> Encryption:
    """The keys of `setting`. None at all where it is wrong, and the log says so: each delivery then fails with what to
    do, and goes on when the worker has been started with the right one."""
    try:
        return Encryption.of(setting)
    except SecretKeyError as error:
        log.error("webhooks cannot be signed: %s", error)
        return Encryption([])


async def read_events(engine: Engine, deliveries: Deliveries) -> None:
    """Lead or stand by until canceled. A lost database costs the leadership; whoever reaches it again first goes on
    from the cursor."""
    complaints = Complaints(log)
    while True:
        try:
            async with Lead(engine, ROLE, "webhooks-out") as lead:
                await _Term(lead, deliveries, complaints).serve()
        except psycopg.Error as error:
            complaints.tell("the database is away", error)
        await asyncio.sleep(CANDIDATE_SECONDS)


class _Term:
    """What the leader does."""

    def __init__(self, lead: Lead, deliveries: Deliveries, complaints: Complaints) -> None:
        self._run = lead.run
        self._lead = lead
        self._deliveries = deliveries
        self._complaints = complaints
        self._kept_up = 0.0

    async def serve(self) -> None:
        """Wait for leadership, then lead until the session breaks (psycopg.Error)."""
        session = await self._lead.won()
        while True:
            done = await self._fan_out(session)
            called = await self._run(called_endpoints, session)
            await self._run(calls_answered, session, await self._call(called))
            await self._keep_up(session)
            if not done.messages:
                await asyncio.sleep(0 if done.more else IDLE_SECONDS)

    async def _fan_out(self, session: PgConnection) -> FannedOut:
        """The next batch. One that met another's change is undone, and read again at once with the lead kept."""
        try:
            return await self._run(fan_out, session)
        except psycopg.errors.SerializationFailure as error:
            self._complaints.tell("a batch of events met another's change", error)
            return FannedOut(moved=False, more=True, messages=0)

    async def _call(self, called: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
        """Call the workflows of endpoints; answers those that were. The others are called again with the next batch,
        and hold up nothing."""
        gate = asyncio.Semaphore(CALLS_AT_ONCE)

        async def one(endpoint_id: str) -> None:
            async with gate:
                await self._deliveries.call(endpoint_id)

        results = await asyncio.gather(*(one(endpoint) for endpoint, _ in called), return_exceptions=True)
        for result in results:
            if isinstance(result, RPCError):
                self._complaints.tell("Temporal did not take all calls for webhooks", result)
            elif isinstance(result, BaseException):
                raise result
        return [each for each, result in zip(called, results, strict=True) if result is None]

    async def _keep_up(self, session: PgConnection) -> None:
        if time.monotonic() - self._kept_up < UPKEEP_SECONDS:
            return
        self._kept_up = time.monotonic()
        now = datetime.now(UTC)
        neglected = await self._run(neglected_endpoints, session, now - NEGLECTED_AFTER)
        await self._call([(endpoint, 0) for endpoint in neglected])
        while await self._run(forget_old_messages, session, now) == AT_ONCE:
            pass
