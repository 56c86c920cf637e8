"""How routes reach the database: in a thread, in one transaction."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from fastapi import Request

from storage.database import PgConnection, transaction
from storage.turns import turns

Answer = TypeVar("Answer")


async def in_transaction(request: Request, work: Callable[[PgConnection], Answer]) -> Answer:
    """What `work` answers, committed; nothing of it when it raises."""
    return await _run(request, work, snapshot=False)


async def in_snapshot(request: Request, work: Callable[[PgConnection], Answer]) -> Answer:
    """What `work` reads, all of it as of one moment."""
    return await _run(request, work, snapshot=True)


async def _run(request: Request, work: Callable[[PgConnection], Answer], *, snapshot: bool) -> Answer:
    def run() -> Answer:
        with (
            transaction(request.app.state.engine, read_only_snapshot=snapshot) as connection,
            turns(connection),
        ):
            return work(connection)

    return await asyncio.to_thread(run)
