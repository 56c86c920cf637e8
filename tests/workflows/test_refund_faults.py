"""A refund's call meets every fault that a gateway may commit, on both gateways; and workers die at every step of it.
The gateway's own log then shows exactly one refund for each row, and the books hold."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from contracts.parked import Action, Resolve
from contracts.refund import RefundStatus
from runtime.temporal import connect
from sandbox.adyen.stand_in import AdyenStandIn
from sandbox.faults import FAULTS
from sandbox.stripe.stand_in import StripeStandIn
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.workflows.deciding import decide
from tests.workflows.refunding import StandIn, Till
from workflows.refund_starts import RefundHandle

CHECKOUT = Path(__file__).parents[2]
PATHS = {"stripe": "/v1/refunds", "adyen": "*/payments/*/refunds"}
MAKES = {"stripe": StripeStandIn, "adyen": AdyenStandIn}
RETRY = Resolve(action=Action.RETRY, actor="ops", reason="the gateway is well again")
# What a person decides about: a key that is refused twice, and what the gateway may have meant.
STUCK = frozenset({"unauthorized_once", "unauthorized_forever"})
# Refused for good: nothing is paid, and the customer keeps it as account credit.
REFUSED = frozenset({"rejected"})
SAMPLE = ("drop_before", "drop_after", "error_in_200", "rejected", "stall_after", "unauthorized_once")


@pytest.fixture
async def till(pg_server: PostgresForTests, temporal_address: str) -> AsyncIterator[Till]:
    """A till whose gateways are added by the test; its laws are checked after it."""
    engine = make_engine(pg_server.fresh_database("refund_faults"))
    try:
        till = Till(engine, await connect(temporal_address, NAMESPACE), {})
        yield till
        till.check()
    finally:
        engine.dispose()


@pytest.fixture
def gateways() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.mark.parametrize(
    ("kind", "faults"),
    [
        *((kind, SAMPLE) for kind in MAKES),
        *(
            pytest.param(kind, [each for each in FAULTS if each not in SAMPLE], marks=pytest.mark.deep)
            for kind in MAKES
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{len(value)} faults",
)
async def test_each_fault_of_a_refund(till: Till, gateways: ExitStack, kind: str, faults: list[str]) -> None:
    async with till.working():
        handles: dict[str, RefundHandle] = {}
        rows = {}
        for fault in faults:
            # A gateway for each: a fault is met by its own refund, and no other waits meanwhile.
            gateway = till.gateways[fault] = gateways.enter_context(MAKES[kind]())
            row = rows[fault] = till.ask(await till.paid(fault), "3.00")
            gateway.inject(fault, method="POST", path=PATHS[kind], after=1, seconds=3.0)
            handles[fault] = await till.start(row)
        for fault, handle in handles.items():
            if fault in STUCK:
                await till.until(f"{fault}: stuck", lambda row=rows[fault]: till.row(row).park_id)
                till.gateways[fault].faults.clear()
                await decide(handle, RETRY)
            await till.told_of(rows[fault])
            result = await handle.result()
            wanted = RefundStatus.FAILED if fault in REFUSED else RefundStatus.SUCCEEDED
            assert (fault, result.status) == (fault, wanted)
        for fault in faults:
            made = till.gateways[fault].effects.count("refund", rows[fault].key)
            assert (fault, made) == (fault, 0 if fault in REFUSED else 1)


POINTS = ("after-begin-refund", "before-note-refund", "before-note-refund-commit", "after-note-refund")


class Workers:
    """Worker processes of one till, to be killed."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self._environment = os.environ | {"PYTHONPATH": str(CHECKOUT)} | environment
        self._log = folder / "worker.log"
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, **more: str) -> subprocess.Popen[bytes]:
        """Start one; it need not be ready when this returns."""
        with self._log.open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.workflows.refund_worker"],
                env=self._environment | more,
                cwd=CHECKOUT,
                stdout=log,
                stderr=log,
            )
        self.started.append(worker)
        return worker

    def kill_all(self) -> None:
        """End those that still run."""
        for worker in self.started:
            worker.kill()
            worker.wait()
        sys.stderr.write(self._log.read_text()[-5000:] if self._log.exists() else "")


@pytest.mark.deep
@pytest.mark.parametrize(
    ("kind", "point"),
    [(kind, point) for kind in MAKES for point in POINTS],
)
async def test_a_worker_killed_at(
    till: Till, gateways: ExitStack, tmp_path: Path, kind: str, point: str
) -> None:
    gateway = till.gateways[kind] = gateways.enter_context(MAKES[kind]())
    row = till.ask(await till.paid(kind), "3.00")
    marker = tmp_path / "killed"
    with _workers(till, tmp_path, kind, gateway) as workers:
        spec = {"MASTHEAD_FAIL_POINT": f"{point}:1:{marker}"}
        first = workers.start(**spec)
        handle = await till.start(row)
        await till.until("the worker has killed itself", lambda: first.poll() is not None, 60)
        assert marker.exists()
        workers.start(**spec)
        await till.until("noted", lambda: till.row(row).status != "pending", 60)
        await till.tell(kind)
        async with asyncio.timeout(60):
            assert (await handle.result()).status is RefundStatus.SUCCEEDED
    assert gateway.effects.count("refund", row.key) == 1


@pytest.mark.deep
@pytest.mark.parametrize("kind", MAKES)
async def test_a_worker_killed_between_the_gateways_answer_and_our_commit(
    till: Till, gateways: ExitStack, tmp_path: Path, kind: str
) -> None:
    """The gateway has paid, and nobody was there to hear of it."""
    gateway = till.gateways[kind] = gateways.enter_context(MAKES[kind]())
    row = till.ask(await till.paid(kind), "3.00")
    gateway.inject("stall_after", path=PATHS[kind], seconds=60.0)
    with _workers(till, tmp_path, kind, gateway) as workers:
        first = workers.start()
        handle = await till.start(row)
        await till.until("it is paid", lambda: gateway.count("refund") == 1, 60)
        first.kill()
        first.wait()
        assert till.call_status(row) == "sent"
        gateway.release()
        workers.start()
        await till.until("noted", lambda: till.row(row).status != "pending", 90)
        await till.tell(kind)
        async with asyncio.timeout(60):
            assert (await handle.result()).status is RefundStatus.SUCCEEDED
    assert gateway.effects.count("refund", row.key) == 1


def _workers(till: Till, folder: Path, kind: str, gateway: StandIn) -> _Closing:
    url = till.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    address = till.client.service_client.config.target_host
    return _Closing(
        Workers(folder, DATABASE_URL=url, TEMPORAL_ADDRESS=address, GATEWAY=kind, GATEWAY_URL=gateway.url)
    )


class _Closing:
    """Workers that are ended with the block."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def __enter__(self) -> Workers:
        return self._workers

    def __exit__(self, *_: object) -> None:
        self._workers.kill_all()
