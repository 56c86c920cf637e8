"""Payments at the Stripe stand-in through Stripe's own SDK."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import stripe

from sandbox.stripe.stand_in import StripeStandIn
from tests.sandbox import wire

RETURN = "http://127.0.0.1:1/back?order=7"


@pytest.fixture
def client(stripe_stand_in: StripeStandIn) -> stripe.StripeClient:
    return sdk(stripe_stand_in)


def sdk(stand_in: StripeStandIn) -> stripe.StripeClient:
    """Stripe's SDK, pointed at the stand-in."""
    return stripe.StripeClient(
        "sk_test_x",
        base_addresses={"api": stand_in.url},
        max_network_retries=0,
        http_client=stripe.HTTPXClient(allow_sync_methods=True, verify_ssl_certs=False),
    )


def charge(client: stripe.StripeClient, method: str = "pm_card_visa", **more: Any) -> stripe.PaymentIntent:
    """A charge of 12.50 EUR without the customer."""
    params: Any = {
        "amount": 1250,
        "currency": "eur",
        "payment_method": method,
        "confirm": True,
        "off_session": True,
        **more,
    }
    if params["off_session"] is None:
        del params["off_session"]
    return client.v1.payment_intents.create(params)


def test_a_charge_takes_the_money_at_once(
    stripe_stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    intent = charge(client, metadata={"reference": "inv-1"}, expand=["latest_charge.balance_transaction"])
    assert (intent.status, intent.amount_received, intent.currency) == ("succeeded", 1250, "eur")
    paid = intent.latest_charge
    assert isinstance(paid, stripe.Charge)
    assert (paid.captured, paid.paid, paid.amount_captured) == (True, True, 1250)
    assert isinstance(paid.balance_transaction, stripe.BalanceTransaction)
    assert paid.balance_transaction.net == 1250 - 66  # 2.9 % rounded, and 30
    assert paid.payment_method_details is not None
    assert paid.payment_method_details.card is not None
    assert paid.payment_method_details.card.last4 == "4242"
    assert stripe_stand_in.count("charge", "inv-1") == stripe_stand_in.count("charge", intent.id) == 1


@pytest.mark.parametrize(
    ("method", "code", "decline"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_visa_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
        ("pm_card_chargeCustomerFail", "card_declined", "generic_decline"),
        ("pm_card_authenticationRequired", "authentication_required", "authentication_required"),
    ],
)
def test_a_declined_card_is_a_402_with_the_banks_code(
    method: str, code: str, decline: str, stripe_stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    with pytest.raises(stripe.CardError) as refused:
        charge(client, method)
    error = refused.value
    assert error.error is not None
    assert (error.http_status, error.code, error.error.decline_code) == (402, code, decline)
    assert error.request_id
    assert error.request_id.startswith("req_")
    intent = error.error.payment_intent
    assert intent is not None
    assert intent.status == "requires_payment_method"
    kept = client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    assert kept.last_payment_error is not None
    assert kept.last_payment_error.decline_code == decline
    assert isinstance(kept.latest_charge, stripe.Charge)
    assert (kept.latest_charge.paid, kept.latest_charge.failure_code) == (False, code)
    assert stripe_stand_in.count("charge") == 0


def test_a_declined_intent_is_paid_with_another_card(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.CardError) as refused:
        charge(client, "pm_card_chargeDeclined")
    assert refused.value.error is not None
    assert refused.value.error.payment_intent is not None
    intent = client.v1.payment_intents.confirm(
        refused.value.error.payment_intent.id, {"payment_method": "pm_card_visa", "off_session": True}
    )
    assert (intent.status, intent.last_payment_error) == ("succeeded", None)


def test_a_hold_is_captured_in_part_and_only_once(
    stripe_stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    held = charge(client, capture_method="manual", metadata={"reference": "inv-2"})
    assert (held.status, held.amount_capturable, held.amount_received) == ("requires_capture", 1250, 0)
    assert stripe_stand_in.count("authorization", "inv-2") == 1
    with pytest.raises(stripe.InvalidRequestError) as over:
        client.v1.payment_intents.capture(held.id, {"amount_to_capture": 1251})
    assert (over.value.http_status, over.value.code) == (400, "amount_too_large")
    taken = client.v1.payment_intents.capture(held.id, {"amount_to_capture": 500})
    assert (taken.status, taken.amount_received, taken.amount_capturable) == ("succeeded", 500, 0)
    with pytest.raises(stripe.InvalidRequestError) as again:
        client.v1.payment_intents.capture(held.id)
    assert again.value.code == "payment_intent_unexpected_state"
    (effect,) = stripe_stand_in.effects.of("charge", "inv-2")
    assert effect.detail["amount"] == 500


def test_a_hold_is_released_by_cancelling_or_by_seven_days(
    stripe_stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    first, second = (charge(client, capture_method="manual") for _ in range(2))
    gone = client.v1.payment_intents.cancel(first.id, {"cancellation_reason": "abandoned"})
    assert (gone.status, gone.cancellation_reason, gone.amount_capturable) == ("canceled", "abandoned", 0)
    with pytest.raises(stripe.InvalidRequestError, match="status of canceled"):
        client.v1.payment_intents.cancel(first.id)
    stripe_stand_in.advance(timedelta(days=7))
    expired = client.v1.payment_intents.retrieve(second.id)
    assert (expired.status, expired.cancellation_reason) == ("canceled", "automatic")
    assert stripe_stand_in.count("void") == 2


@pytest.mark.parametrize(
    ("button", "status", "back"), [("approve", "succeeded", "succeeded"), ("fail", None, "failed")]
)
def test_the_customer_answers_the_banks_challenge(
    button: str, status: str | None, back: str, stripe_stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    intent = charge(client, "pm_card_threeDSecure2Required", off_session=None, return_url=RETURN)
    assert intent.status == "requires_action"
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    url = intent.next_action.redirect_to_url.url
    assert url is not None
    page = wire.get(url)
    assert "12.50 EUR" in page.text
    assert f'action="{intent.id}/{button}"' in page.text
    assert stripe_stand_in.count("charge") == 0
    reply = wire.post(f"{url}/{button}")
    assert reply.status_code == 303
    assert reply.headers["location"].startswith(f"{RETURN}&payment_intent={intent.id}&")
    assert f"redirect_status={back}" in reply.headers["location"]
    now = client.v1.payment_intents.retrieve(intent.id)
    assert now.status == (status or "requires_payment_method")
    wire.post(f"{url}/approve")
    assert {call.path.split("/")[1] for call in stripe_stand_in.requests} == {"v1"}
    assert stripe_stand_in.count("charge") == (1 if status else 0)
    if status is None:
        assert now.last_payment_error is not None
        assert now.last_payment_error.code == "payment_intent_authentication_failure"


def test_a_challenged_card_may_still_be_declined(client: stripe.StripeClient) -> None:
    method = "pm_card_authenticationRequiredChargeDeclinedInsufficientFunds"
    intent = charge(client, method, off_session=None, return_url=RETURN)
    assert intent.next_action is not None
    assert intent.next_action.redirect_to_url is not None
    reply = wire.post(f"{intent.next_action.redirect_to_url.url}/approve")
    assert "redirect_status=failed" in reply.headers["location"]
    now = client.v1.payment_intents.retrieve(intent.id)
    assert now.last_payment_error is not None
    assert now.last_payment_error.decline_code == "insufficient_funds"


def test_a_card_is_set_up_with_the_customer_and_charged_without(client: stripe.StripeClient) -> None:
    owner = client.v1.customers.create({"email": "a@example.com"})
    setup = client.v1.setup_intents.create(
        {
            "customer": owner.id,
            "payment_method": "pm_card_authenticationRequiredOnSetup",
            "confirm": True,
            "usage": "off_session",
            "return_url": RETURN,
        }
    )
    assert setup.status == "requires_action"
    assert setup.next_action is not None
    assert setup.next_action.redirect_to_url is not None
    wire.post(f"{setup.next_action.redirect_to_url.url}/approve")
    done = client.v1.setup_intents.retrieve(setup.id)
    assert done.status == "succeeded"
    (saved,) = client.v1.customers.payment_methods.list(owner.id).data
    assert saved.id == done.payment_method
    assert charge(client, saved.id, customer=owner.id).status == "succeeded"
    with pytest.raises(stripe.CardError):  # a card of the same kind that was not set up
        charge(client, "pm_card_authenticationRequiredOnSetup")


def test_saved_cards_belong_to_one_customer_and_can_go(client: stripe.StripeClient) -> None:
    first, second = (client.v1.customers.create({"email": f"{n}@example.com"}) for n in "ab")
    card = client.v1.payment_methods.attach("pm_card_visa", {"customer": first.id})
    with pytest.raises(stripe.InvalidRequestError, match="already been attached"):
        client.v1.payment_methods.attach(card.id, {"customer": second.id})
    with pytest.raises(stripe.InvalidRequestError, match="belongs to a Customer"):
        charge(client, card.id, customer=second.id)
    with pytest.raises(stripe.CardError):
        client.v1.payment_methods.attach("pm_card_chargeDeclined", {"customer": first.id})
    assert client.v1.payment_methods.detach(card.id).customer is None
    assert client.v1.customers.payment_methods.list(first.id).data == []


def test_a_saved_card_starts_to_decline_when_told(
    stripe_stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    owner = client.v1.customers.create({"payment_method": "pm_card_visa"})
    (card,) = client.v1.customers.payment_methods.list(owner.id).data
    stripe_stand_in.turn_card(card.id, "insufficient_funds")
    with pytest.raises(stripe.CardError, match="insufficient funds"):
        charge(client, card.id, customer=owner.id)
    told = {"payment_method": card.id, "outcome": "approved"}
    wire.post(f"{stripe_stand_in.url}/_control/stripe/cards", json=told)
    assert charge(client, card.id, customer=owner.id).status == "succeeded"


def test_customers_are_found_by_email_and_changed(client: stripe.StripeClient) -> None:
    made = client.v1.customers.create({"email": "a@example.com", "metadata": {"account": "7", "old": "x"}})
    client.v1.customers.create({"email": "b@example.com"})
    client.v1.customers.update(made.id, {"name": "Ann", "metadata": {"old": ""}})
    (found,) = client.v1.customers.list({"email": "a@example.com"}).data
    assert (found.id, found.name) == (made.id, "Ann")
    assert found.metadata is not None
    assert found.metadata.to_dict() == {"account": "7"}


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"amount": 0}, "parameter_invalid_integer", "amount"),
        ({"amount": 49}, "amount_too_small", "amount"),
        ({"amount": "12.5"}, "parameter_invalid_integer", "amount"),
        ({"currency": "euro"}, "parameter_invalid_string", "currency"),
        ({"payment_method": "pm_nobody"}, "resource_missing", "payment_method"),
        ({"customer": "cus_nobody"}, "resource_missing", "customer"),
        ({"no_such_thing": "1"}, "parameter_unknown", "no_such_thing"),
        ({"capture_method": "later"}, "parameter_invalid_string", "capture_method"),
        ({"off_session": None}, None, "return_url"),
        ({"off_session": None, "return_url": "javascript:1"}, "url_invalid", "return_url"),
    ],
)
def test_bad_parameters_are_refused_and_nothing_is_made(
    changes: dict[str, Any],
    code: str | None,
    param: str,
    stripe_stand_in: StripeStandIn,
    client: stripe.StripeClient,
) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        charge(client, changes.pop("payment_method", "pm_card_visa"), **changes)
    assert (refused.value.http_status, refused.value.code, refused.value.param) == (400, code, param)
    assert client.v1.payment_intents.list().data == []
    assert stripe_stand_in.count() == 0


def test_a_key_of_another_kind_is_refused(stripe_stand_in: StripeStandIn) -> None:
    live = {"Authorization": "Bearer sk_live_x"}
    assert wire.get(f"{stripe_stand_in.url}/v1/customers", headers=live).status_code == 401
    assert wire.get(f"{stripe_stand_in.url}/v1/customers").json()["error"]["type"] == "invalid_request_error"
    basic = wire.get(f"{stripe_stand_in.url}/v1/customers", auth=("sk_test_x", ""))
    assert basic.json()["data"] == []
    missing = wire.get(
        f"{stripe_stand_in.url}/v1/charges/ch_x", headers={"Authorization": "Bearer sk_test_x"}
    )
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "resource_missing")
