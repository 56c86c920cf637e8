"""The keeper of licences and parcels: asks for what is due, writes down what was answered, and sees to issues and
renewed licences. Each worker runs one, and one of them leads; all that it goes by stands in the rows."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import psycopg
import sqlalchemy.exc
from sqlalchemy import Engine
from temporalio.client import Client
from temporalio.service import RPCError

from contracts.connector_call import CallRef
from operations.fulfilment import looking, sending, settling
from operations.fulfilment.sending import FulfilledBy
from operations.tariffs import Tariffs
from runtime.leading import CANDIDATE_SECONDS, Complaints, Lead
from storage.database import transaction
from workflows.call_starts import start_call

log = logging.getLogger("masthead.fulfilment_keeper")

ROLE = 0x66756C66  # any number, as long as it is the same everywhere
LOOK_EVERY_SECONDS = 5.0


@asynccontextmanager
async def running_fulfilment(
    client: Client, engine: Engine, fulfilled_by: FulfilledBy
) -> AsyncIterator[None]:
    """Look after licences and parcels beside the block."""
    task = asyncio.create_task(keep_fulfilment(client, engine, fulfilled_by), name="fulfilment-keeper")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def keep_fulfilment(client: Client, engine: Engine, fulfilled_by: FulfilledBy) -> None:
    """Lead or stand by until canceled; a lost database costs the leadership."""
    complaints = Complaints(log)
    keeper = FulfilmentKeeper(client, engine, fulfilled_by, complaints)
    while True:
        try:
            async with Lead(engine, ROLE, "fulfilment-keeper") as lead:
                session = await lead.won()
                while True:
                    await lead.run(session.execute, b"select 1")
                    if not await keeper.round(datetime.now(UTC)):
                        await asyncio.sleep(LOOK_EVERY_SECONDS)
        except (psycopg.Error, sqlalchemy.exc.OperationalError) as error:
            complaints.tell("the database is away", error)
        except Exception as error:
            log.exception("looking after licences and parcels failed; it is begun again")
            complaints.tell("looking after licences and parcels failed", error)
        await asyncio.sleep(CANDIDATE_SECONDS)


class FulfilmentKeeper:
    """What one round does."""

    def __init__(
        self,
        client: Client,
        engine: Engine,
        fulfilled_by: FulfilledBy,
        complaints: Complaints | None = None,
    ) -> None:
        self._client = client
        self._engine = engine
        self._fulfilled_by = fulfilled_by
        self._tariffs = Tariffs(engine)
        self._complaints = complaints or Complaints(log)

    async def round(self, now: datetime) -> bool:
        """Everything that there is to do at `now`, up to a few hundred of each; whether there may be more."""
        noted = await asyncio.to_thread(self._take_note, now)
        looked = await asyncio.to_thread(self._look, now)
        calls = await asyncio.to_thread(self._ask, now)
        await self._start(calls)
        return noted >= settling.AT_ONCE or looked >= looking.AT_ONCE or len(calls) >= sending.AT_ONCE

    def _take_note(self, now: datetime) -> int:
        with transaction(self._engine) as connection:
            return settling.take_note(connection, now)

    def _look(self, now: datetime) -> int:
        return looking.look_anew(self._engine, self._tariffs.current(), now)

    def _ask(self, now: datetime) -> list[CallRef]:
        with transaction(self._engine) as connection:
            return sending.ask(connection, self._fulfilled_by, now)

    async def _start(self, calls: list[CallRef]) -> None:
        """While Temporal is away the keeper of calls starts them later."""
        for call in calls:
            try:
                await start_call(self._client, call)
            except RPCError as error:
                self._complaints.tell("Temporal did not start all calls", error)
                return
