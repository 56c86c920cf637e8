"""Workers killed in the middle of a checkout: it goes on elsewhere, and nothing is done twice or left behind."""

from __future__ import annotations

import ast
import asyncio
import inspect
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import activities.checkout
from contracts.checkout import CheckoutStatus, GatewayStep
from operations.checkout.begin import Order
from runtime.temporal import connect
from sandbox.reference.stand_in import ReferenceStandIn
from sandbox.stripe.stand_in import StripeStandIn
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.workflows.selling import ACCOUNT, BACK, Shop, open_account, order

CHECKOUT = Path(__file__).parents[2]
S = CheckoutStatus
PATIENCE: dict[str, Any] = {"action_within": timedelta(seconds=1), "looks": (timedelta(seconds=5),)}

LAST = {"method": "pm_card_visa", "return_url": BACK, "charge": "last"}
SALE, TRIAL, DEBIT = order(), order("digital-trial"), order(payment=LAST)
# Whose customer never comes back from the bank.
ABSENT, TRIAL_ABSENT = (
    order(card="threeDSecure2Required"),
    order("digital-trial", card="authenticationRequired"),
)
# Whose account somebody else opens meanwhile, when the gateway has taken the money at once.
TAKEN = order(opens=ACCOUNT | {"external_key": "reader-1"})
EBOOK = order("harbor-lights-ebook", "quarterdeck")

# Where the worker dies, what is sold, and how that ends; a capture is refused where a sale is declined.
POINTS: list[tuple[str, Order, CheckoutStatus]] = [
    ("before-post-commit", SALE, S.COMPLETED),
]
BOUNDARIES = ("after-order", "before-note", "after-note")
STEPS: list[tuple[GatewayStep, Order, CheckoutStatus]] = [
    (GatewayStep.AUTHORISE, SALE, S.COMPLETED),
    (GatewayStep.SET_UP, TRIAL, S.COMPLETED),
    (GatewayStep.CAPTURE, SALE, S.COMPLETED),
    (GatewayStep.CHARGE, DEBIT, S.COMPLETED),
    (GatewayStep.FIND, ABSENT, S.EXPIRED),
    (GatewayStep.FIND_SETUP, TRIAL_ABSENT, S.EXPIRED),
    (GatewayStep.VOID, ABSENT, S.EXPIRED),
    (GatewayStep.REFUND, TAKEN, S.REFUSED),
]
MORE: list[tuple[str, Order, CheckoutStatus]] = [
    *((f"{boundary}-{step.value}", asked, end) for step, asked, end in STEPS for boundary in BOUNDARIES),
    ("after-quote", SALE, S.COMPLETED),
    ("before-post", SALE, S.COMPLETED),
    ("after-post", SALE, S.COMPLETED),
    ("before-settle", SALE, S.COMPLETED),
    ("before-settle-commit", SALE, S.COMPLETED),
    ("after-settle", SALE, S.COMPLETED),
    ("before-end", ABSENT, S.EXPIRED),
    ("after-end", ABSENT, S.EXPIRED),
    ("before-take-back", SALE, S.DECLINED),
    ("before-take-back-commit", SALE, S.DECLINED),
    ("after-take-back", SALE, S.DECLINED),
]
FULFILLING = ("before-fulfil-commit", "after-fulfil")


def named_points() -> set[str]:
    """The fail points of a checkout's activities, as their source has them; one that is named by the gateway's step
    is one for each."""
    found: set[str] = set()
    for call in ast.walk(ast.parse(inspect.getsource(activities.checkout))):
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "fail_point":
            name = ast.literal_eval(ast.unparse(call.args[0]).lstrip("f"))
            found |= {name.replace("{order.step.value}", step.value) for step in GatewayStep}
    return found


def test_each_named_point_has_its_case() -> None:
    played = {point for point, _, _ in POINTS + MORE} | set(FULFILLING)
    assert played == named_points()


