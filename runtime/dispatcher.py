"""The dispatcher: carries events to the workflows that follow them up. Each worker runs one, and one of them leads."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import psycopg
from sqlalchemy import Engine
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from activities.subscription import Episodes, for_each
from contracts.subscription import EpisodeRef
from contracts.sweep import OPENED_PER_SECOND
from operations.dispatch import (
    CHANGES,
    IMPORTS,
    FollowUps,
    Lane,
    Refused,
    follow_ups_carried_out,
    follow_ups_done,
    next_follow_ups,
    park_follow_ups,
    parked_follow_ups,
)
from runtime.leading import CANDIDATE_SECONDS, Complaints, Lead
from storage.database import PgConnection

log = logging.getLogger("masthead.dispatcher")

ROLE = 0x64697370  # any number, as long as it is the same everywhere
IDLE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
REFUSALS_BEFORE_PARKING = 5
TRY_PARKED_AGAIN_SECONDS = 300.0

# What Temporal answers to a request that is wrong in itself, as to one signal too many. The other kinds pass, or
# concern all requests alike (a namespace that is gone, a key that has expired): those wait, and doctor shows it.
_FOR_EVER = (
    RPCStatusCode.INVALID_ARGUMENT,
    RPCStatusCode.FAILED_PRECONDITION,
    RPCStatusCode.OUT_OF_RANGE,
)


async def dispatch(engine: Engine, client: Client) -> None:
    """Lead or stand by until canceled. A lost database costs the leadership, and whoever reaches it again first
    goes on from the cursors; while Temporal is away the leader keeps trying the batch that it has."""
    episodes = Episodes(client)
    complaints = Complaints(log)
    while True:
        try:
            async with Lead(engine, ROLE, "dispatcher") as lead:
                await _Term(lead, episodes, complaints).serve()
        except* psycopg.Error as errors:
            complaints.tell("the database is away", _first(errors))
        await asyncio.sleep(CANDIDATE_SECONDS)


def _first(errors: BaseException) -> BaseException:
    while isinstance(errors, BaseExceptionGroup):
        errors = errors.exceptions[0]
    return errors


def _is_for_ever(error: Exception) -> bool:
    if isinstance(error, RPCError):
        return error.status in _FOR_EVER
    # Raised on our side, before anything is sent: the next try would do the same.
    return isinstance(error, (ValueError, TypeError))


def _refused(ref: EpisodeRef, error: Exception) -> Refused:
    kind = error.status.name.lower() if isinstance(error, RPCError) else type(error).__name__
    return Refused(
        ref, kind, f"Temporal does not take its follow-up: {str(error).partition(chr(10))[0]}"[:500]
    )


class _Term:
    """What the leader does."""

    def __init__(self, lead: Lead, episodes: Episodes, complaints: Complaints) -> None:
        self._run = lead.run
        self._lead = lead
        self._episodes = episodes
        self._complaints = complaints

    async def serve(self) -> None:
        """Wait for leadership, then lead until the session breaks (psycopg.Error)."""
        session = await self._lead.won()
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(self._follow(session, CHANGES, self._carry_changes))
            lanes.create_task(self._follow(session, IMPORTS, self._carry_imports))
            lanes.create_task(self._try_parked_again(session))

    async def _follow(
        self, session: PgConnection, lane: Lane, carry: Callable[[PgConnection, FollowUps], Awaitable[None]]
    ) -> None:
        """Carry out the follow-ups of batch after batch, moving the cursor behind each."""
        while True:
            todo: FollowUps = await self._run(next_follow_ups, session, lane, datetime.now(UTC))
            if todo.upto == todo.seen:
                await asyncio.sleep(IDLE_SECONDS)
                continue
            await carry(session, todo)
            await self._run(follow_ups_done, session, lane, todo)
            if not (todo.more or todo.near or todo.quiet):
                await asyncio.sleep(IDLE_SECONDS)

    async def _try_parked_again(self, session: PgConnection) -> None:
        """Carry out what had to be parked, once what was wrong is repaired."""
        while True:
            await asyncio.sleep(TRY_PARKED_AGAIN_SECONDS)
            near, quiet = await self._run(parked_follow_ups, session, datetime.now(UTC))
            for refs, step in ((near, self._episodes.signal), (quiet, self._episodes.wake)):
                failed = await for_each(refs, step)
                lost = {ref for ref, _ in failed}
                await self._run(park_follow_ups, session, [_refused(*each) for each in failed])
                await self._run(follow_ups_carried_out, session, [ref for ref in refs if ref not in lost])

    async def _carry_changes(self, session: PgConnection, todo: FollowUps) -> None:
        await self._persist(session, todo.near, self._episodes.signal)
        await self._persist(session, todo.quiet, self._episodes.wake)

    async def _carry_imports(self, session: PgConnection, todo: FollowUps) -> None:
        # What is new has no episode that could have to look again.
        await self._persist(session, todo.near, self._episodes.open, per_second=OPENED_PER_SECOND)

    async def _persist(
        self,
        session: PgConnection,
        refs: Sequence[EpisodeRef],
        step: Callable[[EpisodeRef], Awaitable[None]],
        *,
        per_second: float | None = None,
    ) -> None:
        """Do `step` for all of `refs`, and again for those that failed, until none is left. One that is refused for
        ever is parked, so that it does not hold up what comes behind it (law I8)."""
        pause = 0.1
        refusals: Counter[EpisodeRef] = Counter()
        while failed := await for_each(refs, step, per_second=per_second):
            self._complaints.tell("Temporal did not take all follow-ups", failed[0][1])
            refusals.update(ref for ref, error in failed if _is_for_ever(error))
            given_up = [each for each in failed if refusals[each[0]] >= REFUSALS_BEFORE_PARKING]
            if given_up:
                await self._run(park_follow_ups, session, [_refused(*each) for each in given_up])
                log.warning("%d follow-ups that Temporal refuses are parked: masthead errors", len(given_up))
            if not (refs := [ref for ref, _ in failed if refusals[ref] < REFUSALS_BEFORE_PARKING]):
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)
