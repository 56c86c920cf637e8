"""Leading: of all workers one does a piece of background work, on a database session that holds the lead."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import ParamSpec, Self, TypeVar

from sqlalchemy import Engine

from storage.database import PgConnection
from storage.leadership import open_session, try_lead

log = logging.getLogger("masthead.leading")

CANDIDATE_SECONDS = 1.0
COMPLAIN_EVERY_SECONDS = 60.0

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Lead:
    """One database session: first a candidate's, then perhaps the leader's. `role` is a number that is the same in
    every process; `name` is for logs.

    It belongs to one thread, so that a cancellation can never close it under a running statement.
    """

    def __init__(self, engine: Engine, role: int, name: str) -> None:
        self._engine = engine
        self._role = role
        self._name = name
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)
        self._session: PgConnection | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Not waited for: a statement under way may take long, and closes with its end.
        self._thread.submit(self._close)
        self._thread.shutdown(wait=False)

    async def won(self) -> PgConnection:
        """Wait for the lead; the session that holds it. Raises psycopg.Error when the database is away."""
        session = self._session = await self.run(open_session, self._engine)
        while True:
            if await self.run(try_lead, session, self._role):
                break
            await asyncio.sleep(CANDIDATE_SECONDS)
        log.info("this process leads: %s", self._name)
        return session

    async def run(self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        """Call `function` in the session's thread."""
        return await asyncio.wrap_future(self._thread.submit(function, *args, **kwargs))

    def _close(self) -> None:
        if self._session is not None:
            self._session.close()


class Complaints:
    """Says once a minute what goes on being wrong."""

    def __init__(self, logger: logging.Logger = log) -> None:
        self._log = logger
        self._told: dict[str, float] = {}

    def tell(self, what: str, error: BaseException) -> None:
        """Log a warning, unless the same was said a moment ago."""
        now = time.monotonic()
        if now - self._told.get(what, float("-inf")) >= COMPLAIN_EVERY_SECONDS:
            self._told[what] = now
            self._log.warning("%s, trying again: %s", what, str(error).partition("\n")[0])