class Workers:
    """Worker processes of one shop."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self._environment = os.environ | {"PYTHONPATH": str(CHECKOUT)} | environment
        self._log = folder / "worker.log"
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, **more: str) -> subprocess.Popen[bytes]:
        """Start one; it need not be ready when this returns."""
        with self._log.open("ab") as log:
            worker = subprocess.Popen(
                [sys.executable, "-m", "tests.workflows.shop_worker"],
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
        sys.stderr.write(self._log.read_text()[-5000:])


@pytest.fixture
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("checkout_killed")


@pytest.fixture
async def shop(url: str, temporal_address: str) -> AsyncIterator[Shop]:
    """A shop without workers; after the test its laws are checked."""
    engine = make_engine(url)
    try:
        with StripeStandIn() as gateway:
            shop = Shop(engine, await connect(temporal_address, NAMESPACE), gateway)
            yield shop
            shop.check()
    finally:
        engine.dispose()


@pytest.fixture
def workers(url: str, temporal_address: str, shop: Shop, tmp_path: Path) -> Iterator[Workers]:
    workers = Workers(
        tmp_path, DATABASE_URL=url, TEMPORAL_ADDRESS=temporal_address, GATEWAY_URL=shop.gateway.url
    )
    try:
        yield workers
    finally:
        workers.kill_all()


@pytest.mark.parametrize(
    ("point", "asked", "end"),
    [*POINTS, *(pytest.param(*each, marks=pytest.mark.deep) for each in MORE)],
    ids=lambda value: value if isinstance(value, str) and "-" in value else "",
)
async def test_a_worker_killed_at(
    shop: Shop, workers: Workers, tmp_path: Path, point: str, asked: Order, end: CheckoutStatus
) -> None:
    if end is S.DECLINED:
        shop.gateway.inject("rejected", path="/v1/payment_intents/*/capture")
    marker = tmp_path / "killed"
    spec = {"MASTHEAD_FAIL_POINT": f"{point}:1:{marker}"}
    if asked is TAKEN:
        spec["TAKES_AT_ONCE"] = "1"
    handle = await shop.start(asked, **PATIENCE)
    if asked is TAKEN:
        open_account(shop.engine, "reader-1")
    first = workers.start(**spec)
    await shop.until("the worker has killed itself", lambda: first.poll() is not None, 60)
    assert marker.exists()
    workers.start(**spec)
    async with asyncio.timeout(90):
        assert (await handle.result()).status is end
    paid = (end is S.COMPLETED and asked is not TRIAL) or asked is TAKEN
    assert shop.gateway.count("charge") == paid
    assert shop.gateway.count("refund") == (asked is TAKEN)


@pytest.mark.deep
@pytest.mark.parametrize("point", FULFILLING)
async def test_a_worker_killed_as_licences_are_asked_for(
    shop: Shop, workers: Workers, tmp_path: Path, point: str
) -> None:
    """Each is given once, and no parcel is sent twice."""
    with ReferenceStandIn() as stand_in:
        spec = {"MASTHEAD_FAIL_POINT": f"{point}:1:{tmp_path / 'killed'}", "REFERENCE_URL": stand_in.url}
        first = workers.start(**spec)
        handle = await shop.start(EBOOK, **PATIENCE)
        await shop.until("the worker has killed itself", lambda: first.poll() is not None, 60)
        workers.start(**spec)
        async with asyncio.timeout(90):
            assert (await handle.result()).status is S.COMPLETED
        await shop.until("both licences are given", lambda: stand_in.count("grant") == 2)
        assert shop.rows("select count(*) from connector_call where method = 'drm.grant'") == [(2,)]


@pytest.mark.deep
async def test_a_worker_killed_while_the_money_is_taken(shop: Shop, workers: Workers) -> None:
    """The gateway has captured, and nobody was there to hear of it."""
    shop.gateway.inject("stall_after", path="/v1/payment_intents/*/capture", seconds=60.0)
    first = workers.start()
    handle = await shop.start(order(), **PATIENCE)
    await shop.until("the money is taken", lambda: shop.gateway.count("charge") == 1, 60)
    first.kill()
    first.wait()
    sent = "select status from connector_call where method = 'payment.capture'"
    assert shop.rows(sent) == [("sent",)]
    shop.gateway.release()
    workers.start()
    async with asyncio.timeout(90):
        assert (await handle.result()).status is S.COMPLETED
    assert shop.gateway.count("charge") == 1
