"""Refunds and disputes at the Stripe stand-in."""

from __future__ import annotations

from datetime import timedelta

import pytest
import stripe

from sandbox.stripe.stand_in import StripeStandIn
from tests.sandbox import wire
from tests.sandbox.test_stripe_payments import charge, sdk


@pytest.fixture
def client(stripe_stand_in: StripeStandIn) -> stripe.StripeClient:
    return sdk(stripe_stand_in)


def test_refunds_go_up_to_what_was_paid(stripe_stand_in: StripeStandIn, client: stripe.StripeClient) -> None:
    intent = charge(client)
    first = client.v1.refunds.create(
        {"payment_intent": intent.id, "amount": 800, "metadata": {"reference": "cn-1"}, "reason": "duplicate"}
    )
    assert (first.status, first.amount, first.currency, first.charge) == (
        "succeeded",
        800,
        "eur",
        intent.latest_charge,
    )
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount") as over:
        client.v1.refunds.create({"payment_intent": intent.id, "amount": 451})
    assert over.value.param == "amount"
    rest = client.v1.refunds.create({"charge": str(intent.latest_charge)})
    assert rest.amount == 450
    with pytest.raises(stripe.InvalidRequestError) as done:
        client.v1.refunds.create({"payment_intent": intent.id})
    assert done.value.code == "charge_already_refunded"
    paid = client.v1.charges.retrieve(str(intent.latest_charge))
    assert (paid.refunded, paid.amount_refunded) == (True, 1250)
    assert [one.amount for one in client.v1.refunds.list({"payment_intent": intent.id}).data] == [450, 800]
    assert (stripe_stand_in.count("refund"), stripe_stand_in.count("refund", "cn-1")) == (2, 1)


def test_only_captured_money_is_refunded_and_only_what_was_captured(client: stripe.StripeClient) -> None:
    held = charge(client, capture_method="manual")
    with pytest.raises(stripe.InvalidRequestError, match="successful charge"):
        client.v1.refunds.create({"payment_intent": held.id})
    client.v1.payment_intents.capture(held.id, {"amount_to_capture": 500})
    with pytest.raises(stripe.InvalidRequestError, match="greater than"):
        client.v1.refunds.create({"payment_intent": held.id, "amount": 501})
    assert client.v1.refunds.create({"payment_intent": held.id}).amount == 500
    with pytest.raises(stripe.InvalidRequestError, match="should be provided"):
        client.v1.refunds.create({})


def test_a_refund_may_fail_later_and_the_money_is_back(
    stripe_stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    intent = charge(client, "pm_card_refundFail")
    refund = client.v1.refunds.create({"payment_intent": intent.id})
    assert refund.status == "succeeded"
    stripe_stand_in.advance(timedelta(minutes=1))
    assert client.v1.refunds.retrieve(refund.id).status == "failed"
    assert client.v1.charges.retrieve(str(intent.latest_charge)).amount_refunded == 0
    assert client.v1.events.list({"type": "refund.failed"}).data[0].data.object["id"] == refund.id


def test_a_dispute_takes_the_money_until_it_is_won(
    stripe_stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    intent = charge(client)
    told = {"payment": intent.id, "reason": "product_not_received", "amount": 1000}
    made = wire.post(f"{stripe_stand_in.url}/_control/stripe/disputes", json=told).json()
    dispute = client.v1.disputes.retrieve(made["id"])
    assert (dispute.status, dispute.amount, dispute.reason) == (
        "needs_response",
        1000,
        "product_not_received",
    )
    assert [one.id for one in client.v1.disputes.list({"payment_intent": intent.id}).data] == [dispute.id]
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.refunds.create({"payment_intent": intent.id})
    assert refused.value.code == "charge_disputed"
    assert stripe_stand_in.close_dispute(dispute.id, "won")["status"] == "won"
    assert client.v1.refunds.create({"payment_intent": intent.id}).amount == 1250
    assert sum(moved["amount"] for moved in dispute.balance_transactions) == -1000
    again = wire.post(f"{stripe_stand_in.url}/_control/stripe/disputes", json=told)
    assert (again.status_code, "disputed once" in again.text) == (400, True)


def test_a_card_that_disputes_does_so_when_it_is_charged(client: stripe.StripeClient) -> None:
    intent = charge(client, "pm_card_createDispute")
    (dispute,) = client.v1.disputes.list().data
    assert (dispute.payment_intent, dispute.amount, dispute.reason) == (intent.id, 1250, "fraudulent")
