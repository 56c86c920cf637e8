"""Tax by connected engines, in each worker: quotes for bill runs, and, in the one that leads, the keeper of what has to
follow: documents that are to be recorded, and billing that waited for an engine which is back."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import psycopg
from sqlalchemy import Engine
from temporalio.client import Client
from temporalio.service import RPCError

from activities.tax_orders import TaxUse
from activities.tax_quotes import TaxQuotes
from activities.tax_step import EngineTaxes
from contracts.bill_run import BillRunRequest
from runtime.connections import Connections
from runtime.leading import CANDIDATE_SECONDS, Complaints, Lead
from runtime.settings import Settings
from runtime.tax_source import read_taxing
from storage.tax_documents import (
    PendingBilling,
    billing_pending,
    connections_due,
    hasten_decided,
    resolve_not_due,
)
from workflows.starts import start_bill_run
from workflows.tax_starts import start_tax_documents

log = logging.getLogger("masthead.taxing")

ROLE = 0x7461786B  # any number, as long as it is the same everywhere
LOOK_EVERY_SECONDS = 0.5
START_AGAIN_SECONDS = 2.0
DECIDED_EVERY_SECONDS = 5.0
PENDING_EVERY_SECONDS = 3.0
NOT_DUE_EVERY_SECONDS = 60.0


def tax_uses(settings: Settings) -> dict[str, TaxUse]:
    """Which connection taxes what is billed, by mode; none where nothing says so. The file was checked before, as
    connections were read from it."""
    return {} if settings.config_file is None else read_taxing(settings.config_file)


def bill_run_taxes(quotes: TaxQuotes) -> EngineTaxes:
    """What asks the engines for the bill runs of this process. To be called on the event loop that connections live
    on."""
    return EngineTaxes(quotes, asyncio.get_running_loop())


@asynccontextmanager
async def running_taxing(
    client: Client, engine: Engine, connections: Connections, uses: Mapping[str, TaxUse]
) -> AsyncIterator[None]:
    """Lead or stand by as the keeper, for as long as the block runs. It runs where no engine is configured, too: one
    that was may have left something to do."""
    keeper = asyncio.create_task(_keep(client, engine, connections, uses), name="keep_taxing")
    try:
        yield
    finally:
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


async def _keep(client: Client, engine: Engine, connections: Connections, uses: Mapping[str, TaxUse]) -> None:
    complaints = Complaints(log)
    while True:
        try:
            async with Lead(engine, ROLE, "tax-keeper") as lead:
                await _Term(lead, client, connections, uses, complaints).serve()
        except psycopg.Error as error:
            complaints.tell("the database is away", error)
        except Exception:
            log.exception("the keeper of tax failed; it is started again")
        await asyncio.sleep(CANDIDATE_SECONDS)


class _Term:
    """What the leader does."""

    def __init__(
        self,
        lead: Lead,
        client: Client,
        connections: Connections,
        uses: Mapping[str, TaxUse],
        complaints: Complaints,
    ) -> None:
        self._lead = lead
        self._client = client
        self._connections = connections
        self._uses = uses
        self._complaints = complaints
        self._done: dict[str, float] = {}

    async def serve(self) -> None:
        """Wait for leadership, then lead until the session breaks (psycopg.Error)."""
        session = await self._lead.won()
        while True:
            if self._is_time("hasten", DECIDED_EVERY_SECONDS):
                await self._lead.run(hasten_decided, session)
            for name in await self._lead.run(connections_due, session):
                if self._is_time(f"start {name}", START_AGAIN_SECONDS):
                    await self._record(name)
            if self._is_time("resolve", NOT_DUE_EVERY_SECONDS):
                await self._lead.run(resolve_not_due, session)
            if self._is_time("catch up", PENDING_EVERY_SECONDS):
                await self._catch_up(await self._lead.run(billing_pending, session))
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    def _is_time(self, what: str, every: float) -> bool:
        now = time.monotonic()
        if now - self._done.get(what, float("-inf")) < every:
            return False
        self._done[what] = now
        return True

    async def _record(self, connection: str) -> None:
        try:
            await start_tax_documents(self._client, connection)
        except RPCError as error:
            self._complaints.tell("Temporal did not start the recording of tax documents", error)

    async def _catch_up(self, waiting: list[PendingBilling]) -> None:
        """Bill what waited for an engine that is back, each run's accounts for that run's own day."""
        back: dict[str, bool] = {}
        for pending in waiting:
            if not pending.ready:
                continue
            use = self._uses.get(pending.mode)
            if use is not None and use.connection not in back:
                health = await self._connections.health(use.connection)
                back[use.connection] = health.ok
            if use is not None and not back[use.connection]:
                continue
            order = BillRunRequest(
                as_of=pending.day,
                instant=pending.instant,
                scope=f"tax-pending:{pending.run_id}",
                mode=pending.mode,
            )
            log.info("%d accounts waited for their tax: they are billed now", pending.accounts)
            try:
                await start_bill_run(self._client, order)
            except RPCError as error:
                self._complaints.tell("Temporal did not start the billing of what waited for tax", error)
