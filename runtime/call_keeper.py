"""The keeper of calls: starts the process of calls that have lost theirs, because whoever prepared them died before it
was started, or because it was ended. Each worker runs one, and one of them leads."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import psycopg
from sqlalchemy import Engine
from temporalio.client import Client
from temporalio.service import RPCError

from operations.calls.prepare import ref_of
from runtime.leading import CANDIDATE_SECONDS, Complaints, Lead
from storage.calls import CallRow, unattended_calls
from storage.database import PgConnection
from workflows.call_starts import start_call

log = logging.getLogger("masthead.call_keeper")

ROLE = 0x63616C6C  # any number, as long as it is the same everywhere
LOOK_EVERY_SECONDS = 60.0
IDLE = timedelta(minutes=5)
# Looked at in one round, of each kind; the next round goes on behind them.
AT_ONCE = 200
# How far back intents are looked for; what is older was parked long ago.
INTENTS_BACK = timedelta(days=3)
_FIRST = str(UUID(int=0))


async def keep_calls(engine: Engine, client: Client) -> None:
    """Lead or stand by until canceled; a lost database costs the leadership."""
    complaints = Complaints(log)
    while True:
        try:
            async with Lead(engine, ROLE, "call-keeper") as lead:
                session = await lead.won()
                behind = {False: _FIRST, True: _FIRST}
                while True:
                    for intents in behind:
                        look = partial(_unattended, session, intents, behind[intents])
                        rows = await lead.run(look)
                        await _start(client, rows, complaints)
                        behind[intents] = rows[-1].id if len(rows) == AT_ONCE else _FIRST
                    await asyncio.sleep(LOOK_EVERY_SECONDS)
        except psycopg.Error as error:
            complaints.tell("the database is away", error)
        await asyncio.sleep(CANDIDATE_SECONDS)


def _unattended(session: PgConnection, intents: bool, behind: str) -> list[CallRow]:
    after = max(behind, oldest_id(datetime.now(UTC) - INTENTS_BACK)) if intents else behind
    return unattended_calls(session, intents=intents, after=after, idle=IDLE, limit=AT_ONCE)


async def _start(client: Client, rows: list[CallRow], complaints: Complaints) -> None:
    """Those that are going on are joined and not disturbed. While Temporal is away the next round tries again."""
    for row in rows:
        try:
            await start_call(client, ref_of(row), wake=False)
        except RPCError as error:
            complaints.tell("Temporal did not start all calls that lost their process", error)


def oldest_id(at: datetime) -> str:
    """The first id of its time (UUID version 7: the milliseconds since 1970 come first)."""
    return str(UUID(int=(int(at.timestamp() * 1000) << 80)))
