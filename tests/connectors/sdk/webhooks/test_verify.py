"""Every sender's webhooks: the genuine one is believed and read, all others are refused, and nothing raises."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sdk.webhooks.values import Delivery, Reason, Refused, Verdict, WebhookRequest
from connectors.sdk.webhooks.verify import verify
from tests.connectors.sdk.webhooks.senders import BY_NAME, NOW, SENDERS, Sender, adyen_item, hubspot_event

every_sender = pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.name)
timed = pytest.mark.parametrize(
    "sender", [each for each in SENDERS if each.recipe.timestamp], ids=lambda sender: sender.name
)


def judge(
    sender: Sender, request: WebhookRequest, *secrets: str, now: datetime = NOW
) -> Reason | tuple[Delivery, ...]:
    verdict = verify(sender.recipe, request, secrets or (sender.secret,), now)
    return verdict.reason if isinstance(verdict, Refused) else verdict.deliveries


@every_sender
def test_a_genuine_one_is_believed_and_read(sender: Sender) -> None:
    (delivery,) = judge(sender, sender.send())
    assert (delivery.key, delivery.kind) == (sender.key, sender.kind)
    assert delivery.object_key == sender.object_key
    assert delivery.occurred_at == sender.occurred_at
    assert json.loads(delivery.body) == delivery.payload


@every_sender
def test_sent_again_it_has_the_same_key(sender: Sender) -> None:
    (first,), (again,) = (
        judge(sender, sender.send(at=at), now=at) for at in (NOW, NOW + timedelta(seconds=250))
    )
    assert first.key == again.key


@every_sender
def test_each_flipped_bit_of_the_body_is_noticed(sender: Sender) -> None:
    """Items are signed by some of their fields alone: there a bit of another field may be changed."""
    genuine = sender.send()
    for at in range(0, len(genuine.body), 7):
        body = bytearray(genuine.body)
        body[at] ^= 1
        verdict = judge(sender, replace(genuine, body=bytes(body)))
        if sender.recipe.signature.item is None:
            assert verdict is Reason.BAD_SIGNATURE
        elif not isinstance(verdict, Reason):
            assert {each.key for each in verdict} == {sender.key}


def test_each_signed_field_of_an_item_is_covered() -> None:
    sender = BY_NAME["adyen"]
    body = json.loads(sender.send().body)
    changes = {
        "pspReference": "7914073381342285",
        "originalReference": "1",
        "merchantAccountCode": "Other",
        "merchantReference": "Other",
        "amount": {"value": 11300, "currency": "EUR"},
        "eventCode": "CAPTURE",
        "success": "false",
    }
    for name, value in changes.items():
        item = {**body["notificationItems"][0]["NotificationRequestItem"], name: value}
        changed = json.dumps({"notificationItems": [{"NotificationRequestItem": item}]}).encode()
        assert judge(sender, WebhookRequest("POST", "u", {}, changed)) is Reason.BAD_SIGNATURE


@every_sender
def test_each_changed_character_of_the_signature_is_noticed(sender: Sender) -> None:
    place = sender.recipe.signature.header
    if place is None:
        body = json.loads(sender.send().body)
        item = body["notificationItems"][0]["NotificationRequestItem"]["additionalData"]
        item["hmacSignature"] = item["hmacSignature"][::-1]
        assert judge(sender, sender.send(body=None)) is not Reason.BAD_SIGNATURE
        forged = WebhookRequest("POST", "u", {}, json.dumps(body).encode())
        assert judge(sender, forged) is Reason.BAD_SIGNATURE
        return
    genuine = sender.send()
    text = genuine.headers[place.header.lower()]
    for at in range(text.index(place.prefix) + len(place.prefix), len(text)):
        other = "A" if text[at] != "A" else "B"
        headers = {**genuine.headers, place.header.lower(): text[:at] + other + text[at + 1 :]}
        assert judge(sender, replace(genuine, headers=headers)) is Reason.BAD_SIGNATURE, text[at]


@timed
def test_the_time_of_sending_is_held_to_on_both_sides(sender: Sender) -> None:
    for seconds, expected in ((-301, Reason.STALE), (301, Reason.FUTURE), (-299, None), (299, None)):
        verdict = judge(sender, sender.send(at=NOW + timedelta(seconds=seconds)))
        assert verdict is expected or (expected is None and not isinstance(verdict, Reason))


@timed
def test_a_time_that_is_altered_to_pass_does_not(sender: Sender) -> None:
    stale, fresh = (sender.send(at=at) for at in (NOW - timedelta(days=1), NOW))
    rule = sender.recipe.timestamp
    assert rule is not None
    name = rule.header.header.lower()
    old = rule.header.find(stale.headers[name])[0]
    new = rule.header.find(fresh.headers[name])[0]
    forged = {**stale.headers, name: stale.headers[name].replace(old, new)}
    assert judge(sender, replace(stale, headers=forged)) is Reason.BAD_SIGNATURE


@pytest.mark.parametrize("written", ["", "soon", "-5", "1e9", "999999999999999", "١٢٣", "nan", "2026-99-99"])
@timed
def test_a_time_that_is_none_is_refused(sender: Sender, written: str) -> None:
    genuine = sender.send()
    rule = sender.recipe.timestamp
    assert rule is not None
    name = rule.header.header.lower()
    headers = {**genuine.headers, name: rule.header.prefix + written}
    verdict = judge(sender, replace(genuine, headers=headers))
    assert verdict in (Reason.NO_TIMESTAMP, Reason.BAD_TIMESTAMP, Reason.FUTURE)


@every_sender
def test_only_a_configured_secret_counts_and_two_may(sender: Sender) -> None:
    genuine = sender.send()
    assert judge(sender, genuine, sender.other_secret) is Reason.BAD_SIGNATURE
    assert not isinstance(judge(sender, genuine, sender.other_secret, sender.secret), Reason)
    assert not isinstance(judge(sender, genuine, "", sender.secret), Reason)
    for none in ("", "  ", sender.recipe.key_prefix):
        assert judge(sender, genuine, none) is Reason.NO_KEY
    assert verify(sender.recipe, genuine, (), NOW) == Refused(Reason.NO_KEY)


@every_sender
def test_a_missing_header_and_an_empty_body_are_refused(sender: Sender) -> None:
    genuine = sender.send()
    assert judge(sender, replace(genuine, body=b"")) is Reason.EMPTY_BODY
    if sender.recipe.signature.header is None:
        assert judge(sender, replace(genuine, body=sender.body)) is Reason.NO_SIGNATURE
        return
    for name in genuine.headers:
        fewer = {other: value for other, value in genuine.headers.items() if other != name}
        verdict = judge(sender, replace(genuine, headers=fewer))
        if name == sender.recipe.signature.header.header.lower():
            assert verdict in (Reason.NO_SIGNATURE, Reason.NO_TIMESTAMP)
        elif not isinstance(verdict, Reason):
            assert f"header:{name}" not in sender.recipe.signed.lower()


@every_sender
def test_a_genuine_body_that_is_no_json_is_seen_or_refused(sender: Sender) -> None:
    if sender.recipe.signature.item is not None:
        for body in (b"not json", b"[1]", b'{"notificationItems": []}', b'{"notificationItems": {}}'):
            assert judge(sender, WebhookRequest("POST", "u", {}, body)) is Reason.UNREADABLE
        return
    for body in (b"not json", b"\xff\xfe", b"[" * 100_000, b"1" * 10_000):
        (delivery,) = judge(sender, sender.send(body=body))
        assert (delivery.payload, delivery.body) == (None, body)
        assert delivery.key


def test_a_list_of_events_is_a_delivery_each() -> None:
    sender = BY_NAME["hubspot"]
    body = json.dumps([hubspot_event(number) for number in range(100)]).encode()
    deliveries = judge(sender, sender.send(body=body))
    assert len({each.key for each in deliveries}) == len(deliveries) == 100
    assert [each.payload["eventId"] for each in deliveries] == list(range(100))
    too_many = json.dumps([hubspot_event(number) for number in range(1001)]).encode()
    assert judge(sender, sender.send(body=too_many)) is Reason.UNREADABLE


def test_an_attempt_number_does_not_change_the_key() -> None:
    sender = BY_NAME["hubspot"]
    bodies = [json.dumps([hubspot_event(1, attemptNumber=number)]).encode() for number in (0, 3)]
    first, again = (judge(sender, sender.send(body=body))[0] for body in bodies)
    assert first.key == again.key


def test_every_item_must_be_genuine_before_one_is_used() -> None:
    sender = BY_NAME["adyen"]
    two = json.dumps({"notificationItems": [adyen_item(), adyen_item(pspReference="2")]}).encode()
    signed = sender.send(body=two)
    assert len(judge(sender, signed)) == 2
    body = json.loads(signed.body)
    body["notificationItems"][1]["NotificationRequestItem"]["amount"]["value"] = 1
    forged = replace(signed, body=json.dumps(body).encode())
    assert judge(sender, forged) is Reason.BAD_SIGNATURE


def test_only_some_characters_of_an_address_are_decoded() -> None:
    sender = BY_NAME["hubspot"]
    written = sender.send(url="https://hub.example.com/webhooks/a%3Ab%20c?d=%2Fe")
    decoded = sender.send(url="https://hub.example.com/webhooks/a:b%20c?d=/e")
    name = "x-hubspot-signature-v3"
    assert written.headers[name] == decoded.headers[name]
    assert not isinstance(judge(sender, replace(decoded, public_url=written.public_url)), Reason)


def test_keys_fit_an_index_and_the_database() -> None:
    sender = BY_NAME["stripe"]
    for text in ("x" * 5000, "nul\0", "half \ud800", "\U0001f600" * 190):
        (delivery,) = judge(sender, sender.send(body=json.dumps({"id": text, "type": text}).encode()))
        for stored in (delivery.key, delivery.kind, delivery.object_key):
            assert 0 < len(stored) <= 200
            assert "\0" not in stored
            stored.encode()
    (nameless,) = judge(sender, sender.send(body=b'{"id": {"a": 1}, "type": []}'))
    body_hash = hashlib.sha256(b'{"id": {"a": 1}, "type": []}').hexdigest()
    assert (nameless.key, nameless.kind) == (f"sha256:{body_hash}", "unknown")


headers = st.dictionaries(
    st.sampled_from(
        sorted(
            {
                name.lower()
                for sender in SENDERS
                for rule in (sender.recipe.signature.header, getattr(sender.recipe.timestamp, "header", None))
                if rule is not None
                for name in (rule.header,)
            }
        )
    ),
    st.one_of(
        st.text(), st.sampled_from(["t=1,v1=", "t=,v1=ff", "v1,", "v1,====", ",,,", "hmac-sha256-hex="])
    ),
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SENDERS), headers, st.binary(max_size=60), st.text(max_size=20))
def test_garbage_is_refused_and_never_raises(
    sender: Sender, headers: dict[str, str], body: bytes, url: str
) -> None:
    request = WebhookRequest("POST", url, headers, body)
    assert isinstance(verify(sender.recipe, request, [sender.secret, url], NOW), Refused)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "type", "data", "object", "created", "notificationItems", "timestamp"])
            | st.text(max_size=3),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([each for each in SENDERS if each.recipe.signature.item is None]), json_values)
def test_whatever_json_is_signed_is_read_into_what_can_be_stored(sender: Sender, value: object) -> None:
    verdict = verify(sender.recipe, sender.send(body=json.dumps(value).encode()), [sender.secret], NOW)
    if isinstance(verdict, Verdict):
        for delivery in verdict.deliveries:
            assert 0 < len(delivery.key) <= 200
            assert delivery.kind
            (delivery.key + delivery.kind + delivery.object_key).encode()
    else:
        assert verdict.reason is Reason.UNREADABLE
