"""Checkouts at a gateway that cannot be asked: it takes a capture and a void, and tells by webhook how they end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from contracts.checkout import CheckoutStatus
from contracts.parked import Action, Resolve
from operations.checkout.gateway import bring_back
from sandbox.faults import FAULTS
from storage.database import transaction
from tests.workflows.adyen_shop import NAME, AdyenShop, adyen_shop
from tests.workflows.deciding import decide
from tests.workflows.selling import BACK, Shop, open_account, order
from workflows.checkout import CheckoutWorkflow

S = CheckoutStatus
DAYS = timedelta(days=5)
# Of the faults that handing in a result may meet, make test plays these.
SAMPLE = ("drop_after", "unauthorized_once")
# A result that the gateway refuses changes nothing; a key that it does not take is for a person.
REFUSED = frozenset({"rejected"})
STUCK = frozenset({"unauthorized_once", "unauthorized_forever"})


@pytest.fixture
def adyen(shop: Shop) -> Iterator[AdyenShop]:
    with adyen_shop(shop) as opened:
        yield opened


async def test_a_capture_is_believed_when_it_is_told(adyen: AdyenShop) -> None:
    handle = await adyen.start()
    own = handle.id.partition("/")[2]
    await adyen.shop.until("it captures", lambda: adyen.count("charge") == 1)
    # It was only taken: nobody reads by it yet.
    assert adyen.shop.rows("select count(*) from awaiting_payment") == [(1,)]
    assert await adyen.ended(handle) is S.COMPLETED
    assert (adyen.count("authorization"), adyen.count("charge")) == (1, 1)
    kept = "select connection, method, customer from payment_method"
    assert adyen.shop.rows(kept) == [(NAME, "stored_visa", "shopper-1")]
    card = "select brand, last4, expires_on::text from payment_method"
    assert adyen.shop.rows(card) == [("visa", "1111", "2030-04-01")]
    assert adyen.shop.row(own).park_id is None


async def test_a_refused_card(adyen: AdyenShop) -> None:
    handle = await adyen.start("stored_refused")
    assert await adyen.ended(handle) is S.DECLINED


@pytest.mark.parametrize(("button", "end", "taken"), [("approve", S.COMPLETED, 1), ("fail", S.DECLINED, 0)])
async def test_the_customer_comes_back_with_a_result(
    adyen: AdyenShop, button: str, end: CheckoutStatus, taken: int
) -> None:
    handle = await adyen.start("stored_redirect")
    own = handle.id.partition("/")[2]
    await adyen.shop.until("the customer has to act", lambda: adyen.shop.row(own).next_action_url)
    # Somebody else's result is refused, and no work for a person.
    with transaction(adyen.shop.engine) as connection:
        bring_back(connection, own, "made-up")
    await handle.signal(CheckoutWorkflow.confirm, None)
    refused = "select status from connector_call where method = 'payment_actions.complete'"
    await adyen.shop.until("it is refused", lambda: adyen.shop.rows(refused) == [("failed",)])
    async with httpx.AsyncClient() as browser:
        sent_back = await browser.post(f"{adyen.shop.row(own).next_action_url}/{button}")
    (result,) = parse_qs(urlsplit(sent_back.headers["Location"]).query)["redirectResult"]
    with transaction(adyen.shop.engine) as connection:
        bring_back(connection, own, result)
    await handle.signal(CheckoutWorkflow.confirm, None)
    assert await adyen.ended(handle) is end
    assert adyen.count("charge") == taken
    assert adyen.shop.rows("select count(*) from parked where resolved_at is null") == [(0,)]
    assert result not in (await handle.fetch_history()).to_json()


@pytest.mark.parametrize(
    "faults",
    [SAMPLE, pytest.param(tuple(each for each in FAULTS if each not in SAMPLE), marks=pytest.mark.deep)],
    ids=lambda faults: f"{len(faults)} faults",
)
async def test_each_fault_as_a_result_is_handed_in(adyen: AdyenShop, faults: tuple[str, ...]) -> None:
    ends, row = {}, adyen.shop.row
    for fault in faults:
        within = timedelta(seconds=3) if fault in REFUSED else timedelta(minutes=30)
        handle = await adyen.start("stored_redirect", action_within=within)
        own = handle.id.partition("/")[2]
        await adyen.shop.until("the customer has to act", lambda own=own: row(own).next_action_url)
        async with httpx.AsyncClient() as browser:
            sent_back = await browser.post(f"{row(own).next_action_url}/approve")
        (result,) = parse_qs(urlsplit(sent_back.headers["Location"]).query)["redirectResult"]
        adyen.stand_in.inject(fault, path="*/payments/details", after=1, seconds=3.0)
        with transaction(adyen.shop.engine) as connection:
            bring_back(connection, own, result)
        await handle.signal(CheckoutWorkflow.confirm, None)
        if fault in STUCK:
            await adyen.shop.until("it is stuck", lambda own=own: row(own).park_id)
            adyen.stand_in.faults.clear()
            await decide(handle, Resolve(action=Action.RETRY, actor="ops", reason="the key is good again"))
        ends[fault] = await adyen.ended(handle)
        assert adyen.stand_in.faults.waiting() == []
        assert adyen.stand_in.count("charge", f"checkout:{own}") == (fault not in REFUSED)
    assert ends == {fault: S.EXPIRED if fault in REFUSED else S.COMPLETED for fault in faults}


async def test_a_customer_who_does_not_come_back(adyen: AdyenShop) -> None:
    handle = await adyen.start(
        "stored_redirect", action_within=timedelta(seconds=0.5), looks=(timedelta(seconds=5),)
    )
    assert await adyen.ended(handle) is S.EXPIRED
    assert adyen.count("authorization") == 0


@pytest.mark.parametrize(
    ("method", "end"), [("stored_received", S.COMPLETED), ("stored_received_fails", S.DECLINED)]
)
async def test_a_debit_that_takes_days(adyen: AdyenShop, method: str, end: CheckoutStatus) -> None:
    handle = await adyen.start(method, charge="last")
    own = handle.id.partition("/")[2]
    await adyen.shop.until("it is on its way", lambda: adyen.shop.row(own).gateway_id)
    await adyen.told()
    assert adyen.shop.row(own).ended_at is None
    adyen.stand_in.advance(DAYS)
    assert await adyen.ended(handle) is end
    assert adyen.count("charge") == (end is S.COMPLETED)
    status = "paid" if end is S.COMPLETED else "void"
    assert adyen.shop.rows("select status from invoice") == [(status,)]


async def test_a_hold_that_takes_its_time_is_waited_for(adyen: AdyenShop) -> None:
    handle = await adyen.start("stored_pending")
    own = handle.id.partition("/")[2]
    await adyen.shop.until("it is pending", lambda: adyen.shop.row(own).gateway_id)
    adyen.stand_in.advance(DAYS)
    assert await adyen.ended(handle) is S.COMPLETED
    assert (adyen.count("authorization"), adyen.count("charge")) == (1, 1)


async def test_what_was_held_for_a_sale_that_the_books_refuse_is_given_back(adyen: AdyenShop) -> None:
    async def meanwhile(*_: object) -> None:
        open_account(adyen.shop.engine, "reader-1")

    adyen.shop.taxes = meanwhile
    opens = {"currency": "USD", "external_key": "reader-1"}
    payment = {"method": "stored_visa", "customer": "shopper-1", "return_url": BACK}
    handle = await adyen.shop.start(order(opens=opens, payment=payment))
    assert await adyen.ended(handle) is S.REFUSED
    assert (adyen.count("void"), adyen.count("charge")) == (1, 0)
