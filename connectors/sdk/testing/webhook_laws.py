"""Laws of webhooks coming in: what is genuine passes, whatever else comes is refused in words and never crashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.sdk.connector import Connector
from connectors.sdk.testing.case import Bench, Case, Skipped
from connectors.sdk.webhooks.recipe import Recipe
from connectors.sdk.webhooks.shelf import bundled_recipes
from connectors.sdk.webhooks.sign import sign
from connectors.sdk.webhooks.values import Reason, Refused, Verdict, WebhookRequest
from connectors.sdk.webhooks.verify import verify

NOW = datetime(2026, 11, 2, 12, tzinfo=UTC)
URL = "https://hub.example.com/webhooks/kit"


def cases(connector: type[Connector[Any]]) -> list[Case]:
    """The webhook laws, for a connector that names a recipe."""
    if connector.webhooks is None:
        return []
    return [
        Case("webhooks", "a genuine one passes", _genuine),
        Case("webhooks", "a flipped byte is refused", _flipped),
        Case("webhooks", "stale and future are refused", _stale),
        Case("webhooks", "another secret is refused, none refuses all", _secrets),
        Case("webhooks", "the second secret of a rotation passes", _rotation),
        Case("webhooks", "a missing header, an empty body, garbage: a verdict, never an error", _garbage),
        Case("webhooks", "a repetition has the same delivery key", _repeated),
    ]


def _recipe(bench: Bench) -> Recipe:
    return bundled_recipes()[bench.connector.webhooks or ""]


def _secret(recipe: Recipe, n: int = 1) -> str:
    """A text that can be a key of this recipe; another for another `n`. Hexadecimal digits are base64 as well."""
    return recipe.key_prefix + f"{n}0a1b2c3" * 8


def _signed(bench: Bench, secret: str, now: datetime = NOW) -> WebhookRequest:
    request = WebhookRequest("POST", URL, {}, bench.connector.webhook_example)
    return sign(_recipe(bench), request, secret, now)


def _judged(
    bench: Bench, request: WebhookRequest, secrets: Sequence[str], now: datetime = NOW
) -> Verdict | Refused:
    return verify(_recipe(bench), request, secrets, now)


async def _genuine(bench: Bench) -> None:
    secret = _secret(_recipe(bench))
    verdict = _judged(bench, _signed(bench, secret), [secret])
    assert isinstance(verdict, Verdict), f"genuine, and refused: {verdict}"
    assert verdict.deliveries, "genuine, and it tells of nothing"
    assert all(delivery.key and delivery.kind for delivery in verdict.deliveries)


async def _flipped(bench: Bench) -> None:
    secret = _secret(_recipe(bench))
    request = _signed(bench, secret)
    if _recipe(bench).signature.header is None:
        # Only the named fields of an item are signed, so a changed signature stands for them.
        changed = replace(request, body=request.body.replace(b"=", b"A"))
    else:
        middle = len(request.body) // 2
        changed = replace(
            request,
            body=request.body[:middle] + bytes([request.body[middle] ^ 1]) + request.body[middle + 1 :],
        )
    assert isinstance(_judged(bench, changed, [secret]), Refused), "a changed body passed"


async def _stale(bench: Bench) -> None:
    recipe = _recipe(bench)
    if recipe.timestamp is None:
        raise Skipped("its webhooks carry no time; repetitions are known by their key")
    secret = _secret(recipe)
    off = timedelta(seconds=recipe.tolerance_seconds + 5)
    for made, reason in ((NOW - off, Reason.STALE), (NOW + off, Reason.FUTURE)):
        assert _judged(bench, _signed(bench, secret, made), [secret]) == Refused(reason)


async def _secrets(bench: Bench) -> None:
    recipe = _recipe(bench)
    request = _signed(bench, _secret(recipe))
    assert _judged(bench, request, [_secret(recipe, 2)]) == Refused(Reason.BAD_SIGNATURE)
    assert _judged(bench, request, []) == Refused(Reason.NO_KEY)


async def _rotation(bench: Bench) -> None:
    recipe = _recipe(bench)
    old, new = _secret(recipe), _secret(recipe, 2)
    for used in (old, new):
        assert isinstance(_judged(bench, _signed(bench, used), [new, old]), Verdict)


async def _garbage(bench: Bench) -> None:
    recipe = _recipe(bench)
    secret = _secret(recipe)
    request = _signed(bench, secret)
    assert _judged(bench, replace(request, body=b""), [secret]) == Refused(Reason.EMPTY_BODY)
    bare: Mapping[str, str] = {}
    if recipe.signature.header is not None:
        assert isinstance(_judged(bench, replace(request, headers=bare), [secret]), Refused)
    for name in request.headers:
        odd = {**request.headers, name: "\x00, =;v1=\ud800"}
        assert isinstance(_judged(bench, replace(request, headers=odd), [secret]), Refused | Verdict)
    for body in (b"{", b"\xff\xfe", b"[[[[", b"null", b'"text"'):
        verdict = _judged(bench, replace(request, body=body), [secret])
        assert isinstance(verdict, Refused), f"{body!r} passed"


async def _repeated(bench: Bench) -> None:
    secret = _secret(_recipe(bench))
    later = NOW + timedelta(seconds=60)
    told = [_judged(bench, _signed(bench, secret, at), [secret], later) for at in (NOW, later)]
    keys = [[d.key for d in verdict.deliveries] for verdict in told if isinstance(verdict, Verdict)]
    assert len(keys) == 2
    assert keys[0] == keys[1], "the same event again has another key"
