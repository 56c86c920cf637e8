"""Workers killed (SIGKILL) in the middle of a payment run: another goes on, and everybody is charged once."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.fleet import DUE
from contracts.bill_run import RunStatus
from contracts.payment_run import PaymentRunRequest
from runtime.temporal import connect
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.workflows.paying import CARDS, Till, differences
from workflows.starts import start_payment_run

CHECKOUT = Path(__file__).parents[2]
POINTS = (
    "before-begin-charges",
    "after-begin-charges",
    "after-begin-sends",
    "before-settle-charges",  # the gateway has answered, and nothing of it is committed
    "before-settle-commit",
    "after-settle-charges",
    "after-charges",
)

pytestmark = pytest.mark.deep


@pytest.mark.parametrize("point", POINTS)
async def test_a_killed_worker_charges_nobody_twice(
    pg_server: PostgresForTests, temporal_address: str, tmp_path: Path, point: str
) -> None:
    url = pg_server.fresh_database("till_killed")
    engine = make_engine(url)
    till = Till(engine, await connect(temporal_address, NAMESPACE))
    marker = tmp_path / "died"
    with till.stripe as gateway, (tmp_path / "worker.log").open("ab") as log:

        def work(dies: str) -> subprocess.Popen[bytes]:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.workflows.till_worker"],
                cwd=CHECKOUT,
                stdout=log,
                stderr=log,
                env=os.environ
                | {
                    "PYTHONPATH": str(CHECKOUT),
                    "DATABASE_URL": url,
                    "TEMPORAL_ADDRESS": temporal_address,
                    "GATEWAY_URL": gateway.url,
                    "MASTHEAD_FAIL_POINT": dies,
                },
            )

        first = work(f"{point}:2:{marker}")
        try:
            request = PaymentRunRequest(as_of=DUE, chunk_size=4, concurrency=1, heartbeat_seconds=2)
            handle = await start_payment_run(till.client, request)
            await asyncio.wait_for(asyncio.to_thread(first.wait), 90)
            assert marker.exists(), "the worker did not come to the place where it dies"
            second = work("")
            try:
                result = await asyncio.wait_for(handle.result(), 90)
            finally:
                second.kill()
                second.wait()
        finally:
            first.kill()
            first.wait()
        assert result.status is RunStatus.COMPLETED
        assert result.charges == {"succeeded": len(till.fleet.accounts)}
        assert gateway.effects.count("charge") == len(till.fleet.accounts)
        assert differences(till.fleet, {CARDS: gateway}) == []
        till.fleet.lawful()
    engine.dispose()
