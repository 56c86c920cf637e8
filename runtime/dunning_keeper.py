"""The keeper of dunning: carries what changes about accounts in dunning to their workflows, and opens those of cases
that have something to do and no workflow. Each worker runs one, and one of them leads."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import psycopg
from sqlalchemy import Engine
from temporalio.client import Client
from temporalio.service import RPCError

from activities.dunning import DunningWorkflows
from operations.dunning.news import news_told, next_news
from runtime.leading import CANDIDATE_SECONDS, Complaints, Lead
from storage.database import PgConnection
from storage.dunning import unattended_cases

log = logging.getLogger("masthead.dunning_keeper")

ROLE = 0x64756E6E  # any number, as long as it is the same everywhere
IDLE_SECONDS = 1.0
LOOK_EVERY_SECONDS = 60.0
AT_ONCE = 200
# A case whose workflow has been away for so long is opened again; one that is open moves its date on within seconds.
OVERDUE = timedelta(minutes=2)
LONGEST_PAUSE_SECONDS = 5.0
# The embedded server looks after some 12 to 25 new workflows a second.
PAUSE_BETWEEN_SECONDS = 0.02
_FIRST = str(UUID(int=0))


async def keep_dunning(engine: Engine, client: Client) -> None:
    """Lead or stand by until canceled; a lost database costs the leadership, and whoever reaches it again goes on from
    the cursor."""
    keeper = _Keeper(DunningWorkflows(client), Complaints(log))
    while True:
        try:
            async with Lead(engine, ROLE, "dunning-keeper") as lead:
                session = await lead.won()
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(keeper.follow(lead, session))
                    tasks.create_task(keeper.look_after(lead, session))
        except* psycopg.Error as errors:
            keeper.complaints.tell("the database is away", errors.exceptions[0])
        await asyncio.sleep(CANDIDATE_SECONDS)


class _Keeper:
    """What the leader does."""

    def __init__(self, workflows: DunningWorkflows, complaints: Complaints) -> None:
        self._workflows = workflows
        self.complaints = complaints

    async def follow(self, lead: Lead, session: PgConnection) -> None:
        """Let the workflow of each account in dunning that an event names look again, batch after batch."""
        while True:
            news = await lead.run(next_news, session)
            if news.upto == news.seen:
                await asyncio.sleep(IDLE_SECONDS)
                continue
            await self._persist(news.accounts, self._workflows.signal)
            await self._persist(news.ended, self._workflows.wake)
            await lead.run(news_told, session, news)
            if not (news.more or news.accounts):
                await asyncio.sleep(IDLE_SECONDS)

    async def look_after(self, lead: Lead, session: PgConnection) -> None:
        """Open the workflows of cases that should have been looked at by now."""
        while True:
            behind = _FIRST
            while True:
                until = datetime.now(UTC) - OVERDUE
                accounts = await lead.run(unattended_cases, session, until, behind, AT_ONCE)
                await self._persist(accounts, self._workflows.signal)
                if len(accounts) < AT_ONCE:
                    break
                behind = accounts[-1]
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _persist(self, accounts: Sequence[str], step: Callable[[str], Awaitable[None]]) -> None:
        """Do `step` for all of `accounts`, again where Temporal was away."""
        pause = 0.1
        waiting = list(accounts)
        while waiting:
            try:
                await step(waiting[0])
                waiting.pop(0)
                pause = 0.1
                await asyncio.sleep(PAUSE_BETWEEN_SECONDS)
            except RPCError as error:
                self.complaints.tell("Temporal did not take the dunning of an account", error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
