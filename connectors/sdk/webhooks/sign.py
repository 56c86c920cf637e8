"""Signing a webhook as its sender would: for stand-ins, tests and the command line."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from datetime import datetime

from connectors.sdk.webhooks.recipe import Labelled, Recipe
from connectors.sdk.webhooks.signing import signature_of, signed_bytes
from connectors.sdk.webhooks.sources import HEADER, at_path
from connectors.sdk.webhooks.timestamps import write_instant
from connectors.sdk.webhooks.values import WebhookRequest


def sign(recipe: Recipe, request: WebhookRequest, secret: str, now: datetime) -> WebhookRequest:
    """`request` with the headers that its sender would add at `now`, or with signed items where items are signed.

    Header names come in lower case. Where the delivery's id is a header and is missing, it is made from the body.
    Raises ValueError when `secret` cannot be a key, or the body has no items where they are signed.
    """
    key = recipe.signing_key(secret)
    if key is None:
        raise ValueError(f"the secret cannot be a key of {recipe.title}: expected {recipe.key_form}")
    headers = {name.lower(): value for name, value in request.headers.items()}
    for source in recipe.delivery_key:
        if source.startswith(HEADER):
            made = "msg_" + hashlib.sha256(request.body).hexdigest()[:24]
            headers.setdefault(source.removeprefix(HEADER).lower(), made)
    signed = replace(request, headers=headers)
    if recipe.signature.header is None:
        return _sign_items(recipe, signed, key)
    timestamp = write_instant(now, recipe.timestamp.unit) if recipe.timestamp is not None else ""
    if recipe.timestamp is not None:
        _add(headers, recipe.timestamp.header, timestamp)
    _add(
        headers,
        recipe.signature.header,
        signature_of(recipe, key, signed_bytes(recipe, signed, timestamp)).decode(),
    )
    return signed


def _add(headers: dict[str, str], place: Labelled, value: str) -> None:
    """Put `value` into its header, behind what is there already."""
    name = place.header.lower()
    before = headers[name] + place.separator if place.separator and name in headers else ""
    headers[name] = before + place.prefix + value


def _sign_items(recipe: Recipe, request: WebhookRequest, key: bytes) -> WebhookRequest:
    body = json.loads(request.body)
    rule = recipe.items
    listed = at_path(body, rule.path) if rule is not None and rule.path else body
    if rule is None or not isinstance(listed, list) or not listed:
        raise ValueError(f"{recipe.title} signs items, and the body has none")
    *way, last = (recipe.signature.item or "").split(".")
    for entry in listed:
        item = at_path(entry, rule.each) if rule.each else entry
        if not isinstance(item, dict):
            raise ValueError(f"{recipe.title} signs items, and one of them is no object")
        place = item
        for name in way:
            place = place.setdefault(name, {})
        place[last] = signature_of(recipe, key, signed_bytes(recipe, request, "", item)).decode()
    return replace(request, body=json.dumps(body, separators=(",", ":")).encode())


def headers_to_send(request: WebhookRequest) -> dict[str, str]:
    """The headers of a signed request, with the type of its body."""
    return {"content-type": "application/json", **request.headers}
