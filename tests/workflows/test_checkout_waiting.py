"""A checkout that waits long: its history stays short, and however often it is told, the gateway is asked seldom."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from contracts.checkout import CheckoutStatus
from runtime.temporal import connect
from sandbox.stripe.stand_in import StripeStandIn
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.temporal_server import TemporalServer
from tests.workflows.selling import BACK, Shop, order
from workflows.checkout import CheckoutWorkflow
from workflows.checkout_starts import CheckoutHandle

S = CheckoutStatus
ASKED = "select count(*) from connector_call where method = 'payment.find'"
LAST = {"method": "pm_card_threeDSecure2Required", "return_url": BACK, "charge": "last"}


@pytest.fixture(scope="module")
async def forgetful(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TemporalServer]:
    """A server that finds a history long after a few events."""
    server = TemporalServer(
        tmp_path_factory.mktemp("forgetful-temporal"),
        "--dynamic-config-value",
        "limit.historyCount.suggestContinueAsNew=30",
    )
    await server.start()
    try:
        yield server
    finally:
        await asyncio.to_thread(server.kill)


@pytest.fixture
async def short_shop(pg_server: PostgresForTests, forgetful: TemporalServer) -> AsyncIterator[Shop]:
    """A shop on the forgetful server."""
    engine = make_engine(pg_server.fresh_database("waiting"))
    try:
        with StripeStandIn() as gateway:
            shop = Shop(engine, await connect(forgetful.address, NAMESPACE), gateway)
            async with shop.working():
                yield shop
            shop.check()
    finally:
        engine.dispose()


async def acting(shop: Shop, **changes: Any) -> tuple[CheckoutHandle, str]:
    """A checkout whose customer is at the bank."""
    handle = await shop.start(order(**changes))
    own = handle.id.partition("/")[2]
    await shop.until("the customer has to act", lambda: shop.row(own).next_action_url)
    return handle, own


async def told_until_it_goes_on_anew(shop: Shop, handle: CheckoutHandle) -> None:
    """Tell it of news until it goes on in a second run."""
    told = 0
    described = await handle.describe()
    async with asyncio.timeout(60):
        while (await handle.describe()).run_id == described.run_id:
            told += 1
            await shop.client.get_workflow_handle(handle.id).signal(CheckoutWorkflow.confirm, None)
            asked = shop.rows(ASKED)[0][0]
            await shop.until("it asked again", lambda asked=asked: shop.rows(ASKED)[0][0] > asked)


@pytest.mark.parametrize(
    ("changes", "held"),
    [({"card": "threeDSecure2Required"}, 1), ({"payment": LAST}, 0)],
    ids=["held", "last"],
)
async def test_a_long_history_goes_on_in_a_short_one(
    short_shop: Shop, changes: dict[str, Any], held: int
) -> None:
    handle, own = await acting(short_shop, **changes)
    await told_until_it_goes_on_anew(short_shop, handle)
    async with httpx.AsyncClient() as browser:
        await browser.post(f"{short_shop.row(own).next_action_url}/approve")
    await short_shop.client.get_workflow_handle(handle.id).signal(CheckoutWorkflow.confirm, None)
    assert (await handle.result()).status is S.COMPLETED
    assert (short_shop.gateway.count("authorization"), short_shop.gateway.count("charge")) == (held, 1)
    assert await short_shop.replay(handle) >= 2


async def test_what_is_given_up_in_a_later_run_is_given_back(short_shop: Shop) -> None:
    handle, own = await acting(short_shop, payment=LAST)
    await told_until_it_goes_on_anew(short_shop, handle)
    await short_shop.client.get_workflow_handle(handle.id).cancel()
    assert (await handle.result()).status is S.CANCELED
    assert short_shop.gateway.count("void") == 1
    assert short_shop.rows("select status from invoice") == [("void",)]
    assert short_shop.row(own).next_action_url is None


async def test_a_storm_of_news_is_not_a_storm_of_questions(shop: Shop) -> None:
    handle, own = await acting(shop, card="threeDSecure2Required")
    for _ in range(40):
        await handle.signal(CheckoutWorkflow.confirm, None)
    await shop.until("it asked", lambda: shop.rows(ASKED)[0][0] >= 2)
    for _ in range(40):
        await handle.signal(CheckoutWorkflow.confirm, None)
    async with httpx.AsyncClient() as browser:
        await browser.post(f"{shop.row(own).next_action_url}/approve")
    await handle.signal(CheckoutWorkflow.confirm, None)
    assert (await handle.result()).status is S.COMPLETED
    assert shop.rows(ASKED)[0][0] <= 4
