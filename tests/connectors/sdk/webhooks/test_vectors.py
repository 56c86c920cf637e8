"""Vectors that vendors publish, and implementations that are not ours, beside the recipes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
import unicodedata
from datetime import UTC, datetime
from typing import Any, cast

import pytest
import standardwebhooks
import stripe
from hubspot.utils.signature import Signature
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.sdk.webhooks.recipe import Recipe
from connectors.sdk.webhooks.shelf import bundled_recipes
from connectors.sdk.webhooks.sign import sign
from connectors.sdk.webhooks.values import Verdict, WebhookRequest
from connectors.sdk.webhooks.verify import verify
from tests.connectors.sdk.webhooks.senders import BY_NAME, NOW

RECIPES = bundled_recipes()


def request(body: bytes, url: str = "u", **headers: str) -> WebhookRequest:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return WebhookRequest("POST", url, named, body)


def test_standard_webhooks() -> None:
    vector = request(
        b'{"test": 2432232314}',
        webhook_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        webhook_timestamp="1614265330",
        webhook_signature="v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    )
    at = datetime.fromtimestamp(1614265330, UTC)
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    verdict = verify(RECIPES["standard-webhooks"], vector, [secret], at)
    assert isinstance(verdict, Verdict)
    assert verdict.deliveries[0].key == "msg_p5jXN8AQM9LWM0D4loKWxJek"


def test_hubspot() -> None:
    vector = request(
        b"{'example_field':'example_value'}",
        "https://www.example.com/webhook_uri",
        **{
            "x-hubspot-request-timestamp": "1693657560000",
            "x-hubspot-signature-v3": "K36dawei4A+QBNolUOqo7s91KQDWQ5MXZ/QufNYuk/Y=",
        },
    )
    at = datetime.fromtimestamp(1693657560, UTC)
    verdict = verify(RECIPES["hubspot"], vector, ["yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy"], at)
    assert isinstance(verdict, Verdict)


def test_adyen() -> None:
    sender = BY_NAME["adyen"]
    item = json.loads(sender.send().body)["notificationItems"][0]["NotificationRequestItem"]
    expected = "coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="
    assert item["additionalData"]["hmacSignature"] == expected


texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)


@settings(max_examples=40, deadline=None)
@given(body=texts, key=st.binary(min_size=1, max_size=64), id=st.text("abc_-123", min_size=1, max_size=12))
def test_standard_webhooks_as_its_own_library_sees_it(body: str, key: bytes, id: str) -> None:
    recipe = RECIPES["standard-webhooks"]
    secret = "whsec_" + base64.b64encode(key).decode()
    now = datetime.now(UTC).replace(microsecond=0)
    ours = sign(recipe, request(body.encode(), **{"webhook-id": id}), secret, now)
    library = standardwebhooks.Webhook(secret)
    library.verify(body, dict(ours.headers), json_parse=False)
    theirs = {**ours.headers, "webhook-signature": library.sign(id, now, body)}
    assert isinstance(verify(recipe, request(body.encode(), **theirs), [secret], now), Verdict)


@settings(max_examples=40, deadline=None)
@given(body=texts, secret=st.text("abcdef0123456789_", min_size=1, max_size=40))
def test_stripe_as_its_own_library_sees_it(body: str, secret: str) -> None:
    recipe = RECIPES["stripe"]
    now = datetime.now(UTC)
    ours = sign(recipe, request(body.encode()), secret, now).headers["stripe-signature"]
    webhook_signature = cast(Any, stripe.WebhookSignature)
    assert webhook_signature.verify_header(body, ours, secret, 300)
    theirs = webhook_signature.generate_signature_header(body, secret, int(time.time()))
    assert isinstance(
        verify(recipe, request(body.encode(), **{"stripe-signature": theirs}), [secret], now), Verdict
    )


def test_stripe_rolling_a_secret_sends_two_signatures_and_one_for_tests() -> None:
    sender = BY_NAME["stripe"]
    old, new = (sender.send(secret=secret).headers["stripe-signature"] for secret in ("old", "new"))
    header = f"{old},v0={'0' * 64},{new.partition(',')[2]}"
    both = request(sender.body, **{"stripe-signature": header})
    for secret in ("old", "new"):
        assert isinstance(verify(sender.recipe, both, [secret], NOW), Verdict)
    only_v0 = request(sender.body, **{"stripe-signature": new.replace("v1=", "v0=")})
    assert not isinstance(verify(sender.recipe, only_v0, ["new"], NOW), Verdict)


@settings(max_examples=40, deadline=None)
@given(body=texts, secret=texts.map(str.strip).filter(bool))
def test_hubspot_as_its_own_library_sees_it(body: str, secret: str) -> None:
    ours = sign(RECIPES["hubspot"], request(body.encode(), "https://a.example/b?c=d"), secret, NOW)
    theirs = Signature.get_signature(
        secret,
        body,
        "v3",
        "https://a.example/b?c=d",
        "POST",
        ours.headers["x-hubspot-request-timestamp"],
    )
    assert ours.headers["x-hubspot-signature-v3"] == theirs


def hmac_of(key: bytes, message: bytes) -> Any:
    return hmac.new(key, message, hashlib.sha256)


def test_the_others_as_their_documentation_says() -> None:
    """Written a second time, from the vendors' words, without the recipes."""
    for name, header, expected in (
        (
            "shopify",
            "x-shopify-hmac-sha256",
            lambda s, b, _: base64.b64encode(hmac_of(s.encode(), b).digest()),
        ),
        (
            "easypost",
            "x-hmac-signature",
            lambda s, b, _: (
                b"hmac-sha256-hex="
                + hmac_of(unicodedata.normalize("NFKD", s).encode(), b).hexdigest().encode()
            ),
        ),
        (
            "zendesk",
            "x-zendesk-webhook-signature",
            lambda s, b, h: base64.b64encode(
                hmac_of(s.encode(), h["x-zendesk-webhook-signature-timestamp"].encode() + b).digest()
            ),
        ),
        (
            "shippo",
            "shippo-auth-signature",
            lambda s, b, _: (
                f"t={int(NOW.timestamp())},v1=".encode()
                + hmac_of(s.encode(), f"{int(NOW.timestamp())}.".encode() + b).hexdigest().encode()
            ),
        ),
    ):
        sender = BY_NAME[name]
        sent = sender.send()
        assert sent.headers[header].encode() == expected(sender.secret, sent.body, sent.headers), name


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=list(RECIPES))
def test_keys_are_kept_for_as_long_as_the_vendor_repeats(recipe: Recipe) -> None:
    assert recipe.retry_days >= {"adyen": 30, "stripe": 3}.get(recipe.name, 1)
    assert recipe.kept_days > recipe.retry_days
    assert recipe.timestamp is not None or recipe.kept_days >= 90
    assert recipe.tolerance_seconds == 300
