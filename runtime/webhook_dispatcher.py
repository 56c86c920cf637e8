"""The dispatcher of webhooks that came in: each endpoint's inbox, batch after batch, to the handlers. Each worker runs
one, and one of them leads."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec, TypeVar

import psycopg
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from connectors.sdk.webhooks.recipe import UNTIMED_DAYS, Recipe
from connectors.sdk.webhooks.shelf import bundled_recipes
from operations.checkout.told import keep_and_wake
from operations.webhooks_in.apply import Applied, apply_batch
from operations.webhooks_in.handlers import Signal, WebhookHandlers
from runtime.leading import CANDIDATE_SECONDS, Complaints, Lead
from storage.database import PgConnection, transaction
from storage.inbound_endpoints import InboundEndpoint, endpoints_with_work, recipes_in_use
from storage.webhook_inbox import PURGED_AT_ONCE, purge

log = logging.getLogger("masthead.webhooks_in")

ROLE = 0x77686B69  # any number, as long as it is the same everywhere
# Somebody may wait for an effect: look often while webhooks come, and seldom when they do not. (A notification of the
# database would be quicker still, but those are written one commit at a time: the intake would queue for them.)
BUSY_SECONDS = 0.05
IDLE_SECONDS = 0.25
BUSY_FOR_SECONDS = 30.0
AT_ONCE = 4
SIGNAL_TIMEOUT = timedelta(seconds=5)
PURGE_EVERY_SECONDS = 3600.0
FIRST_PURGE_AFTER_SECONDS = 5.0  # with the lead: a process may be restarted more often than each hour

_P = ParamSpec("_P")
_T = TypeVar("_T")

# Called once per process with its handlers, before the first webhook is applied; see `register_handlers`.
_registrars: list[Callable[[WebhookHandlers, Engine], None]] = []


def register_handlers(registrar: Callable[[WebhookHandlers, Engine], None]) -> None:
    """Let `registrar` add handlers to those of each process that dispatches from now on."""
    _registrars.append(registrar)


async def dispatch_webhooks(engine: Engine, client: Client) -> None:
    """Lead or stand by until canceled; a lost database costs the leadership."""
    handlers = WebhookHandlers(keep_and_wake)
    for registrar in _registrars:
        registrar(handlers, engine)
    complaints = Complaints(log)
    while True:
        try:
            async with Lead(engine, ROLE, "webhooks-in") as lead:
                await Term(lead, engine, client, handlers, bundled_recipes(), complaints).serve()
        except (psycopg.Error, SQLAlchemyError) as error:
            complaints.tell("the database is away", error)
        await asyncio.sleep(CANDIDATE_SECONDS)


class Term:
    """What the leader does."""

    def __init__(
        self,
        lead: Lead,
        engine: Engine,
        client: Client | None,
        handlers: WebhookHandlers,
        recipes: Mapping[str, Recipe],
        complaints: Complaints,
    ) -> None:
        self._session = lead
        self._engine = engine
        self._client = client
        self._handlers = handlers
        self._recipes = recipes
        self._complaints = complaints
        self._appliers = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="webhooks-apply")
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def serve(self) -> None:
        """Wait for leadership, then lead until the session breaks (psycopg.Error)."""
        try:
            await self._lead(await self._session.won())
        finally:
            tasks = list(self._under_way.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._appliers.shutdown(wait=False)

    async def _lead(self, session: PgConnection) -> None:
        last_work = time.monotonic()
        purge_at = last_work + FIRST_PURGE_AFTER_SECONDS
        while True:
            waiting = await self._session.run(endpoints_with_work, session)
            for endpoint in waiting:
                if endpoint.id not in self._under_way:
                    self._watch(endpoint.id, self._drain(endpoint))
            if waiting:
                last_work = time.monotonic()
            if time.monotonic() >= purge_at:
                purge_at = time.monotonic() + PURGE_EVERY_SECONDS
                self._watch("purge", self._purge())
            busy = time.monotonic() - last_work < BUSY_FOR_SECONDS
            await asyncio.sleep(BUSY_SECONDS if busy else IDLE_SECONDS)

    def _watch(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._under_way[name] = task = asyncio.create_task(work, name=f"webhooks: {name}")
        task.add_done_callback(lambda _: self._under_way.pop(name, None))

    async def _purge(self) -> None:
        try:
            await self._apply(purge_all, self._engine, self._recipes, datetime.now(UTC))
        except (psycopg.Error, SQLAlchemyError) as error:
            self._complaints.tell("old webhooks cannot be removed", error)

    async def _drain(self, endpoint: InboundEndpoint) -> None:
        """Apply what waits at one endpoint until nothing does. What goes wrong here is told and costs this endpoint a
        moment, and no other one anything."""
        try:
            while True:
                applied: Applied = await self._apply(apply_batch, self._engine, endpoint, self._handlers)
                if applied.parked:
                    log.warning("%d webhooks are parked: masthead errors", applied.parked)
                await self._signal(applied.signals)
                if not applied.taken:
                    return
        except (psycopg.Error, SQLAlchemyError) as error:
            self._complaints.tell(f"webhooks of {endpoint.connection} cannot be applied", error)
        except Exception:
            log.exception("webhooks of %s cannot be applied", endpoint.connection)
        await asyncio.sleep(CANDIDATE_SECONDS)

    async def _signal(self, signals: Sequence[Signal]) -> None:
        """Tell open workflows. While Temporal is away the rest of the batch is not told: nothing here may wait for it,
        and a signal is a hint."""
        if self._client is None:
            return
        for signal in signals:
            try:
                await self._client.get_workflow_handle(signal.workflow_id).signal(
                    signal.name, signal.argument, rpc_timeout=SIGNAL_TIMEOUT
                )
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    self._complaints.tell("workflows could not be signalled", error)
                    return

    async def _apply(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await asyncio.wrap_future(self._appliers.submit(function, *args, **kwargs))


def purge_all(engine: Engine, recipes: Mapping[str, Recipe], now: datetime) -> int:
    """Remove what is decided and was kept for as long as its recipe says; answers how many. Each step is a short
    transaction of its own."""
    with transaction(engine) as connection:
        endpoints = recipes_in_use(connection)
    removed = 0
    for endpoint, name in endpoints:
        recipe = recipes.get(name)
        before = now - timedelta(days=recipe.kept_days if recipe is not None else UNTIMED_DAYS)
        while True:
            with transaction(engine) as connection:
                gone = purge(connection, endpoint, before)
            removed += gone
            if gone < PURGED_AT_ONCE:
                break
    return removed
