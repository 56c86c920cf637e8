"""One life of a worker that charges payment runs' chunks and pays refunds, in a process of its own: it may be killed in
the middle."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Engine

from activities.call_attempt import Attempt, Patience
from activities.charges import ChargeSender
from connectors.sdk import resolution
from connectors.sdk.connector import Connector
from connectors.sdk.errors import ConnectorError
from connectors.sdk.methods import all_methods
from operations.billrun import fail_points
from operations.charges.run import PaymentRuns
from operations.refunds.settling import begin, note_answer
from operations.tariffs import Tariffs
from storage.database import make_engine, transaction
from tests.faults.payment_temporal import serve
from tests.workflows.paying import opened

T = TypeVar("T")

ROUNDS = (timedelta(seconds=0.02), timedelta(seconds=0.1))
PATIENCE = Patience(send=timedelta(seconds=5))
REFUND = all_methods()["payment.refund"]
PAUSES = (timedelta(seconds=0.1),)  # instead of those that leave a gateway in doubt seconds to recover


@dataclass(frozen=True)
class Life:
    """What a worker has to do. urls: of the gateways by connection. runs: by id, with how many chunks each has. dies: a
    fail point as MASTHEAD_FAIL_POINT has it, "" for none. timeout: seconds of one call to a gateway. patient: it tries
    again by itself. temporal: address and namespace of the server that gives it its work instead of `runs`."""

    database: str
    urls: Mapping[str, str]
    runs: Sequence[tuple[str, int]]
    now: datetime
    day: date
    timeout: float
    dies: str = ""
    patient: bool = True
    temporal: tuple[str, str] | None = None


def live(life: Life) -> None:
    """Charge all chunks of the runs, pay all refunds that wait, or die on the way."""
    fail_points._SPEC = life.dies
    fail_points._hits = 0
    resolution.PAUSES = PAUSES
    asyncio.run(_work(life))


async def _work(life: Life) -> None:
    engine = make_engine(life.database)

    async def open_connector(name: str, /) -> Connector[Any]:
        return opened(name, life.urls[name], timeout=life.timeout)

    runs = PaymentRuns(engine)
    rounds = ROUNDS if life.patient else ()
    sender = ChargeSender(engine, open_connector, Tariffs(engine), PATIENCE, rounds)
    refunds = Refunds(engine, open_connector, life.now)
    try:
        if life.temporal is not None:
            await serve(life.temporal, engine, open_connector, sender, PATIENCE)
            return
        async with asyncio.TaskGroup() as both:
            both.create_task(refunds.pay())
            for run_id, chunks in life.runs:
                for no in range(chunks):
                    await asyncio.to_thread(runs.begin, run_id, no, life.now, life.day)
                    fail_points.fail_point("after-begin-charges")
                    await sender.send(await asyncio.to_thread(runs.to_send, run_id, no), life.now)
    finally:
        engine.dispose()


class Refunds:
    """Pays refunds that wait, step by step as their process does."""

    def __init__(self, engine: Engine, open_connector: Callable[[str], Any], now: datetime) -> None:
        self._engine = engine
        self._open = open_connector
        self._tariffs = Tariffs(engine)
        self._now = now

    async def pay(self) -> None:
        """All of them, one after the other."""
        for (own,) in await self._do(
            lambda connection: connection.execute(
                "select id::text from refund where status = 'pending' order by id"
            ).fetchall()
        ):
            await self._pay(own)

    async def _pay(self, own: str) -> None:
        standing = await self._do(lambda connection: begin(connection, own, self._now))
        fail_points.fail_point("after-begin-refund")
        if standing.call is None:
            return
        with suppress(ConnectorError):  # not applied: a later life tries again
            await Attempt(self._engine, PATIENCE, REFUND, standing.call.call_id, None).go(self._open)
        fail_points.fail_point("before-note-refund")

        def note(connection: Any) -> None:
            note_answer(connection, self._tariffs.current(), own, self._now)
            fail_points.fail_point("before-note-refund-commit")

        await self._do(note)
        fail_points.fail_point("after-note-refund")

    async def _do(self, step: Callable[[Any], T]) -> T:
        def run() -> T:
            with transaction(self._engine) as connection:
                return step(connection)

        return await asyncio.to_thread(run)
