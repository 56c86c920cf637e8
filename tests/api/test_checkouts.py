"""Checkouts and quotes over HTTP: the real application, workers and gateway's stand-in behind it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi.testclient import TestClient

from operations.catalog import load_catalog
from runtime.catalog_source import read_catalog_file
from runtime.temporal import connect
from sandbox.stripe.stand_in import StripeStandIn
from storage.checkouts import read_checkout
from storage.database import make_engine
from tests.api.served import NOBODY, client_for, database_with_keys
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.workflows.selling import ACCOUNT, BACK, BUYER, CATALOG, Shop

CART: dict[str, Any] = {"items": [{"plan": "digital-monthly"}], "account": ACCOUNT}


def asked(card: str = "visa", **more: Any) -> dict[str, Any]:
    return {**CART, "buyer": BUYER, "payment": {"method": f"pm_card_{card}", "return_url": BACK}, **more}


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    url = database_with_keys(pg_server, "checkouts_api", "parked:read")
    engine = make_engine(url)
    load_catalog(engine, read_catalog_file(CATALOG).catalog)
    engine.dispose()
    return url


@pytest.fixture(scope="module")
def gateway(url: str, temporal_address: str) -> Iterator[StripeStandIn]:
    """The gateway, with workers that sell, in a thread and loop of their own."""
    engine = make_engine(url)
    stop, ready = threading.Event(), threading.Event()

    async def work(gateway: StripeStandIn) -> None:
        shop = Shop(engine, await connect(temporal_address, NAMESPACE), gateway)
        async with shop.working():
            ready.set()
            await asyncio.to_thread(stop.wait)
        shop.check()

    failures: list[BaseException] = []

    def run(gateway: StripeStandIn) -> None:
        try:
            asyncio.run(work(gateway))
        except BaseException as error:
            failures.append(error)
        ready.set()

    with StripeStandIn() as gateway:
        thread = threading.Thread(target=run, args=(gateway,))
        thread.start()
        ready.wait(30)
        yield gateway
        stop.set()
        thread.join()
    engine.dispose()
    assert failures == []


@pytest.fixture
def api(url: str, gateway: StripeStandIn, temporal_address: str, tmp_path: Path) -> Iterator[TestClient]:
    with client_for(url, tmp_path, temporal=temporal_address) as client:
        yield client


def buy(api: TestClient, key: str, **more: Any) -> httpx.Response:
    return api.post("/v1/checkouts?wait=20", json=asked(**more), headers={"Idempotency-Key": key})


def test_a_checkout_completes_and_is_the_same_under_its_key(api: TestClient, gateway: StripeStandIn) -> None:
    first = buy(api, "a-1")
    assert first.status_code == 201, first.text
    body = first.json()
    assert (body["status"], body["stuck"], body["problem"]) == ("completed", False, None)
    assert body["due"] == body["total"] > 0
    assert first.headers["Location"] == f"/v1/checkouts/{body['id']}"
    assert buy(api, "a-1").json() == body
    assert gateway.effects.count("charge", f"checkout:{body['id']}") == 1
    assert api.get(first.headers["Location"]).json() == body


def test_a_key_stands_for_one_checkout(api: TestClient) -> None:
    assert buy(api, "b-1").status_code == 201
    refused = buy(api, "b-1", due=1)
    assert (refused.status_code, refused.json()["type"]) == (
        422,
        "urn:masthead:problem:idempotency_key_reused",
    )


def test_a_key_of_another_account_is_taken(api: TestClient) -> None:
    mine = {"account": {**ACCOUNT, "external_key": "reader-of-the-shop"}}
    assert buy(api, "k-1", **mine).status_code == 201
    refused = buy(api, "k-2", **mine)
    assert (refused.status_code, refused.json()["type"]) == (422, "urn:masthead:problem:account_exists")
    # The same checkout again is no other one.
    assert buy(api, "k-1", **mine).status_code == 201


def test_a_gift_is_paid_by_one_and_read_by_another(api: TestClient) -> None:
    item = {"plan": "digital-monthly", "gift": {"recipient": "nephew-7"}}
    check = "/v1/entitlements/check?feature=news&subscriber=nephew-7"
    bought = buy(api, "g-1", items=[item])
    assert bought.status_code == 201, bought.text
    body = bought.json()
    assert body["due"] == body["total"] > 0
    assert body["subscription_ids"] == []
    assert api.get(check).json()["reason"] != "granted"
    place = f"/v1/checkouts/{body['id']}/claim"
    assert api.post(place, json={"reader": "thief"}).status_code == 409
    claimed = api.post(place, json={})
    assert claimed.status_code == 200, claimed.text
    assert (claimed.json()["reader"], "news" in claimed.json()["features"]) == ("nephew-7", True)
    assert api.get(check).json()["reason"] == "granted"
    assert api.post(place, json={"reader": "nephew-7"}).json() == claimed.json()


def test_a_gift_that_is_not_paid_cannot_be_claimed(api: TestClient, gateway: StripeStandIn) -> None:
    item = {"plan": "digital-monthly", "gift": {}}
    gateway.inject("rejected", path="/v1/payment_intents/*/capture")
    refused = buy(api, "g-2", items=[item])
    assert (refused.status_code, refused.json()["type"]) == (402, "urn:masthead:problem:capture_refused")
    own = refused.json()["checkout_id"]
    claim = api.post(f"/v1/checkouts/{own}/claim", json={"reader": "nephew-8"})
    assert (claim.status_code, claim.json()["type"]) == (409, "urn:masthead:problem:gift_not_paid")
    mixed = buy(api, "g-3", items=[item, {"plan": "digital-monthly"}])
    assert (mixed.status_code, mixed.json()["type"]) == (422, "urn:masthead:problem:not_for_sale")
    none = api.post(f"/v1/checkouts/{buy(api, 'g-4').json()['id']}/claim", json={"reader": "nephew-8"})
    assert (none.status_code, none.json()["type"]) == (409, "urn:masthead:problem:refused")


def test_a_declined_card_is_402(api: TestClient) -> None:
    refused = buy(api, "c-1", card="chargeDeclined")
    assert (refused.status_code, refused.json()["type"]) == (402, "urn:masthead:problem:card_declined")
    shown = api.get(f"/v1/checkouts/{refused.json()['checkout_id']}").json()
    assert (shown["status"], shown["problem"]["kind"]) == ("declined", "card_declined")


def test_the_customer_acts_and_comes_back(api: TestClient) -> None:
    waiting = buy(api, "d-1", card="threeDSecure2Required")
    assert (waiting.status_code, waiting.json()["status"]) == (202, "requires_action")
    place = waiting.headers["Location"]
    httpx.post(f"{waiting.json()['next_action_url']}/approve")
    back = api.post(f"{place}/confirm?wait=20")
    # Between the bank's yes and the end of it, 202 tells where it stands.
    assert back.status_code in (200, 202), back.text
    while back.status_code == 202:
        back = api.post(f"{place}/confirm")
    assert back.json()["status"] == "completed"


def test_who_waits_is_told_and_does_not_ask(
    api: TestClient, gateway: StripeStandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that waits looks when the row has changed: not ten times a second, and not only after a second."""
    looks = 0

    def counted(*args: Any, **more: Any) -> Any:
        nonlocal looks
        looks += 1
        return read_checkout(*args, **more)

    assert buy(api, "w-0").status_code == 201  # it listens from now on
    monkeypatch.setattr("api.v1.checkouts.read_checkout", counted)
    monkeypatch.setattr("api.v1.checkouts.LOOK_SECONDS", 60.0)
    gateway.inject("stall_within", path="/v1/payment_intents/*/capture", seconds=0.25)
    assert buy(api, "w-1").json()["status"] == "completed"
    # Quoted, authorising, posting, capturing, completed, each at most twice.
    assert 2 <= looks <= 14


