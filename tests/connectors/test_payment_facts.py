"""What gateways' webhooks tell of payments: one standing, in whatever order and however often it is told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.adyen.config import AdyenConfig
from connectors.adyen.connector import Adyen
from connectors.sdk.capabilities.payment import Decline, PaymentStatus
from connectors.sdk.capabilities.payment_facts import (
    Happened,
    OtherAccount,
    PaymentFact,
    Standing,
    standing,
)
from connectors.sdk.config import Secret
from connectors.sdk.webhooks.shelf import bundled_recipes
from connectors.sdk.webhooks.values import Verdict, WebhookRequest
from connectors.sdk.webhooks.verify import verify
from connectors.stripe.config import StripeConfig
from connectors.stripe.connector import Stripe
from masthead.sdk import CaptureOrder, ChargeOrder, Key, RefundOrder, VoidOrder, memory_context
from masthead.testing import AdyenStandIn
from tests.sandbox.acme import receiving

KEY = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056"
CONFIG = AdyenConfig(api_key=Secret("env:KEY"), merchant_account="MastheadSandbox")


def item(event: str, success: object = "true", **more: Any) -> dict[str, Any]:
    """A verified notification item."""
    return {
        "pspReference": "MOD1",
        "originalReference": "PSP1",
        "merchantAccountCode": "MastheadSandbox",
        "merchantReference": "pay-1",
        "amount": {"value": 1250, "currency": "EUR"},
        "eventCode": event,
        "eventDate": "2026-11-20T13:00:00+01:00",
        "success": success,
        "reason": "",
        **more,
    }


@pytest.mark.parametrize(
    ("event", "success", "more", "happened"),
    [
        ("AUTHORISATION", "true", {}, Happened.CHARGED),
        ("AUTHORISATION", True, {}, Happened.CHARGED),
        ("AUTHORISATION", "false", {"reason": "Expired Card"}, Happened.CHARGE_FAILED),
        ("PENDING", "true", {}, Happened.CHARGE_PENDING),
        ("OFFER_CLOSED", "true", {}, Happened.CHARGE_FAILED),
        ("CAPTURE", "true", {}, Happened.CAPTURED),
        ("CAPTURE", "false", {}, Happened.CAPTURE_FAILED),
        ("CAPTURE_FAILED", "true", {}, Happened.CAPTURE_FAILED),
        ("CANCELLATION", "true", {}, Happened.VOIDED),
        ("CANCELLATION", "false", {}, Happened.VOID_FAILED),
        ("TECHNICAL_CANCEL", "true", {}, Happened.VOIDED),
        ("EXPIRE", "true", {}, Happened.VOIDED),
        ("REFUND", "true", {}, Happened.REFUNDED),
        ("REFUND", "false", {}, Happened.REFUND_FAILED),
        ("REFUND_FAILED", "true", {}, Happened.REFUND_FAILED),
        ("REFUNDED_REVERSED", "true", {}, Happened.REFUND_FAILED),
        (
            "CANCEL_OR_REFUND",
            "true",
            {"additionalData": {"modification.action": "refund"}},
            Happened.REFUNDED,
        ),
        ("CANCEL_OR_REFUND", "true", {"additionalData": {"modification.action": "cancel"}}, Happened.VOIDED),
        ("NOTIFICATION_OF_CHARGEBACK", "true", {}, Happened.DISPUTE_OPENED),
        ("CHARGEBACK", "true", {}, Happened.DISPUTED),
        ("CHARGEBACK_REVERSED", "true", {}, Happened.DISPUTE_WON),
        ("PREARBITRATION_WON", "true", {}, Happened.DISPUTE_WON),
        ("SECOND_CHARGEBACK", "true", {}, Happened.DISPUTE_LOST),
        ("PREARBITRATION_LOST", "true", {}, Happened.DISPUTE_LOST),
    ],
)
def test_each_event_of_adyen_is_a_fact(
    event: str, success: object, more: dict[str, Any], happened: Happened
) -> None:
    (fact,) = Adyen.facts(CONFIG, item(event, success, **more))
    assert fact.happened is happened
    assert (fact.payment, fact.id, fact.reference) == ("PSP1", "MOD1", "pay-1")
    assert (fact.amount, fact.currency) == (1250, "EUR")
    assert fact.occurred_at == datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert (fact.decline is not None) == happened.value.endswith("failed")


@pytest.mark.parametrize("event", ["REPORT_AVAILABLE", "RECURRING_CONTRACT", "CANCEL_OR_REFUND", "NEW_ONE"])
def test_what_is_of_no_payment_is_no_fact(event: str) -> None:
    assert Adyen.facts(CONFIG, item(event)) == ()


def test_a_refusal_that_comes_later_has_its_reason() -> None:
    raw = {"refusalReasonRaw": "51 : Insufficient funds"}
    told = item(
        "AUTHORISATION", "false", reason="Not enough balance", originalReference="", additionalData=raw
    )
    (fact,) = Adyen.facts(CONFIG, told)
    assert fact.decline == Decline(code="Not enough balance", message="51 : Insufficient funds")
    assert fact.payment == "MOD1"


def test_a_notification_for_another_merchant_account_is_refused() -> None:
    with pytest.raises(OtherAccount, match=r"'TheirShop'.*'MastheadSandbox'"):
        Adyen.facts(CONFIG, item("AUTHORISATION", merchantAccountCode="TheirShop"))


@pytest.mark.parametrize("lacking", ["pspReference", "eventCode", "success", "merchantAccountCode", "amount"])
def test_an_item_that_lacks_something_is_told_by_its_field(lacking: str) -> None:
    told = {name: value for name, value in item("CAPTURE").items() if name != lacking}
    with pytest.raises(ValueError, match=lacking):
        Adyen.facts(CONFIG, told)


# ---- Stripe


def event(kind: str, object: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": kind, "created": 1795176000, "data": {"object": object}, **more}


INTENT = {
    "id": "pi_1",
    "amount": 1250,
    "amount_received": 1250,
    "currency": "eur",
    "status": "succeeded",
    "metadata": {"masthead_reference": "pay-1"},
    "last_payment_error": {"code": "card_declined", "decline_code": "do_not_honor", "message": "no"},
}
REFUND = {
    "id": "re_1",
    "payment_intent": "pi_1",
    "charge": "ch_1",
    "amount": 300,
    "currency": "eur",
    "metadata": {"masthead_reference": "ref-1"},
}
DISPUTE = {"id": "dp_1", "payment_intent": "pi_1", "charge": "ch_1", "amount": 1250, "currency": "eur"}


@pytest.mark.parametrize(
    ("kind", "object", "happened"),
    [
        ("payment_intent.succeeded", INTENT, [Happened.CHARGED, Happened.CAPTURED]),
        (
            "payment_intent.amount_capturable_updated",
            {**INTENT, "status": "requires_capture"},
            [Happened.CHARGED],
        ),
        (
            "payment_intent.payment_failed",
            {**INTENT, "status": "requires_payment_method"},
            [Happened.CHARGE_FAILED],
        ),
        ("payment_intent.processing", {**INTENT, "status": "processing"}, [Happened.CHARGE_PENDING]),
        ("payment_intent.canceled", {**INTENT, "status": "canceled"}, [Happened.VOIDED]),
        ("refund.created", {**REFUND, "status": "succeeded"}, [Happened.REFUNDED]),
        ("refund.created", {**REFUND, "status": "pending"}, []),
        ("refund.failed", {**REFUND, "status": "failed"}, [Happened.REFUND_FAILED]),
        ("charge.dispute.created", {**DISPUTE, "status": "needs_response"}, [Happened.DISPUTED]),
        (
            "charge.dispute.created",
            {**DISPUTE, "status": "warning_needs_response"},
            [Happened.DISPUTE_OPENED],
        ),
        ("charge.dispute.closed", {**DISPUTE, "status": "won"}, [Happened.DISPUTE_WON]),
        ("charge.dispute.closed", {**DISPUTE, "status": "lost"}, [Happened.DISPUTE_LOST]),
        ("customer.created", {"id": "cus_1"}, []),
    ],
)
def test_each_event_of_stripe_is_the_same_facts(
    kind: str, object: dict[str, Any], happened: list[Happened]
) -> None:
    config = StripeConfig(api_key=Secret("env:KEY"))
    facts = Stripe.facts(config, event(kind, object))
    assert [fact.happened for fact in facts] == happened
    assert {(fact.payment, fact.currency) for fact in facts} <= {("pi_1", "EUR")}
    for fact in facts:
        assert (fact.decline is not None) == fact.happened.value.endswith("failed")


def test_a_dispute_of_stripe_tells_the_fee_that_is_kept_by_then() -> None:
    def fees(status: str, *moved: dict[str, Any]) -> list[int]:
        dispute = {**DISPUTE, "status": status, "balance_transactions": list(moved)}
        told = Stripe.facts(StripeConfig(api_key=Secret("env:KEY")), event("charge.dispute.updated", dispute))
        return [fact.fee for fact in told]

    taken, back = {"fee": 1500, "currency": "eur"}, {"fee": -1500, "currency": "eur"}
    assert fees("needs_response", taken) == [1500]
    assert fees("won", taken, back) == [0]
    assert fees("lost", taken, {"fee": 1500, "currency": "eur"}) == [3000]
    assert fees("lost", {"fee": 1700, "currency": "usd"}) == [0]


def test_stripe_events_of_another_connected_account_and_odd_ones_are_refused() -> None:
    config = StripeConfig(api_key=Secret("env:KEY"), account="acct_ours")
    assert Stripe.facts(config, event("payment_intent.succeeded", INTENT, account="acct_ours"))
    with pytest.raises(OtherAccount, match="acct_theirs"):
        Stripe.facts(config, event("payment_intent.succeeded", INTENT, account="acct_theirs"))
    with pytest.raises(ValueError, match="currency"):
        Stripe.facts(config, event("payment_intent.succeeded", {"id": "pi_1", "metadata": {}}))


# ---- where a payment stands


def fact(happened: Happened, id: str = "PSP1", amount: int = 1000) -> PaymentFact:
    failed = Decline(code="Refused") if happened.value.endswith("failed") else None
    return PaymentFact(
        happened=happened, payment="PSP1", reference="r", id=id, amount=amount, currency="EUR", decline=failed
    )


H = Happened
SUCCEEDED, AUTHORIZED = PaymentStatus.SUCCEEDED, PaymentStatus.AUTHORIZED


@pytest.mark.parametrize(
    ("told", "itself", "expected"),
    [
        ([], True, Standing(None)),
        ([fact(H.CHARGE_PENDING)], True, Standing(PaymentStatus.PROCESSING)),
        ([fact(H.CHARGED)], True, Standing(SUCCEEDED, 1000)),
        ([fact(H.CHARGED)], False, Standing(AUTHORIZED)),
        ([fact(H.CHARGE_PENDING), fact(H.CHARGED)], True, Standing(SUCCEEDED, 1000)),
        # A failure of an attempt before does not reopen what was paid.
        ([fact(H.CHARGED), fact(H.CHARGE_FAILED)], True, Standing(SUCCEEDED, 1000)),
        ([fact(H.CHARGED), fact(H.CAPTURED, "c1", 700)], False, Standing(SUCCEEDED, 700)),
        (
            [fact(H.CHARGED), fact(H.CAPTURED, "c1"), fact(H.CAPTURE_FAILED, "c1")],
            False,
            Standing(AUTHORIZED, decline=Decline(code="Refused")),
        ),
        (
            [fact(H.CHARGED), fact(H.CAPTURE_FAILED, "c1")],
            True,
            Standing(PaymentStatus.FAILED, decline=Decline(code="Refused")),
        ),
        ([fact(H.CHARGED), fact(H.VOIDED, "v1")], False, Standing(PaymentStatus.CANCELED)),
        ([fact(H.CHARGED), fact(H.VOIDED, "v1")], True, Standing(PaymentStatus.CANCELED)),
        ([fact(H.CHARGED), fact(H.VOID_FAILED, "v1")], False, Standing(AUTHORIZED)),
        ([fact(H.CHARGED), fact(H.REFUNDED, "r1", 300)], True, Standing(SUCCEEDED, 1000, 300)),
        (
            [fact(H.CHARGED), fact(H.REFUNDED, "r1", 300), fact(H.REFUND_FAILED, "r1", 300)],
            True,
            Standing(SUCCEEDED, 1000),
        ),
        ([fact(H.CHARGED), fact(H.DISPUTE_OPENED, "d1")], True, Standing(SUCCEEDED, 1000)),
        ([fact(H.CHARGED), fact(H.DISPUTED, "d1")], True, Standing(SUCCEEDED, 1000, 0, 1000)),
        (
            [fact(H.CHARGED), fact(H.DISPUTED, "d1"), fact(H.DISPUTE_WON, "d1")],
            True,
            Standing(SUCCEEDED, 1000),
        ),
        (
            [fact(H.CHARGED), fact(H.DISPUTED, "d1"), fact(H.DISPUTE_WON, "d1"), fact(H.DISPUTE_LOST, "d1")],
            True,
            Standing(SUCCEEDED, 1000, 0, 1000),
        ),
    ],
)
def test_where_a_payment_stands(told: Sequence[PaymentFact], itself: bool, expected: Standing) -> None:
    assert standing(told, captures_itself=itself) == expected


FACTS = st.builds(
    fact,
    st.sampled_from(list(Happened)),
    st.sampled_from(["PSP1", "m1", "m2"]),
    st.integers(min_value=1, max_value=2000),
)


@given(st.data(), st.lists(FACTS, max_size=8), st.booleans())
def test_late_twice_and_in_any_order_is_one_standing(
    data: st.DataObject, told: list[PaymentFact], itself: bool
) -> None:
    expected = standing(told, captures_itself=itself)
    again = data.draw(st.lists(st.sampled_from(told), max_size=4)) if told else []
    mixed = data.draw(st.permutations([*told, *again]))
    assert standing(mixed, captures_itself=itself) == expected


# ---- from the gateway's own wire


def read(bodies: Sequence[bytes]) -> list[PaymentFact]:
    """What is told by the bodies of deliveries, each verified as the hub does."""
    recipe, now = bundled_recipes()["adyen"], datetime.now(UTC)
    facts: list[PaymentFact] = []
    for body in bodies:
        verdict = verify(recipe, WebhookRequest("POST", "http://h/webhooks/x", {}, body), [KEY], now)
        assert isinstance(verdict, Verdict)
        assert verdict.live is False
        for delivery in verdict.deliveries:
            facts += Adyen.facts(CONFIG, delivery.payload)
    return facts


@pytest.mark.parametrize("order", ["sent", "reversed", "shuffled"])
async def test_what_the_stand_in_tells_is_what_it_did_in_every_order(order: str) -> None:
    with AdyenStandIn() as stand_in, receiving() as receiver:
        stand_in.send_to(receiver.url, KEY)
        stand_in.hold()
        config = AdyenConfig(
            base_url=stand_in.url, api_key=Secret("env:KEY"), merchant_account="MastheadSandbox"
        )
        adyen = Adyen(config, memory_context(secrets={"env:KEY": "k"}))

        async def charged(reference: str, method: str = "stored_visa", **more: Any) -> str:
            fields = {"amount": 1000, "currency": "EUR", "customer": "acct-1", **more}
            made = await adyen.charge(
                ChargeOrder(reference=reference, method=method, **fields), Key.of("charge", reference)
            )
            if not fields.get("capture", True):
                taken = {
                    "pay-held": CaptureOrder(payment=made.id, amount=400, known=made),
                    "pay-over": CaptureOrder(payment=made.id, amount=1001, known=made),
                }
                if reference in taken:
                    await adyen.capture(taken[reference], Key.of("capture", reference))
                else:
                    await adyen.void(VoidOrder(payment=made.id, known=made), Key.of("void", reference))
            return made.id

        async def refunded(payment: str, amounts: Sequence[int]) -> None:
            for n, amount in enumerate(amounts):
                given = RefundOrder(
                    reference=f"ref-{payment}-{n}", payment=payment, amount=amount, currency="EUR"
                )
                await adyen.refund(given, Key.of("refund", payment, n))

        plain = await charged("pay-plain")
        await refunded(plain, [300, 800, 700])  # the second is too much
        held = await charged("pay-held", capture=False)
        over = await charged("pay-over", capture=False)
        void = await charged("pay-void", capture=False)
        back = await charged("pay-back", "stored_refund_fails")
        await refunded(back, [1000])
        lost = await charged("pay-lost", "stored_capture_fails")
        disputed = await charged("pay-disputed", "stored_disputed")
        flight = await charged("pay-flight", "stored_received_fails")
        refused = await charged("pay-refused", "stored_refused")
        await adyen.aclose()
        stand_in.advance(timedelta(minutes=2))
        assert receiver.got == []
        count = stand_in.deliver(order, copies=2, seed=7)
        stand_in.settle()
        assert len(receiver.got) == count
        told = read([body for _, body in receiver.got])

    def stands(payment: str, itself: bool = True) -> Standing:
        return standing([each for each in told if each.payment == payment], captures_itself=itself)

    assert stands(plain) == Standing(SUCCEEDED, 1000, 1000)
    assert stands(held, False) == Standing(SUCCEEDED, 400)
    assert stands(over, False) == Standing(
        AUTHORIZED, decline=Decline(code="Insufficient balance on payment")
    )
    assert stands(void, False) == Standing(PaymentStatus.CANCELED)
    assert stands(back) == Standing(SUCCEEDED, 1000, 0)
    assert stands(lost) == Standing(PaymentStatus.FAILED, decline=Decline(code="Capture Failed"))
    assert stands(disputed) == Standing(SUCCEEDED, 1000, 0, 1000)
    assert stands(flight) == Standing(PaymentStatus.FAILED, decline=Decline(code="Not enough balance"))
    assert stands(refused).status is PaymentStatus.FAILED
    references = {each.reference for each in told if each.payment == plain and "refund" in each.happened}
    assert references == {f"ref-{plain}-{n}" for n in range(3)}


def test_a_changed_item_among_good_ones_is_refused_with_all_of_them() -> None:
    with AdyenStandIn() as stand_in, receiving() as receiver:
        about = {"amount": {"value": 5, "currency": "EUR"}, "merchantReference": "pay-1"}
        assert stand_in.fire("AUTHORISATION", about, url=receiver.url, secret=KEY) == [200]
        body = json.loads(receiver.got[0][1])
    good = body["notificationItems"][0]
    changed = json.loads(json.dumps(good))
    changed["NotificationRequestItem"]["amount"]["value"] = 500
    body["notificationItems"] = [good, changed]
    request = WebhookRequest("POST", "http://h/webhooks/x", {}, json.dumps(body).encode())
    assert not isinstance(verify(bundled_recipes()["adyen"], request, [KEY], datetime.now(UTC)), Verdict)
