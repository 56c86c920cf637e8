"""Asking gateways for charges of which nobody knows how they ended, by the schedule of `operations.charges.looks`. Each
worker runs one, and one of them leads; what is to be asked when stands in the rows, so that no asking is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import psycopg
from sqlalchemy import Engine

from activities.call_attempt import Attempt, OpenConnector, Patience
from connectors.sdk.capabilities.payment import Payment, PaymentGateway
from connectors.sdk.config import MissingSecret
from connectors.sdk.errors import ConnectorError, DefinitionError
from connectors.sdk.methods import method
from contracts.connector_call import CallStatus
from operations.charges.giving_up import canceled, not_canceled, order_cancel
from operations.charges.looks import Look, due_looks, found_at_gateway, told_by_its_call
from operations.charges.outcome import VOID, Came
from operations.tariffs import Tariff, Tariffs
from runtime.leading import CANDIDATE_SECONDS, Complaints, Lead
from storage.database import transaction

log = logging.getLogger("masthead.charge_looks")

ROLE = 0x6C6F6F6B  # any number, as long as it is the same everywhere
LOOK_EVERY_SECONDS = 5.0
AT_ONCE = 8
ASK_SECONDS = 60.0

PATIENCE = Patience(send=timedelta(seconds=ASK_SECONDS))

T = TypeVar("T")


@asynccontextmanager
async def running_looks(engine: Engine, open_connector: OpenConnector) -> AsyncIterator[None]:
    """Look after charges in doubt beside the block."""
    task = asyncio.create_task(keep_looking(engine, open_connector), name="charge-looks")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def keep_looking(engine: Engine, open_connector: OpenConnector) -> None:
    """Lead or stand by until canceled; a lost database costs the leadership."""
    complaints = Complaints(log)
    looks = ChargeLooks(engine, open_connector, complaints)
    while True:
        try:
            async with Lead(engine, ROLE, "charge-looks") as lead:
                session = await lead.won()
                while True:
                    await lead.run(session.execute, b"select 1")
                    await looks.look(datetime.now(UTC))
                    await asyncio.sleep(LOOK_EVERY_SECONDS)
        except psycopg.Error as error:
            complaints.tell("the database is away", error)
        except Exception as error:
            log.exception("looking after charges failed; it is begun again")
            complaints.tell("looking after charges failed", error)
        await asyncio.sleep(CANDIDATE_SECONDS)


class ChargeLooks:
    """Asks gateways by the connections of `open_connector`."""

    def __init__(self, engine: Engine, open_connector: OpenConnector, complaints: Complaints) -> None:
        self._engine = engine
        self._open = open_connector
        self._tariffs = Tariffs(engine)
        self._complaints = complaints

    async def look(self, now: datetime) -> int:
        """Ask for all charges that are due at `now`; how many there were."""
        asked = 0
        while looks := await self._do(lambda connection: due_looks(connection, now)):
            asked += len(looks)
            for first in range(0, len(looks), AT_ONCE):
                await self._ask_together(looks[first : first + AT_ONCE], now)
        return asked

    async def _ask_together(self, looks: Sequence[Look], now: datetime) -> None:
        async with asyncio.TaskGroup() as tasks:
            for look in looks:
                tasks.create_task(self._ask(look, now))

    async def _ask(self, look: Look, now: datetime) -> None:
        tariff = await asyncio.to_thread(self._tariffs.current)
        known = await self._do(lambda connection: told_by_its_call(connection, tariff, look.charge_id, now))
        if known is not None:
            return
        try:
            payment = await self._find(look)
            if payment is not None:
                answer = payment.model_dump(mode="json")
                came = await self._do(
                    lambda connection: found_at_gateway(connection, tariff, look.charge_id, answer, now)
                )
                log.info("charge %s was looked up at %s: %s", look.charge_id, look.connection, came.status)
            if look.overdue:
                await self._give_up(look, tariff, now)
        except (ConnectorError, DefinitionError, MissingSecret, TimeoutError) as error:
            self._complaints.tell(f"{look.connection} could not be asked for a charge in doubt", error)

    async def _give_up(self, look: Look, tariff: Tariff, now: datetime) -> None:
        """Cancel a charge whose customer did not come. What comes between is tried again with the next look."""
        call_id = await self._do(lambda connection: order_cancel(connection, look.charge_id, now))
        if call_id is None:
            return
        outcome = await Attempt(self._engine, PATIENCE, method(VOID), call_id, None).go(self._open)
        if outcome.status is CallStatus.PARKED:
            payment = await self._find(look)
            if payment is None:
                return
            answer = payment.model_dump(mode="json")
            came: Came | None = await self._do(
                lambda connection: not_canceled(connection, tariff, look.charge_id, call_id, answer, now)
            )
        else:
            came = await self._do(
                lambda connection: canceled(connection, tariff, look.charge_id, call_id, now)
            )
        if came is not None:
            log.info("charge %s waited too long for its customer: %s", look.charge_id, came.status)

    async def _find(self, look: Look) -> Payment | None:
        connector = await self._open(look.connection)
        try:
            if not isinstance(connector, PaymentGateway) or "find" in connector.cannot_answer:
                return None  # only its webhooks tell, or a person
            if look.mode == "test" and connector.context.mode != "test":
                return None
            async with asyncio.timeout(ASK_SECONDS):
                return await connector.find(look.reference, look.since)
        finally:
            await connector.aclose()

    async def _do(self, step: Callable[[Any], T]) -> T:
        def run() -> T:
            with transaction(self._engine) as connection:
                return step(connection)

        return await asyncio.to_thread(run)
