"""The keeper of checkouts: those that were written down and never begun, because Temporal was away or the API died.

Soon afterwards they are begun; later they are ended, so that nobody is charged for what they gave up, and nothing
personal of theirs is kept. Each worker runs one, and one of them leads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import psycopg
from sqlalchemy import Engine
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from contracts.checkout import CheckoutInput, CheckoutStatus
from contracts.names import checkout_id
from operations.checkout.ending import end
from runtime.leading import CANDIDATE_SECONDS, Complaints, Lead
from storage.checkouts import Unbegun, unbegun_checkouts
from storage.database import PgConnection
from workflows.checkout_starts import start_checkout

log = logging.getLogger("masthead.checkout_keeper")

ROLE = 0x63686B74  # any number, as long as it is the same everywhere
LOOK_EVERY_SECONDS = 30.0
IDLE = timedelta(minutes=1)
# Whoever has waited longer than this has left: the price may be another, and they are not there.
BEGUN_WITHIN = timedelta(minutes=10)
AT_ONCE = 100


async def keep_checkouts(engine: Engine, client: Client) -> None:
    """Lead or stand by until canceled; a lost database costs the leadership."""
    complaints = Complaints(log)
    while True:
        try:
            async with Lead(engine, ROLE, "checkout-keeper") as lead:
                session = await lead.won()
                while True:
                    await look(lead, session, client, datetime.now(UTC), complaints)
                    await asyncio.sleep(LOOK_EVERY_SECONDS)
        except psycopg.Error as error:
            complaints.tell("the database is away", error)
        await asyncio.sleep(CANDIDATE_SECONDS)


async def look(
    lead: Lead, session: PgConnection, client: Client, now: datetime, complaints: Complaints
) -> None:
    """One round at the instant `now`. While Temporal is away the next round tries again."""
    found: Sequence[Unbegun] = await lead.run(unbegun_checkouts, session, now - IDLE, AT_ONCE)
    for each in found:
        try:
            if each.created_at > now - BEGUN_WITHIN:
                await start_checkout(client, CheckoutInput(checkout_id=each.id, account_id=each.account_id))
            elif not await _is_there(client, each.id):
                await lead.run(end, session, each.id, CheckoutStatus.EXPIRED, "never_begun", now)
        except RPCError as error:
            complaints.tell("Temporal did not begin all checkouts that wait", error)


async def _is_there(client: Client, checkout: str) -> bool:
    try:
        await client.get_workflow_handle(checkout_id(checkout)).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return False
        raise
    return True
