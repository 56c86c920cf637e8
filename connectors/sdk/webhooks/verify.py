"""Is a webhook genuine, and what does it tell. Nothing of a body is used before its signature fits."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from connectors.sdk.webhooks.recipe import Recipe
from connectors.sdk.webhooks.signing import is_signed, signed_bytes
from connectors.sdk.webhooks.sources import as_text, at_path, read_key, read_source, shortened
from connectors.sdk.webhooks.timestamps import read_instant
from connectors.sdk.webhooks.values import Delivery, Reason, Refused, Verdict, WebhookRequest

UNKNOWN_KIND = "unknown"
_LONGEST_KIND = 100


def verify(
    recipe: Recipe, request: WebhookRequest, secrets: Sequence[str], now: datetime
) -> Verdict | Refused:
    """Judge `request` by `recipe`, with each of `secrets` (two while one replaces the other), at the instant `now`.

    `request.headers` must have lower-case names. Never raises, whatever the request holds; without a usable secret
    everything is refused. A genuine body that is no JSON is one delivery without payload, so that it can be seen.
    """
    try:
        return _judge(recipe, request, secrets, now)
    except (ValueError, RecursionError):
        return Refused(Reason.UNREADABLE)


def _judge(
    recipe: Recipe, request: WebhookRequest, secrets: Sequence[str], now: datetime
) -> Verdict | Refused:
    keys = [key for secret in secrets if (key := recipe.signing_key(secret)) is not None]
    if not keys:
        return Refused(Reason.NO_KEY)
    if not request.body:
        return Refused(Reason.EMPTY_BODY)
    timestamp = _timestamp(recipe, request, now)
    if isinstance(timestamp, Reason):
        return Refused(timestamp)
    if recipe.signature.header is None:
        return _verify_items(recipe, request, keys, timestamp)
    candidates = recipe.signature.header.find(request.headers.get(recipe.signature.header.header.lower(), ""))
    if not any(candidates):
        return Refused(Reason.NO_SIGNATURE)
    if not is_signed(recipe, keys, signed_bytes(recipe, request, timestamp), candidates):
        return Refused(Reason.BAD_SIGNATURE)
    return _read(recipe, request)


def _timestamp(recipe: Recipe, request: WebhookRequest, now: datetime) -> str | Reason:
    """The time of sending as it was written; empty where none is signed."""
    rule = recipe.timestamp
    if rule is None:
        return ""
    found = rule.header.find(request.headers.get(rule.header.header.lower(), ""))
    if not found or not found[0]:
        return Reason.NO_TIMESTAMP
    sent = read_instant(found[0], rule.unit)
    if sent is None:
        return Reason.BAD_TIMESTAMP
    tolerance = timedelta(seconds=recipe.tolerance_seconds)
    if now - sent > tolerance:
        return Reason.STALE
    if sent - now > tolerance:
        return Reason.FUTURE
    return found[0]


def _verify_items(
    recipe: Recipe, request: WebhookRequest, keys: list[bytes], timestamp: str
) -> Verdict | Refused:
    """Where each item is signed for itself: all of them must fit before the first is used."""
    place = recipe.signature.item or ""
    node = parse(request.body)
    entries = _entries(recipe, node)
    if not entries:
        return Refused(Reason.UNREADABLE)
    for item in entries:
        given = as_text(at_path(item, place))
        if not given:
            return Refused(Reason.NO_SIGNATURE)
        if not is_signed(recipe, keys, signed_bytes(recipe, request, timestamp, item), [given]):
            return Refused(Reason.BAD_SIGNATURE)
    deliveries = tuple(_item_delivery(recipe, request.headers, item) for item in entries)
    return Verdict(deliveries, _is_live(recipe, node))


def _read(recipe: Recipe, request: WebhookRequest) -> Verdict:
    """What a genuine request tells. Raises ValueError when its list of items is none."""
    try:
        node = parse(request.body)
    except ValueError:
        return Verdict((_delivery(recipe, request.headers, None, request.body),))
    live = _is_live(recipe, node)
    if recipe.items is None:
        return Verdict((_delivery(recipe, request.headers, node, request.body),), live)
    entries = _entries(recipe, node)
    return Verdict(tuple(_item_delivery(recipe, request.headers, item) for item in entries), live)


def _is_live(recipe: Recipe, node: object) -> bool | None:
    """Whether the request says to be of the live system; None where it does not say. Raises ValueError for an object
    in that place."""
    said = as_text(at_path(node, recipe.live.path)) if recipe.live is not None else ""
    return said == recipe.live.live if recipe.live is not None and said else None


def parse(body: bytes) -> Any:
    """The JSON value of `body`. Raises ValueError when it is none in UTF-8, is nested too deeply, or has a number of
    thousands of digits."""
    try:
        return json.loads(body.decode())
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def _entries(recipe: Recipe, node: object) -> list[Any]:
    """The items of a body, each unwrapped. Raises ValueError when there are too many, or something else is there."""
    rule = recipe.items
    if rule is None:
        return [node]
    listed = at_path(node, rule.path) if rule.path else node
    if not rule.path and isinstance(node, Mapping):
        listed = [node]
    if not isinstance(listed, list) or len(listed) > rule.most:
        raise ValueError("a list of items is expected")
    entries = [at_path(entry, rule.each) if rule.each else entry for entry in listed]
    if not all(isinstance(entry, Mapping) for entry in entries):
        raise ValueError("an item is no object")
    return entries


def _item_delivery(recipe: Recipe, headers: Mapping[str, str], item: object) -> Delivery:
    return _delivery(recipe, headers, item, json.dumps(item, separators=(",", ":")).encode())


def _delivery(recipe: Recipe, headers: Mapping[str, str], node: object, body: bytes) -> Delivery:
    key = read_key(recipe.delivery_key, headers, node, body)
    occurred = None
    if recipe.occurred is not None:
        text = read_source(recipe.occurred.source, headers, node, body)
        occurred = read_instant(text, recipe.occurred.unit)
    about = [text for source in recipe.object if (text := read_source(source, headers, node, body))]
    return Delivery(
        key=key,
        kind=read_source(recipe.kind, headers, node, body)[:_LONGEST_KIND] or UNKNOWN_KIND,
        payload=node,
        body=body,
        object_key=shortened(":".join(about)) or key,
        occurred_at=occurred,
    )
