"""The keeper of charges: writes into the books what their calls have come to, where nobody else does. Each worker runs
one, and one of them leads."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import psycopg
import sqlalchemy.exc
from sqlalchemy import Engine
from temporalio.client import Client

from operations.charges.catching_up import AT_ONCE, catch_up
from operations.tariffs import Tariffs
from runtime.leading import CANDIDATE_SECONDS, Complaints, Lead

log = logging.getLogger("masthead.charge_keeper")

ROLE = 0x63686172  # any number, as long as it is the same everywhere
LOOK_EVERY_SECONDS = 15.0
# A run writes down what it sent within a few seconds.
IDLE = timedelta(seconds=30)


async def keep_charges(engine: Engine, client: Client) -> None:
    """Lead or stand by until canceled; a lost database costs the leadership."""
    complaints, tariffs = Complaints(log), Tariffs(engine)
    while True:
        try:
            async with Lead(engine, ROLE, "charge-keeper") as lead:
                await lead.won()
                while True:
                    done = await asyncio.to_thread(catch_up, engine, tariffs, datetime.now(UTC), IDLE)
                    if len(done) < AT_ONCE:
                        await asyncio.sleep(LOOK_EVERY_SECONDS)
        except (psycopg.Error, sqlalchemy.exc.OperationalError) as error:
            complaints.tell("the database is away", error)
        await asyncio.sleep(CANDIDATE_SECONDS)
