"""One life of a worker that charges a payment run's chunks, in a process of its own: it may be killed in the middle."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from activities.call_attempt import Patience
from activities.charges import ChargeSender
from connectors.sdk.connector import Connector
from operations.billrun import fail_points
from operations.charges.run import PaymentRuns
from operations.tariffs import Tariffs
from storage.database import make_engine
from tests.workflows.paying import opened

ROUNDS = (timedelta(seconds=0.02), timedelta(seconds=0.1))


@dataclass(frozen=True)
class Life:
    """What a worker has to do. urls: of the gateways by connection. runs: by id, with how many chunks each has. dies: a
    fail point as MASTHEAD_FAIL_POINT has it, "" for none. timeout: seconds of one call to a gateway."""

    database: str
    urls: Mapping[str, str]
    runs: Sequence[tuple[str, int]]
    now: datetime
    day: date
    timeout: float
    dies: str = ""


def live(life: Life) -> None:
    """Charge all chunks of the runs, as their activity does, or die on the way."""
    fail_points._SPEC = life.dies
    fail_points._hits = 0
    asyncio.run(_charge(life))


async def _charge(life: Life) -> None:
    engine = make_engine(life.database)

    async def open_connector(name: str, /) -> Connector[Any]:
        return opened(name, life.urls[name], timeout=life.timeout)

    runs = PaymentRuns(engine)
    sender = ChargeSender(
        engine, open_connector, Tariffs(engine), Patience(send=timedelta(seconds=5)), ROUNDS
    )
    try:
        for run_id, chunks in life.runs:
            for no in range(chunks):
                await asyncio.to_thread(runs.begin, run_id, no, life.now, life.day)
                fail_points.fail_point("after-begin-charges")
                await sender.send(await asyncio.to_thread(runs.to_send, run_id, no), life.now)
    finally:
        engine.dispose()
