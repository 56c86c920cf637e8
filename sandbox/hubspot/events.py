"""Webhook events: their form, and the signature of version 3."""

from __future__ import annotations

import base64
import hashlib
import hmac
import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sandbox.webhooks import Webhook

#: Escapes that HubSpot decodes in the URI before it signs.
_DECODED = {
    "%3A": ":", "%2F": "/", "%3F": "?", "%40": "@", "%21": "!", "%24": "$", "%27": "'", "%28": "(", "%29": ")",
    "%2A": "*", "%2C": ",", "%3B": ";",
}  # fmt: skip


def signature(secret: str, method: str, uri: str, body: bytes, milliseconds: int) -> str:
    """X-HubSpot-Signature-v3: base64 of HMAC-SHA256 over method, decoded URI, body and timestamp."""
    for escape, sign in _DECODED.items():
        uri = uri.replace(escape, sign).replace(escape.lower(), sign)
    signed = f"{method}{uri}".encode() + body + str(milliseconds).encode()
    return base64.b64encode(hmac.new(secret.encode(), signed, hashlib.sha256).digest()).decode()


def signature_headers(secret: str, uri: str, body: bytes, made: datetime) -> dict[str, str]:
    """The headers that carry it."""
    milliseconds = _milliseconds(made)
    return {
        "X-HubSpot-Signature-v3": signature(secret, "POST", uri, body, milliseconds),
        "X-HubSpot-Request-Timestamp": str(milliseconds),
    }


@dataclass(frozen=True)
class Subscription:
    """Who is told of changes. `kinds` such as contact.creation; empty means all. ValueError for a URL elsewhere.

    `property`: of the propertyChange events, those of this property only.
    """

    id: int
    url: str
    secret: str = field(repr=False)
    kinds: frozenset[str] = frozenset()
    property: str | None = None

    def __post_init__(self) -> None:
        Webhook("", {}, self.url, "")  # refuses what is not on this machine

    def wants(self, kind: str, details: Mapping[str, Any]) -> bool:
        """Whether events of this kind go there."""
        if self.kinds and kind not in self.kinds:
            return False
        return self.property is None or details.get("propertyName") == self.property


class Events:
    """Makes the events of one portal and app."""

    def __init__(self, portal_id: int, app_id: int) -> None:
        self._portal_id = portal_id
        self._app_id = app_id
        self._numbers = itertools.count(1)

    def made(
        self, kind: str, details: Mapping[str, Any], at: datetime, subscription: int = 1
    ) -> dict[str, Any]:
        """One event. `details` has objectId, and for a propertyChange propertyName and propertyValue; they go before
        what is made up here, so a test may set eventId or occurredAt."""
        return {
            "eventId": next(self._numbers),
            "subscriptionId": subscription,
            "portalId": self._portal_id,
            "appId": self._app_id,
            "occurredAt": _milliseconds(at),
            "subscriptionType": kind,
            "attemptNumber": 0,
            "changeSource": "CRM_UI",
            **details,
        }


def body_of(events: Sequence[Mapping[str, Any]]) -> bytes:
    """A webhook's body: a JSON array of events."""
    return json.dumps(list(events), separators=(",", ":")).encode()


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
