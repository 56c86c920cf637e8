"""The sweep over cards on file that expire soon: hourly, for each card and month once. Each worker runs one, and one of
them leads."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, date, datetime

import psycopg
from sqlalchemy import Engine
from temporalio.client import Client

from runtime.leading import CANDIDATE_SECONDS, Complaints, Lead
from storage.card_notices import tell_expiring_cards
from storage.database import transaction
from storage.payment_links import forget_old_links

log = logging.getLogger("masthead.card_sweep")

ROLE = 0x63617264  # any number, as long as it is the same everywhere
EVERY_SECONDS = 3600.0


async def sweep_cards(engine: Engine, _: Client) -> None:
    """Lead or stand by until canceled; a lost database costs the leadership."""
    complaints = Complaints(log)
    while True:
        try:
            async with Lead(engine, ROLE, "card-sweep") as lead:
                await lead.won()
                while True:
                    told = await asyncio.to_thread(sweep, engine, datetime.now(UTC).date())
                    log.info("%d payers are told that their card expires", told)
                    await asyncio.sleep(EVERY_SECONDS)
        except psycopg.Error as error:
            complaints.tell("the database is away", error)
        await asyncio.sleep(CANDIDATE_SECONDS)


def sweep(engine: Engine, today: date) -> int:
    """One sweep for the day `today`; how many payers are told. Old links to the page for paying are forgotten, too."""
    with transaction(engine) as connection:
        forget_old_links(connection)
        return tell_expiring_cards(connection, today)
