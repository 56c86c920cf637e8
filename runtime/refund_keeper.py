"""The keeper of refunds: those that were promised and not begun are begun, and disputes of payments that were not known
here when they were told of are brought into the books. Each worker runs one, and one of them leads."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import psycopg
from sqlalchemy import Engine
from temporalio.client import Client
from temporalio.service import RPCError

from contracts.refund import RefundInput
from operations.refunds.disputes import attach
from operations.tariffs import Tariffs
from runtime.leading import CANDIDATE_SECONDS, Complaints, Lead
from storage.database import PgConnection, transaction
from storage.refunds import unbegun_refunds
from workflows.refund_starts import start_refund

log = logging.getLogger("masthead.refund_keeper")

ROLE = 0x72666E64  # any number, as long as it is the same everywhere
LOOK_EVERY_SECONDS = 5.0
IDLE = timedelta(seconds=2)
AT_ONCE = 200


async def keep_refunds(engine: Engine, client: Client) -> None:
    """Lead or stand by until canceled; a lost database costs the leadership."""
    complaints = Complaints(log)
    tariffs = Tariffs(engine)
    while True:
        try:
            async with Lead(engine, ROLE, "refund-keeper") as lead:
                session = await lead.won()
                while True:
                    await look(lead, session, client, datetime.now(UTC), complaints)
                    await asyncio.to_thread(attach_all, engine, tariffs, datetime.now(UTC))
                    await asyncio.sleep(LOOK_EVERY_SECONDS)
        except psycopg.Error as error:
            complaints.tell("the database is away", error)
        await asyncio.sleep(CANDIDATE_SECONDS)


async def look(
    lead: Lead, session: PgConnection, client: Client, now: datetime, complaints: Complaints
) -> None:
    """One round at the instant `now`. While Temporal is away the next round tries again."""
    for each in await lead.run(unbegun_refunds, session, now - IDLE, AT_ONCE):
        try:
            await start_refund(client, RefundInput(refund_id=each.id, account_id=each.account_id))
        except RPCError as error:
            complaints.tell("Temporal did not begin all refunds that wait", error)
            return


def attach_all(engine: Engine, tariffs: Tariffs, now: datetime) -> int:
    """Disputes whose payment has become known; how many."""
    with transaction(engine) as connection:
        return attach(connection, tariffs.current(connection), now)
