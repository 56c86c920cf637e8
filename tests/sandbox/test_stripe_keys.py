"""Stripe's idempotency keys: what is replayed, for how long, and what is refused."""

from __future__ import annotations

import threading
from datetime import timedelta

import httpx
import pytest
import stripe

from sandbox.stripe.stand_in import StripeStandIn
from tests.sandbox import wire

CHARGE = {
    "amount": "1250",
    "currency": "eur",
    "payment_method": "pm_card_visa",
    "confirm": "true",
    "off_session": "true",
    "metadata[reference]": "inv-1",
}


def post(
    stand_in: StripeStandIn, key: str, path: str = "/v1/payment_intents", **changes: str
) -> httpx.Response:
    headers = {"Authorization": "Bearer sk_test_x", "Idempotency-Key": key}
    return wire.post(stand_in.url + path, data={**CHARGE, **changes}, headers=headers, timeout=20)


def test_the_same_key_gives_the_same_answer_and_one_charge(stripe_stand_in: StripeStandIn) -> None:
    first, again = post(stripe_stand_in, "k"), post(stripe_stand_in, "k")
    assert first.status_code == again.status_code == 200
    assert first.content == again.content
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert first.headers["idempotency-key"] == "k"
    assert first.headers["request-id"] != again.headers["request-id"]
    assert stripe_stand_in.count("charge", "k") == stripe_stand_in.count("charge", "inv-1") == 1


def test_a_decline_is_replayed_too(stripe_stand_in: StripeStandIn) -> None:
    first = post(stripe_stand_in, "k", payment_method="pm_card_chargeDeclined")
    again = post(stripe_stand_in, "k", payment_method="pm_card_chargeDeclined")
    assert (first.status_code, again.status_code) == (402, 402)
    assert first.json()["error"]["charge"] == again.json()["error"]["charge"]
    assert again.headers["idempotent-replayed"] == "true"


def test_a_lost_answer_is_found_again_by_its_key(stripe_stand_in: StripeStandIn) -> None:
    stripe_stand_in.inject("drop_after")
    with pytest.raises(httpx.TransportError):
        post(stripe_stand_in, "k")
    assert stripe_stand_in.count("charge", "k") == 1
    assert post(stripe_stand_in, "k").json()["status"] == "succeeded"
    assert stripe_stand_in.count("charge", "k") == 1


def test_a_key_is_forgotten_after_a_day_and_then_charges_again(stripe_stand_in: StripeStandIn) -> None:
    post(stripe_stand_in, "k")
    stripe_stand_in.advance(timedelta(hours=23, minutes=59))
    assert post(stripe_stand_in, "k").headers["idempotent-replayed"] == "true"
    stripe_stand_in.advance(timedelta(minutes=1))
    assert "idempotent-replayed" not in post(stripe_stand_in, "k").headers
    assert stripe_stand_in.count("charge", "k") == 2


def test_other_parameters_under_a_key_are_an_idempotency_error(stripe_stand_in: StripeStandIn) -> None:
    post(stripe_stand_in, "k")
    for other in (
        post(stripe_stand_in, "k", amount="1300"),
        post(stripe_stand_in, "k", path="/v1/customers"),
    ):
        assert (other.status_code, other.json()["error"]["type"]) == (400, "idempotency_error")
    assert stripe_stand_in.count("charge") == 1


def test_a_refused_parameter_leaves_the_key_free(stripe_stand_in: StripeStandIn) -> None:
    assert post(stripe_stand_in, "k", nonsense="1").json()["error"]["code"] == "parameter_unknown"
    assert post(stripe_stand_in, "k").status_code == 200
    assert post(stripe_stand_in, "x" * 256).status_code == 400


def test_a_concurrent_call_under_a_key_is_told_that_it_is_in_use(stripe_stand_in: StripeStandIn) -> None:
    stripe_stand_in.inject("stall_within", method="POST")
    first = threading.Thread(target=post, args=(stripe_stand_in, "k"))
    first.start()
    while not stripe_stand_in.faults.held:
        assert first.is_alive()
    second = post(stripe_stand_in, "k")
    assert (second.status_code, second.json()["error"]["code"]) == (409, "idempotency_key_in_use")
    stripe_stand_in.release()
    first.join()
    assert post(stripe_stand_in, "k").headers["idempotent-replayed"] == "true"
    assert stripe_stand_in.count("charge", "k") == 1


def test_faults_speak_stripe(stripe_stand_in: StripeStandIn) -> None:
    client = stripe.StripeClient(
        "sk_test_x",
        base_addresses={"api": stripe_stand_in.url},
        max_network_retries=0,
        http_client=stripe.HTTPXClient(allow_sync_methods=True, verify_ssl_certs=False),
    )
    for fault, error in (
        ("rate_limited_seconds", stripe.RateLimitError),
        ("server_error", stripe.APIError),
        ("unavailable", stripe.APIError),
        ("unauthorized_once", stripe.AuthenticationError),
        ("conflict", stripe.APIError),
        ("drop_before", stripe.APIConnectionError),
        ("html", stripe.APIError),
        ("truncated_json", stripe.APIError),
    ):
        stripe_stand_in.inject(fault)
        with pytest.raises(error):
            client.v1.customers.create({"email": "a@example.com"})
