"""What our orders are at Adyen, and what its answers are to us: against its stand-in, and against odd answers."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any, Literal

import httpx
import pytest

from connectors.adyen.config import AdyenConfig
from connectors.adyen.connector import Adyen
from connectors.sdk.config import Secret
from connectors.sdk.errors import Broken, ConnectorError, DefinitionError, Rejected, Unauthorized, Unknown
from connectors.sdk.idempotency import Native, idempotency_of
from connectors.sdk.key import Key
from connectors.sdk.memory import memory_context
from domain.declines import DeclineClass, read_decline
from masthead.sdk import (
    ActionResult,
    CaptureOrder,
    ChargeOrder,
    Payment,
    PaymentStatus,
    RefundOrder,
    RefundStatus,
    SetupOrder,
    VoidOrder,
)
from sandbox.adyen.cards import REFUSALS, token_of
from sandbox.adyen.stand_in import AdyenStandIn
from tests.connectors.sdk.wire import answer, raw_server

SHOPPER = "acct-1"


@pytest.fixture
def stand_in() -> Iterator[AdyenStandIn]:
    with AdyenStandIn() as running:
        yield running


def adyen_at(url: str, account: str = "MastheadSandbox") -> Adyen:
    config = AdyenConfig(base_url=url, api_key=Secret("env:KEY"), merchant_account=account)
    return Adyen(config, memory_context(secrets={"env:KEY": "an-api-key"}))


@pytest.fixture
async def adyen(stand_in: AdyenStandIn) -> AsyncIterator[Adyen]:
    connector = adyen_at(stand_in.url)
    yield connector
    await connector.aclose()


def order(reference: str = "pay-1", method: str = "stored_visa", **more: Any) -> ChargeOrder:
    fields = {"reference": reference, "amount": 1250, "currency": "EUR", "customer": SHOPPER}
    return ChargeOrder(**{**fields, "method": method, **more})


def sent(stand_in: AdyenStandIn) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(stand_in.requests[-1].body)
    return body


async def test_a_renewal_is_charged_to_the_stored_card_without_the_customer(
    adyen: Adyen, stand_in: AdyenStandIn
) -> None:
    paid = await adyen.charge(order(description="Invoice INV-1"), Key("charge:inv-1:1"))
    assert (paid.status, paid.captured, paid.reference) == (PaymentStatus.SUCCEEDED, 1250, "pay-1")
    assert sent(stand_in) == {
        "merchantAccount": "MastheadSandbox",
        "amount": {"value": 1250, "currency": "EUR"},
        "reference": "pay-1",
        "paymentMethod": {"type": "scheme", "storedPaymentMethodId": "stored_visa"},
        "shopperReference": SHOPPER,
        "shopperInteraction": "ContAuth",
        "recurringProcessingModel": "Subscription",
        "captureDelayHours": 0,
        "returnUrl": "https://return.invalid/",
        "metadata": {"description": "Invoice INV-1"},
    }
    assert stand_in.requests[-1].headers["idempotency-key"] == "charge:inv-1:1"
    assert stand_in.count("charge", "pay-1") == 1


async def test_a_key_is_at_most_64_characters_and_kept_for_seven_days(
    adyen: Adyen, stand_in: AdyenStandIn
) -> None:
    long = Key.of("charge", "x" * 150, 1)
    await adyen.charge(order(), long)
    given = stand_in.requests[-1].headers["idempotency-key"]
    assert given == long.within(64)
    assert len(given) == 64
    for write in ("charge", "capture", "void", "refund", "set_up", "complete"):
        assert idempotency_of(getattr(Adyen, write)) == Native(timedelta(days=7))


@pytest.mark.parametrize("reason", sorted(REFUSALS))
async def test_a_refusal_is_a_decline_that_our_table_reads(
    adyen: Adyen, stand_in: AdyenStandIn, reason: str
) -> None:
    refused = await adyen.charge(order(method=token_of(reason)), Key("k"))
    assert refused.status is PaymentStatus.FAILED
    assert refused.decline is not None
    assert refused.decline.code == reason
    read = read_decline(refused.decline.code)
    assert read is not None
    assert read.known, f"{reason} is in no table"
    assert stand_in.count("charge") == 0


@pytest.mark.parametrize(
    ("result", "reason", "code"),
    [
        ("Refused", "Unknown", "Refused"),
        ("Refused", None, "Refused"),
        ("Error", "Acquirer Error", "Acquirer Error"),
        ("Error", None, "Error"),
        ("Cancelled", "", "Cancelled"),
    ],
)
async def test_a_refusal_without_a_good_reason_is_still_no_unknown_outcome(
    result: str, reason: str | None, code: str
) -> None:
    body = {"resultCode": result, "refusalReason": reason, "pspReference": "P1", "merchantReference": "pay-1"}
    async with raw_server(answer(200, body)) as server:
        connector = adyen_at(server.url)
        refused = await connector.charge(order(), Key("k"))
        await connector.aclose()
    assert refused.status is PaymentStatus.FAILED
    assert refused.decline is not None
    assert refused.decline.code == code
    assert read_decline(code) is not None


async def test_a_card_that_wants_its_customer_is_an_action_where_nobody_is_there(adyen: Adyen) -> None:
    refused = await adyen.charge(order(method="stored_redirect"), Key("k"))
    assert refused.decline is not None
    read = read_decline(refused.decline.code)
    assert read is not None
    assert read.decline_class is DeclineClass.ACTION


@pytest.mark.parametrize(
    ("button", "method", "status", "charges"),
    [
        ("approve", "stored_redirect", PaymentStatus.SUCCEEDED, 1),
        ("approve", "stored_redirect_refused", PaymentStatus.FAILED, 0),
        ("fail", "stored_redirect", PaymentStatus.FAILED, 0),
    ],
)
async def test_a_customer_goes_to_the_bank_and_comes_back(
    adyen: Adyen, stand_in: AdyenStandIn, button: str, method: str, status: PaymentStatus, charges: int
) -> None:
    there = order(method=method, off_session=False, return_url="https://shop.example/back?cart=7")
    asked = await adyen.charge(there, Key("charge"))
    assert asked.status is PaymentStatus.REQUIRES_ACTION
    assert asked.next_action_url
    assert stand_in.count("charge") == 0
    async with httpx.AsyncClient() as browser:
        page = await browser.get(asked.next_action_url)
        back = await browser.post(f"{asked.next_action_url}/{button}")
    assert "12.50 EUR" in page.text
    location = httpx.URL(back.headers["location"])
    assert (location.host, location.params["cart"]) == ("shop.example", "7")
    result = ActionResult(result=location.params["redirectResult"], known=asked)
    ended = await adyen.complete(result, Key("complete"))
    assert (ended.status, ended.reference, ended.amount) == (status, "pay-1", 1250)
    assert ended.id
    assert await adyen.complete(result, Key("complete")) == ended
    assert stand_in.count("charge", "pay-1") == charges


async def test_a_hold_stays_a_hold_when_the_customer_comes_back(adyen: Adyen, stand_in: AdyenStandIn) -> None:
    there = order(method="stored_redirect", off_session=False, capture=False)
    asked = await adyen.charge(there, Key("charge"))
    async with httpx.AsyncClient() as browser:
        back = await browser.post(f"{asked.next_action_url}/approve")
    returned = httpx.URL(back.headers["location"]).params["redirectResult"]
    held = await adyen.complete(ActionResult(result=returned, known=asked, capture=False), Key("c"))
    assert (held.status, held.captured) == (PaymentStatus.AUTHORIZED, 0)
    assert stand_in.count("authorization") == 1


@pytest.mark.parametrize("method", ["stored_pending", "stored_received", "stored_received_fails"])
async def test_what_is_in_flight_is_neither_paid_nor_failed(
    adyen: Adyen, stand_in: AdyenStandIn, method: str
) -> None:
    paid = await adyen.charge(order(method=method), Key("k"))
    assert (paid.status, paid.captured, paid.decline) == (PaymentStatus.PROCESSING, 0, None)
    stand_in.advance(timedelta(minutes=2))
    assert stand_in.count("charge") == (0 if method.endswith("fails") else 1)


async def test_captures_cancels_and_refunds_are_in_flight_until_they_are_told(
    adyen: Adyen, stand_in: AdyenStandIn
) -> None:
    assert Adyen.answers_later == {"capture", "void", "refund"}
    held = await adyen.charge(order("pay-1", capture=False), Key("1"))
    assert (held.status, held.captured) == (PaymentStatus.AUTHORIZED, 0)
    taken = await adyen.capture(CaptureOrder(payment=held.id, known=held), Key("2"))
    assert (taken.id, taken.status, taken.captured) == (held.id, PaymentStatus.PROCESSING, 0)
    assert sent(stand_in)["reference"] == "pay-1"
    given = RefundOrder(reference="ref-1", payment=held.id, amount=300, currency="EUR")
    refund = await adyen.refund(given, Key("3"))
    assert (refund.status, refund.payment, refund.reference) == (RefundStatus.PENDING, held.id, "ref-1")
    other = await adyen.charge(order("pay-2", capture=False), Key("4"))
    voided = await adyen.void(VoidOrder(payment=other.id, known=other), Key("5"))
    assert voided.status is PaymentStatus.PROCESSING
    counted = [
        stand_in.count(*each) for each in (("charge", "pay-1"), ("refund", "ref-1"), ("void", "pay-2"))
    ]
    assert counted == [1, 1, 1]


async def test_a_card_is_verified_with_an_amount_of_nothing(adyen: Adyen, stand_in: AdyenStandIn) -> None:
    setup = await adyen.set_up(
        SetupOrder(reference="set-1", method="stored_visa", customer=SHOPPER), Key("k")
    )
    assert setup.status is PaymentStatus.SUCCEEDED
    assert sent(stand_in)["amount"] == {"value": 0, "currency": "EUR"}
    refused = await adyen.set_up(
        SetupOrder(reference="set-2", method="stored_refused_expired_card", customer=SHOPPER), Key("l")
    )
    assert refused.decline is not None
    assert (refused.status, refused.decline.code) == (PaymentStatus.FAILED, "Expired Card")
    assert [stand_in.count("setup"), stand_in.count("charge")] == [1, 0]


HELD = Payment(
    id="P1", reference="pay-1", status=PaymentStatus.AUTHORIZED, amount=100, currency="EUR", method="m"
)


@pytest.mark.parametrize(
    ("method", "given", "field"),
    [
        ("charge", order(customer=None), "customer"),
        ("charge", order(reference="r" * 81), "reference"),
        ("set_up", SetupOrder(reference="s", method="stored_visa"), "customer"),
        ("capture", CaptureOrder(payment="P1"), "known"),
        ("void", VoidOrder(payment="P1"), "known"),
        ("refund", RefundOrder(reference="r" * 81, payment="P1", amount=1, currency="EUR"), "reference"),
    ],
)
async def test_what_adyen_would_not_take_is_refused_before_it_is_sent(
    adyen: Adyen, stand_in: AdyenStandIn, method: str, given: Any, field: str
) -> None:
    with pytest.raises(Rejected) as refused:
        await getattr(adyen, method)(given, Key("k"))
    assert list(refused.value.fields) == [field]
    assert stand_in.requests == []


async def test_there_is_nothing_to_find_and_it_says_what_to_do(adyen: Adyen, stand_in: AdyenStandIn) -> None:
    await adyen.charge(order("pay-1"), Key("k"))
    for reference in ("pay-1", "pay-never"):
        with pytest.raises(Broken, match="same key"):
            await adyen.find(reference)
    assert "find" in Adyen.cannot_answer


def error(status: int, code: str, message: str = "no") -> dict[str, Any]:
    return {"status": status, "errorCode": code, "message": message, "errorType": "validation"}


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (409, error(409, "704"), Unknown, "704"),
        (422, error(422, "704"), Unknown, "704"),
        (422, error(422, "800", "Contract not found"), Rejected, "800"),
        (401, error(401, "000"), Unauthorized, "000"),
        (403, error(403, "901"), Rejected, "901"),
        (500, error(500, "905"), Unknown, "905"),
        (200, error(500, "905"), Unknown, "905"),
        (200, {"resultCode": "PartiallyAuthorised", "pspReference": "P"}, Unknown, None),
        (200, {"resultCode": "Authorised"}, Unknown, None),
        (200, {"pspReference": "P"}, Unknown, None),
        (
            200,
            {"resultCode": "Authorised", "pspReference": "P", "amount": {"value": 1, "currency": "EUR"}},
            Unknown,
            None,
        ),
    ],
)
async def test_errors_and_answers_that_nobody_asked_for(
    status: int, body: dict[str, Any], kind: type[ConnectorError], code: str | None
) -> None:
    async with raw_server() as server:
        server.always = answer(status, body)
        connector = adyen_at(server.url)
        with pytest.raises(ConnectorError) as raised:
            await connector.charge(order(), Key("k"))
        await connector.aclose()
    assert type(raised.value) is kind
    assert raised.value.code == code
    if status == 403:
        assert isinstance(raised.value, Rejected)
        assert raised.value.blame == "configuration"


async def test_an_answer_about_another_payment_is_not_believed() -> None:
    body = {"status": "received", "pspReference": "M1", "paymentPspReference": "P2"}
    async with raw_server() as server:
        server.always = answer(201, body)
        connector = adyen_at(server.url)
        with pytest.raises(Unknown):
            await connector.capture(CaptureOrder(payment="P1", known=HELD), Key("k"))
        await connector.aclose()


async def test_health_is_of_the_merchant_account(adyen: Adyen, stand_in: AdyenStandIn) -> None:
    healthy = await adyen.health()
    assert healthy.ok
    assert "MastheadSandbox" in healthy.detail
    other = adyen_at(stand_in.url, account="SomebodyElse")
    assert not (await other.health()).ok
    await other.aclose()


@pytest.mark.parametrize(
    ("mode", "address", "fits"),
    [
        ("test", "https://checkout-test.adyen.com/v71", True),
        ("live", "https://checkout-test.adyen.com/v71", False),
        ("live", "https://abc-Shop-checkout-live.adyenpayments.com/checkout/v71", True),
        ("test", "https://abc-Shop-checkout-live.adyenpayments.com/checkout/v71", False),
        ("test", "http://127.0.0.1:8090/adyen", True),
    ],
)
def test_a_live_connection_is_not_of_the_test_system_nor_the_other_way_round(
    mode: Literal["live", "test"], address: str, fits: bool
) -> None:
    config = AdyenConfig(base_url=address, api_key=Secret("env:KEY"), merchant_account="M")
    connector = Adyen(config, memory_context(secrets={"env:KEY": "k"}, mode=mode))
    if fits:
        assert connector.http.sender.base == address
    else:
        with pytest.raises(DefinitionError, match="change either"):
            _ = connector.http
