"""The Adyen stand-in: its keys, its refusals, its controls, and notifications that come late, twice and reversed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from sandbox.adyen.stand_in import AdyenStandIn
from tests.sandbox.acme import receiving

KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"


@pytest.fixture
def adyen() -> Iterator[AdyenStandIn]:
    with AdyenStandIn() as stand_in:
        yield stand_in


def post(adyen: AdyenStandIn, path: str, body: dict[str, Any], key: str = "") -> httpx.Response:
    headers = {"X-API-Key": "k", **({"Idempotency-Key": key} if key else {})}
    return httpx.post(adyen.url + path, json={"merchantAccount": "MastheadSandbox", **body}, headers=headers)


def pay(adyen: AdyenStandIn, reference: str = "pay-1", key: str = "", **more: Any) -> httpx.Response:
    token = more.pop("token", "stored_visa")
    body = {
        "amount": {"value": 1000, "currency": "EUR"},
        "reference": reference,
        "returnUrl": "https://shop.example/",
        "shopperReference": "acct-1",
        "shopperInteraction": "ContAuth",
        "paymentMethod": {"type": "scheme", "storedPaymentMethodId": token},
        **more,
    }
    return post(adyen, "/payments", body, key)


def told(adyen: AdyenStandIn) -> list[tuple[str, str, str]]:
    return [(each.item["eventCode"], each.item["success"], each.item["reason"]) for each in adyen.told]


def test_a_key_is_replayed_for_seven_days_and_for_one_request(adyen: AdyenStandIn) -> None:
    first = pay(adyen, key="k1")
    again = pay(adyen, key="k1")
    assert again.json() == first.json()
    assert again.headers["idempotency-key"] == "k1"
    other = pay(adyen, "pay-2", key="k1")
    assert (other.status_code, other.json()["errorType"]) == (422, "validation")
    assert adyen.count("charge") == 1
    adyen.advance(timedelta(days=7))
    assert pay(adyen, key="k1").json()["pspReference"] != first.json()["pspReference"]
    assert adyen.count("charge", "k1") == 2
    assert pay(adyen, key="k" * 65).status_code == 422


def test_what_was_not_valid_is_not_kept_under_its_key(adyen: AdyenStandIn) -> None:
    assert pay(adyen, key="k", token="stored_nothing").json()["errorCode"] == "800"
    assert pay(adyen, key="k").json()["resultCode"] == "Authorised"


def test_a_refusal_is_kept_under_its_key(adyen: AdyenStandIn) -> None:
    refused = pay(adyen, key="k", token="stored_refused")
    assert (refused.status_code, refused.json()["resultCode"]) == (200, "Refused")
    adyen.turn_card("stored_refused", "Authorised")
    assert pay(adyen, key="k", token="stored_refused").json() == refused.json()
    assert pay(adyen, key="l", token="stored_refused").json()["resultCode"] == "Authorised"


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"merchantAccount": "TheirShop"}, 403, "901"),
        ({"amount": None}, 422, "100"),
        ({"amount": {"value": -1, "currency": "EUR"}}, 422, "137"),
        ({"amount": {"value": 1, "currency": "euro"}}, 422, "138"),
        ({"reference": ""}, 422, "130"),
        ({"reference": "r" * 81}, 422, "702"),
        ({"returnUrl": None}, 422, "702"),
        ({"shopperReference": "a"}, 422, "129"),
        ({"paymentMethod": "visa"}, 422, "14_006"),
    ],
)
def test_what_adyen_refuses_is_refused(
    adyen: AdyenStandIn, more: dict[str, Any], status: int, code: str
) -> None:
    answer = pay(adyen, **more)
    assert (answer.status_code, answer.json()["errorCode"]) == (status, code)
    assert adyen.effects.of() == []


def test_without_a_key_nobody_is_let_in(adyen: AdyenStandIn) -> None:
    answer = httpx.post(adyen.url + "/payments", json={})
    assert (answer.status_code, answer.json()["errorCode"]) == (401, "000")


def test_modifications_are_taken_and_told_later(adyen: AdyenStandIn) -> None:
    psp = pay(adyen, additionalData={"manualCapture": "true"}).json()["pspReference"]
    size = {"amount": {"value": 600, "currency": "EUR"}}
    for what, body in (
        ("refunds", size),  # nothing is captured yet
        ("captures", {"amount": {"value": 1001, "currency": "EUR"}}),
        ("captures", size),
        ("captures", size),  # once only
        ("cancels", {}),  # too late
        ("refunds", {**size, "reference": "ref-1"}),
        ("refunds", size),  # more than is left
        ("reversals", {}),  # nothing is left
    ):
        answer = post(adyen, f"/payments/{psp}/{what}", body)
        assert (answer.status_code, answer.json()["status"]) == (201, "received")
    too_much, none = "Insufficient balance on payment", "Transaction has no authorised amount that is left"
    assert told(adyen)[1:] == [
        ("REFUND", "false", too_much),
        ("CAPTURE", "false", too_much),
        ("CAPTURE", "true", ""),
        ("CAPTURE", "false", none),
        ("CANCELLATION", "false", "Transaction cannot be cancelled"),
        ("REFUND", "true", ""),
        ("REFUND", "false", too_much),
        ("CANCEL_OR_REFUND", "false", too_much),
    ]
    counted = {kind: adyen.count(kind) for kind in ("authorization", "charge", "refund", "void")}
    assert counted == {"authorization": 1, "charge": 1, "refund": 1, "void": 0}
    assert adyen.count("refund", "ref-1") == 1
    assert post(adyen, "/payments/NOBODY/refunds", size).json()["errorCode"] == "167"
    dollars = {"amount": {"value": 1, "currency": "USD"}}
    assert post(adyen, f"/payments/{psp}/refunds", dollars).json()["errorCode"] == "138"


def test_a_payment_whose_reference_was_lost_is_cancelled_by_ours(adyen: AdyenStandIn) -> None:
    pay(adyen, "pay-held", additionalData={"manualCapture": "true"})
    for reference in ("pay-held", "pay-never"):
        assert post(adyen, "/cancels", {"paymentReference": reference}).status_code == 201
    assert told(adyen)[1:] == [("TECHNICAL_CANCEL", "true", "")]
    assert adyen.count("void", "pay-held") == 1


def test_notifications_go_out_in_order_and_again_until_they_are_accepted(adyen: AdyenStandIn) -> None:
    adyen.send_to("http://127.0.0.1:9/", KEY)
    psp = pay(adyen).json()["pspReference"]
    post(adyen, f"/payments/{psp}/refunds", {"amount": {"value": 100, "currency": "EUR"}})
    adyen.settle()
    assert [each.statuses for each in adyen.told] == [[0], [0]]
    with receiving() as receiver:
        adyen.send_to(receiver.url, KEY)
        assert adyen.deliver() == 2
        adyen.settle()
        assert adyen.deliver() == 0
        assert adyen.deliver("reversed", copies=2, again=True) == 4
        adyen.settle()
        events = [
            json.loads(body)["notificationItems"][0]["NotificationRequestItem"]["eventCode"]
            for _, body in receiver.got
        ]
    refund, paid = "REFUND", "AUTHORISATION"
    assert events == [paid, refund, refund, paid, refund, paid]


@pytest.mark.parametrize(
    ("what", "fields", "told"),
    [
        ("notifications", {"url": "http://example.com/", "hmac_key": KEY}, "127.0.0.1 only"),
        ("notifications", {"url": "http://127.0.0.1:1/", "hmac_key": "xyz"}, "hexadecimal"),
        ("deliver", {}, "no receiver"),
        ("deliver", {"order": "random"}, "shuffled"),
        ("cards", {"token": "stored_visa", "outcome": "Nope"}, "Not enough balance"),
        ("cards", {"token": "nothing", "outcome": "Refused"}, "stored_visa"),
        ("disputes", {"payment": "NOBODY"}, "no captured payment"),
        ("nothing", {}, "no control"),
    ],
)
def test_controls_that_are_wrong_say_what_to_do(
    adyen: AdyenStandIn, what: str, fields: dict[str, Any], told: str
) -> None:
    answer = httpx.post(f"{adyen.url}/_control/adyen/{what}", json=fields)
    assert answer.status_code == 400
    assert told in answer.json()["error"]


def test_the_controls_over_http(adyen: AdyenStandIn) -> None:
    def control(what: str, **fields: Any) -> Any:
        answer = httpx.post(f"{adyen.url}/_control/adyen/{what}", json=fields)
        assert answer.status_code == 200, answer.text
        return answer.json()

    with receiving() as receiver:
        control("notifications", url=receiver.url, hmac_key=KEY)
        control("hold")
        psp = pay(adyen).json()["pspReference"]
        dispute = control("disputes", payment=psp)["dispute"]
        control("close_dispute", dispute=dispute, status="won")
        assert receiver.got == []
        assert control("deliver", order="shuffled", seed=3)["sent"] == 4
        adyen.settle()
        assert len(receiver.got) == 4
    control("cards", token="stored_visa", outcome="Expired Card")
    assert pay(adyen).json()["refusalReasonCode"] == "6"


def test_stored_cards_are_listed_and_forgotten(adyen: AdyenStandIn) -> None:
    pay(adyen)
    query = {"merchantAccount": "MastheadSandbox", "shopperReference": "acct-1"}
    headers = {"X-API-Key": "k"}

    def listed() -> list[str]:
        answer = httpx.get(adyen.url + "/storedPaymentMethods", params=query, headers=headers)
        return [each["id"] for each in answer.json()["storedPaymentMethods"]]

    assert listed() == ["stored_visa"]
    path = adyen.url + "/storedPaymentMethods/stored_visa"
    assert httpx.delete(path, params=query, headers=headers).status_code == 204
    assert listed() == []
    assert pay(adyen).json()["errorCode"] == "800"


def test_the_page_shows_what_it_holds(adyen: AdyenStandIn) -> None:
    psp = pay(adyen, "pay-shown").json()["pspReference"]
    post(adyen, f"/payments/{psp}/refunds", {"amount": {"value": 100, "currency": "EUR"}})
    page = httpx.get(adyen.url + "/_page").text
    for shown in (psp, "pay-shown", "AUTHORISATION", "REFUND", "stored_visa", "not sent"):
        assert shown in page
