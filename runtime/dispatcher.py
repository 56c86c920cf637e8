"""The dispatcher: carries events to the workflows that follow them up. Each worker runs one, and one of them leads."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import ParamSpec, TypeVar

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
from storage.database import PgConnection
from storage.events import WALKED_AT_ONCE
from storage.leadership import open_session, try_lead

log = logging.getLogger("masthead.dispatcher")

ROLE = 0x64697370  # any number, as long as it is the same everywhere
CANDIDATE_SECONDS = 1.0
IDLE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0
COMPLAIN_EVERY_SECONDS = 60.0
REFUSALS_BEFORE_PARKING = 5
TRY_PARKED_AGAIN_SECONDS = 300.0

# What Temporal answers to a request that is wrong in itself, as to one signal too many. The other kinds pass, or
# concern all requests alike (a namespace that is gone, a key that has expired): those wait, and doctor shows it.
_FOR_EVER = (
    RPCStatusCode.INVALID_ARGUMENT,
    RPCStatusCode.FAILED_PRECONDITION,
    RPCStatusCode.OUT_OF_RANGE,
)

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def dispatch(engine: Engine, client: Client) -> None:
    """Lead or stand by until canceled. A lost database costs the leadership, and whoever reaches it again first
    goes on from the cursors; while Temporal is away the leader keeps trying the batch that it has."""
    episodes = Episodes(client)
    complaints = Complaints()
    while True:
        try:
            await _Term(engine, episodes, complaints).serve()
        except* psycopg.Error as errors:
            complaints.tell("the database is away", _first(errors))
        await asyncio.sleep(CANDIDATE_SECONDS)


class Complaints:
    """Says once a minute what goes on being wrong."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def tell(self, what: str, error: BaseException) -> None:
        """Log a warning, unless the same was said a moment ago."""
        now = time.monotonic()
        if now - self._told.get(what, float("-inf")) >= COMPLAIN_EVERY_SECONDS:
            self._told[what] = now
            log.warning("%s, trying again: %s", what, str(error).partition("\n")[0])


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
    """One database session: first a candidate's, then perhaps the leader's."""

    def __init__(self, engine: Engine, episodes: Episodes, complaints: Complaints) -> None:
        self._engine = engine
        self._episodes = episodes
        self._complaints = complaints
        # The session belongs to one thread, so that a cancellation can never close it under a running statement.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dispatcher")
        self._session: PgConnection | None = None

    async def serve(self) -> None:
        """Wait for leadership, then lead until the session breaks (psycopg.Error)."""
        try:
            session = self._session = await self._run(open_session, self._engine)
            while True:
                if await self._run(try_lead, session, ROLE):
                    break
                await asyncio.sleep(CANDIDATE_SECONDS)
            log.info("this process dispatches events")
            async with asyncio.TaskGroup() as lanes:
                lanes.create_task(self._follow(session, CHANGES, self._carry_changes))
                lanes.create_task(self._follow(session, IMPORTS, self._carry_imports))
                lanes.create_task(self._try_parked_again(session))
        finally:
            self._thread.submit(self._close)
            self._thread.shutdown(wait=False)

    async def _follow(
        self, session: PgConnection, lane: Lane, carry: Callable[[PgConnection, FollowUps], Awaitable[None]]
    ) -> None:
        """Carry out the follow-ups of batch after batch, moving the cursor behind each."""
        while True:
            todo: FollowUps = await self._run(next_follow_ups, session, lane, datetime.now(UTC))
            if not todo.passed:
                await asyncio.sleep(IDLE_SECONDS)
                continue
            await carry(session, todo)
            await self._run(follow_ups_done, session, lane, todo)
            # A bill run writes thousands of events that nobody follows up: go past them in large steps.
            if not todo.near and not todo.quiet and todo.passed < WALKED_AT_ONCE:
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

    async def _run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await asyncio.wrap_future(self._thread.submit(function, *args, **kwargs))

    def _close(self) -> None:
        if self._session is not None:
            self._session.close()
