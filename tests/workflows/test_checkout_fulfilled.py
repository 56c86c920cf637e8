"""What follows a sale outside: licences and parcels, asked for by the checkout as calls of their own."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from connectors.sdk.memory import memory_context
from contracts.checkout import CheckoutStatus
from contracts.names import connector_call_id
from runtime.fulfilment_keeper import FulfilmentKeeper
from sandbox.reference.stand_in import ReferenceStandIn
from tests.operations.fulfilment.parcels import CONNECTED, SERVICES
from tests.workflows.selling import BUYER, Shop, order

HOME = {"line1": "17 Canary Wharf Steps", "city": "Springfield", "postal_code": "12345", "country": "US"}
AT_HOME = {**BUYER, "address": HOME}


@pytest.fixture
def services(shop: Shop) -> Iterator[ReferenceStandIn]:
    """Who gives licences and sends parcels, connected."""
    with ReferenceStandIn() as stand_in:
        shop.others = {
            name: kind(
                kind.Config.model_validate(kind.sandbox_config(stand_in.url)),
                memory_context(name, secrets={"SANDBOX_SECRET": "sandbox"}),
            )
            for name, kind in SERVICES.items()
        }
        shop.fulfilled_by = CONNECTED
        yield stand_in


async def test_a_sale_brings_its_licences(shop: Shop, services: ReferenceStandIn) -> None:
    handle = await shop.start(order("harbor-lights-ebook", "quarterdeck", buyer=AT_HOME))
    assert (await handle.result()).status is CheckoutStatus.COMPLETED
    await shop.until("both are given", lambda: services.count("grant") == 2)
    assert {each["content"] for each in services.memory.rows["licence"].values()} == {
        "harbor-lights-epub",
        "quarterdeck-collection",
    }
    key, reference = shop.rows(
        "select c.key, c.request->>'reference' from connector_call c join fulfilment f on f.call_id = c.id"
        " where f.item = 'harbor-lights-epub'"
    )[0]
    own = shop.client.get_workflow_handle(connector_call_id("licences", "drm.grant", key))
    await own.result()
    assert services.count("grant", reference) == 1
    assert await shop.replay(handle) == 1
    history = (await handle.fetch_history()).to_json()
    assert "Canary" not in history
    assert "Quillfeather" not in history


async def test_a_licence_that_is_refused_does_not_undo_the_sale(
    shop: Shop, services: ReferenceStandIn
) -> None:
    services.inject("rejected", path="/drm/grant")
    result, row = await shop.sell(order("harbor-lights-ebook"))
    assert (result.status, row.status) == (CheckoutStatus.COMPLETED, "completed")
    parked = "select connection, method from parked where resolved_at is null"
    await shop.until("a person is asked", lambda: shop.rows(parked) == [("licences", "drm.grant")])


async def test_a_sale_without_a_drm_system_says_what_waits(shop: Shop) -> None:
    result, row = await shop.sell(order("harbor-lights-ebook"))
    assert result.status is CheckoutStatus.COMPLETED
    stands = "select item, wish, told, outcome from fulfilment where account_id = %s"
    assert shop.rows(stands, row.account_id) == [("harbor-lights-epub", "given", "nothing", "not connected")]


async def test_a_sale_that_fails_brings_no_licence(shop: Shop, services: ReferenceStandIn) -> None:
    shop.gateway.inject("rejected", path="/v1/payment_intents/*/capture")
    result, _ = await shop.sell(order("harbor-lights-ebook", "quarterdeck", buyer=AT_HOME))
    assert result.status is CheckoutStatus.DECLINED
    assert shop.rows("select count(*) from fulfilment where wish = 'given'") == [(0,)]
    assert services.count("grant") == 0


async def test_the_keeper_asks_once_a_system_is_connected(shop: Shop, services: ReferenceStandIn) -> None:
    shop.fulfilled_by = {}
    _, row = await shop.sell(order("harbor-lights-ebook"))
    keeper = FulfilmentKeeper(shop.client, shop.engine, lambda _: CONNECTED)
    await keeper.round(datetime.now(UTC))
    await shop.until("it is given", lambda: services.count("grant") == 1)
    answered = "select status from connector_call where method = 'drm.grant'"
    await shop.until("the answer is kept", lambda: shop.rows(answered) == [("succeeded",)])
    await keeper.round(datetime.now(UTC))
    stands = "select told, outcome, connection from fulfilment where account_id = %s"
    assert shop.rows(stands, row.account_id) == [("given", "given", "licences")]
