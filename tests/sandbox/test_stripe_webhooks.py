"""Stripe's events and webhooks, checked with Stripe's own verification."""

from __future__ import annotations

from datetime import timedelta

import pytest
import stripe

from sandbox.stripe.stand_in import StripeStandIn
from tests.sandbox.acme import receiving
from tests.sandbox.test_stripe_payments import charge, sdk

SECRET = "whsec_test"


@pytest.fixture
def client(stripe_stand_in: StripeStandIn) -> stripe.StripeClient:
    return sdk(stripe_stand_in)


def test_a_fired_event_passes_stripes_check_and_can_be_read_again(
    stripe_stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    intent = charge(client)
    with receiving() as receiver:
        about = stripe_stand_in.objects["payment_intent"][intent.id]
        kind = "payment_intent.succeeded"
        assert stripe_stand_in.fire(kind, about, url=receiver.url, secret=SECRET) == [200]
    headers, body = receiver.got[0]
    event = client.construct_event(body, headers["stripe-signature"], SECRET)
    assert (event.type, event.data.object["id"]) == (kind, intent.id)
    assert client.v1.events.retrieve(event.id).type == kind
    with pytest.raises(stripe.SignatureVerificationError):
        client.construct_event(body, headers["stripe-signature"], "whsec_other")


def test_the_same_event_may_come_twice_and_older_ones_later(
    stripe_stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    charge(client)
    newest, *_, oldest = client.v1.events.list().data
    with receiving() as receiver:
        for event in (newest, oldest):
            stripe_stand_in.fire("", event.to_dict(), url=receiver.url, secret=SECRET, duplicate=1)
    read = [
        client.construct_event(body, headers["stripe-signature"], SECRET) for headers, body in receiver.got
    ]
    assert [event.id for event in read] == [newest.id, newest.id, oldest.id, oldest.id]


def test_a_late_event_is_stale_to_stripes_check(
    stripe_stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    with receiving() as receiver:
        stripe_stand_in.fire("customer.updated", {"id": "cus_1"}, url=receiver.url, secret=SECRET, late=600)
    headers, body = receiver.got[0]
    with pytest.raises(stripe.SignatureVerificationError, match="tolerance"):
        client.construct_event(body, headers["stripe-signature"], SECRET)


def test_a_registered_endpoint_gets_what_it_wants_in_order(
    stripe_stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    with receiving() as receiver:
        endpoint = client.v1.webhook_endpoints.create(
            {"url": receiver.url, "enabled_events": ["payment_intent.succeeded", "charge.refunded"]}
        )
        assert endpoint.secret
        intent = charge(client, metadata={"reference": "inv-1"})
        client.v1.refunds.create({"payment_intent": intent.id})
        stripe_stand_in.settle()
        events = [
            client.construct_event(body, headers["stripe-signature"], endpoint.secret)
            for headers, body in receiver.got
        ]
        assert [event.type for event in events] == ["payment_intent.succeeded", "charge.refunded"]
        assert client.v1.webhook_endpoints.list().data[0].to_dict().get("secret") is None
        receiver.answers = [500]
        charge(client)
        stripe_stand_in.settle()
    pending = client.v1.events.list({"type": "payment_intent.succeeded"}).data
    assert [event.pending_webhooks for event in pending] == [1, 0]
    assert stripe_stand_in.deliveries[-1][2] == 500


def test_an_endpoint_elsewhere_is_refused(client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError) as refused:
        client.v1.webhook_endpoints.create({"url": "https://example.com/x", "enabled_events": ["*"]})
    assert refused.value.param == "url"


def test_events_tell_what_happened_and_are_listed_for_thirty_days(
    stripe_stand_in: StripeStandIn, client: stripe.StripeClient
) -> None:
    client.v1.payment_intents.create(
        {
            "amount": 1250,
            "currency": "eur",
            "payment_method": "pm_card_visa",
            "confirm": True,
            "off_session": True,
        },
        {"idempotency_key": "k"},
    )
    events = client.v1.events.list().data
    assert [event.type for event in events] == [
        "payment_intent.succeeded",
        "charge.succeeded",
        "payment_intent.created",
    ]
    assert events[0].request is not None
    assert events[0].request.idempotency_key == "k"
    # An event shows the object as it was then.
    assert events[2].data.object["status"] == "requires_confirmation"
    few = client.v1.events.list({"types": ["charge.succeeded", "charge.refunded"]}).data
    assert [event.type for event in few] == ["charge.succeeded"]
    stripe_stand_in.advance(timedelta(days=31))
    assert client.v1.events.list().data == []
