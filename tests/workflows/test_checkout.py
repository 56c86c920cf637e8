"""A checkout from the cart to a paid invoice, and what is left of one that does not complete."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import Engine
from temporalio.client import Client

from contracts.checkout import CheckoutStatus
from runtime.temporal import connect
from sandbox.stripe.stand_in import StripeStandIn
from storage.database import make_engine
from tests.conftest import NAMESPACE, PostgresForTests
from tests.workflows.selling import Shop, order
from workflows.checkout import CheckoutWorkflow

NOTHING_SOLD = "select count(*) from subscription"


@pytest.fixture
def engine(pg_server: PostgresForTests) -> Iterator[Engine]:
    engine = make_engine(pg_server.fresh_database("checkout"))
    yield engine
    engine.dispose()


@pytest.fixture
async def client(temporal_address: str) -> Client:
    return await connect(temporal_address, NAMESPACE)


@pytest.fixture
async def shop(engine: Engine, client: Client) -> AsyncIterator[Shop]:
    with StripeStandIn() as gateway:
        shop = Shop(engine, client, gateway)
        async with shop.working():
            yield shop
        shop.check()


async def test_a_new_reader_buys(shop: Shop) -> None:
    result, row = await shop.sell(order("digital-monthly"))
    assert (result.status, result.kind) == (CheckoutStatus.COMPLETED, None)
    assert (row.status, row.currency, row.total, row.due) == ("completed", "USD", row.due, row.total)
    assert shop.gateway.count("charge") == shop.gateway.count("authorization") == 1
    assert shop.rows("select status, total from invoice") == [("paid", row.total)]
    assert shop.rows("select status, amount, gateway_id from payment") == [
        ("succeeded", row.due, row.gateway_id)
    ]
    assert shop.rows("select count(*) from awaiting_payment") == [(0,)]
    assert shop.rows("select name, email from person") == [
        ("Zenobia Quillfeather", "zenobia@quillfeather.example")
    ]
    assert shop.rows("select count(*) from checkout_person") == [(0,)]
    assert shop.rows("select kind from event_log where kind like 'checkout.%%'") == [("checkout.completed",)]
    assert shop.rows("select payment_method, auto_pay from account") == [("pm_card_visa", True)]


async def test_a_declined_card_leaves_nothing(shop: Shop) -> None:
    result, row = await shop.sell(order(card="chargeDeclinedInsufficientFunds"))
    assert (result.status, row.problem_kind) == (CheckoutStatus.DECLINED, "card_declined")
    assert "insufficient_funds" in (row.problem or "")
    for table in ("account", "subscription", "invoice", "person", "checkout_person"):
        assert shop.rows(f"select count(*) from {table}") == [(0,)]


async def test_a_trial_sets_the_card_up_without_a_charge(shop: Shop) -> None:
    result, row = await shop.sell(order("digital-trial"))
    assert (result.status, row.due, row.invoice_id) == (CheckoutStatus.COMPLETED, 0, None)
    assert (shop.gateway.count("setup"), shop.gateway.count("charge")) == (1, 0)
    assert shop.rows("select status, trial_ends_on - starts_on from subscription") == [("trialing", 14)]


async def test_the_customer_confirms(shop: Shop) -> None:
    handle = await shop.start(order(card="threeDSecure2Required"))
    own = handle.id.partition("/")[2]
    await shop.until("the customer has to act", lambda: shop.row(own).status == "requires_action")
    url = shop.row(own).next_action_url
    assert url is not None
    assert shop.rows(NOTHING_SOLD) == [(0,)]
    async with httpx.AsyncClient() as browser:
        await browser.post(f"{url}/approve")
    await handle.signal(CheckoutWorkflow.confirm)
    assert (await handle.result()).status is CheckoutStatus.COMPLETED
    assert shop.row(own).next_action_url is None


async def test_a_customer_who_does_not_come_back(shop: Shop) -> None:
    result, row = await shop.sell(
        order(card="threeDSecure2Required"), action_within=timedelta(seconds=1), looks=(timedelta(seconds=5),)
    )
    assert (result.status, row.problem_kind) == (CheckoutStatus.EXPIRED, "action_expired")
    assert shop.gateway.count("void") == 1
    assert shop.rows(NOTHING_SOLD) == [(0,)]