def test_the_customer_gives_up(api: TestClient, gateway: StripeStandIn) -> None:
    waiting = buy(api, "e-1", card="threeDSecure2Required")
    place = waiting.headers["Location"]
    given_up = api.post(f"{place}/cancel?wait=20")
    assert (given_up.status_code, given_up.json()["status"]) == (200, "canceled")
    assert gateway.effects.count("void", f"checkout:{waiting.json()['id']}") == 1
    assert api.post(f"{place}/confirm").status_code == 409


@pytest.mark.parametrize(
    ("change", "status", "kind"),
    [
        ({"items": [{"plan": "no-such-plan"}]}, 422, "not_for_sale"),
        ({"due": 1}, 422, "price_changed"),
        ({"payment": None}, 422, "payment_missing"),
        ({"payment": {"method": "pm_unknown", "return_url": BACK}}, 422, "payment_refused"),
        ({"account": None, "account_id": NOBODY}, 404, "no_such_account"),
        ({"account": None}, 422, "invalid_request"),
        ({"payment": {"method": "4242-4242-4242-4242", "return_url": BACK}}, 422, "card_number"),
        ({"surprise": 1}, 422, "invalid_request"),
    ],
)
def test_what_is_refused(api: TestClient, change: dict[str, Any], status: int, kind: str) -> None:
    body = {**asked(), **change}
    answer = api.post("/v1/checkouts?wait=20", json=body, headers={"Idempotency-Key": str(uuid4())})
    assert (answer.status_code, answer.json()["type"]) == (status, f"urn:masthead:problem:{kind}"), (
        answer.text
    )
    assert "4242" not in answer.text


def test_a_key_is_needed(api: TestClient) -> None:
    assert api.post("/v1/checkouts", json=asked()).status_code == 400


def test_a_quote_writes_nothing(api: TestClient, url: str) -> None:
    engine = make_engine(url)
    cart = {
        **CART,
        "items": [{"plan": "digital-monthly"}, {"plan": "digital-trial"}, {"plan": "harbor-lights-ebook"}],
    }
    with engine.connect() as connection:
        before = connection.exec_driver_sql("select count(*) from checkout").scalar_one()
        quote = api.post("/v1/quotes", json=cart)
        after = connection.exec_driver_sql("select count(*) from checkout").scalar_one()
    engine.dispose()
    assert (quote.status_code, before) == (200, after), quote.text
    body = quote.json()
    assert body["total"] == body["subtotal"] + body["tax"] == body["due"]
    assert [each["plan"] for each in body["subscriptions"]] == ["digital-monthly", "digital-trial"]
    assert {line["kind"] for line in body["lines"]} == {"recurring", "one_time", "tax"}
    assert body["tax_by"] == "table"


def test_another_scope_may_not(api: TestClient) -> None:
    for method, path in (
        ("POST", "/v1/quotes"),
        ("POST", "/v1/checkouts"),
        ("GET", f"/v1/checkouts/{NOBODY}"),
    ):
        refused = api.request(method, path, headers={"Authorization": "Bearer mh_reader"}, json=CART)
        assert refused.status_code == 403
