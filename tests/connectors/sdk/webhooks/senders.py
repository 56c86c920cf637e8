"""Each bundled recipe with a body as its sender writes it, a secret in its form, and what it tells."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

from connectors.sdk.webhooks.recipe import Recipe
from connectors.sdk.webhooks.shelf import bundled_recipes
from connectors.sdk.webhooks.sign import sign
from connectors.sdk.webhooks.values import WebhookRequest

NOW = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)
URL = "https://hub.example.com/webhooks/in_abc"


def adyen_item(**more: object) -> dict[str, object]:
    """One notification item of Adyen, unsigned."""
    item: dict[str, object] = {
        "pspReference": "7914073381342284",
        "merchantAccountCode": "TestMerchant",
        "merchantReference": "TestPayment-1407325143704",
        "amount": {"value": 1130, "currency": "EUR"},
        "eventCode": "AUTHORISATION",
        "eventDate": "2026-11-20T12:59:00+01:00",
        "success": "true",
    }
    return {"NotificationRequestItem": {**item, **more}}


def hubspot_event(event: int, **more: object) -> dict[str, object]:
    """One event of HubSpot."""
    return {
        "eventId": event,
        "subscriptionId": 12345,
        "portalId": 62515,
        "occurredAt": 1795176000000 + event,
        "subscriptionType": "contact.propertyChange",
        "objectId": 123,
        "propertyName": "email",
        **more,
    }


@dataclass(frozen=True)
class Sender:
    """A vendor as the hub meets it."""

    name: str
    secret: str
    other_secret: str
    body: bytes
    key: str
    kind: str
    object_key: str
    occurred_at: datetime | None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def recipe(self) -> Recipe:
        """Its recipe."""
        return bundled_recipes()[self.name]

    def send(
        self, *, body: bytes | None = None, secret: str | None = None, at: datetime = NOW, url: str = URL
    ) -> WebhookRequest:
        """A signed request."""
        request = WebhookRequest("POST", url, self.headers, self.body if body is None else body)
        return sign(self.recipe, request, secret or self.secret, at)


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


AT = datetime(2026, 11, 20, 11, 59, tzinfo=UTC)
TRACKED = _json({"event": "track_updated", "data": {"carrier": "usps", "tracking_number": "9205"}})
ORDER = _json({"id": 820982911, "updated_at": "2026-11-20T12:59:00+01:00"})
SENDERS = [
    Sender(
        "standard-webhooks",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        _json({"type": "invoice.paid", "timestamp": "2026-11-20T11:59:00Z", "data": {"id": "inv_1"}}),
        "msg_1",
        "invoice.paid",
        "inv_1",
        AT,
        {"webhook-id": "msg_1"},
    ),
    Sender(
        "stripe",
        "whsec_test_secret",
        "whsec_other",
        _json(
            {
                "id": "evt_1",
                "object": "event",
                "type": "charge.refunded",
                "created": int(AT.timestamp()),
                "data": {"object": {"id": "ch_1", "object": "charge"}},
            }
        ),
        "evt_1",
        "charge.refunded",
        "charge:ch_1",
        AT,
    ),
    Sender(
        "hubspot",
        "yyyyyyyy-yyyy-yyyy-yyyy-yyyyyyyyyyyy",
        "zzzzzzzz-zzzz-zzzz-zzzz-zzzzzzzzzzzz",
        _json([hubspot_event(1, occurredAt=int(AT.timestamp()) * 1000)]),
        f"62515:12345:1:{int(AT.timestamp()) * 1000}",
        "contact.propertyChange",
        "contact.propertyChange:123:email",
        AT,
    ),
    Sender(
        "shopify",
        "hush",
        "hash",
        ORDER,
        f"orders/updated:{hashlib.sha256(ORDER).hexdigest()}",
        "orders/updated",
        "820982911",
        AT,
        {
            "x-shopify-webhook-id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
            "x-shopify-topic": "orders/updated",
        },
    ),
    Sender(
        "adyen",
        "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
        "00782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
        _json({"live": "true", "notificationItems": [adyen_item()]}),
        "AUTHORISATION:7914073381342284",
        "AUTHORISATION",
        "7914073381342284",
        AT,
    ),
    Sender(
        "zendesk",
        "dGhpc19zZWNyZXQ=",
        "b3RoZXI=",
        _json(
            {"type": "zen:event-type:user.created", "subject": "zen:user:5", "time": "2026-11-20T11:59:00Z"}
        ),
        "01FJ1",
        "zen:event-type:user.created",
        "zen:user:5",
        AT,
        {"x-zendesk-webhook-invocation-id": "01FJ1"},
    ),
    Sender(
        "easypost",
        "sécret",
        "secret",
        _json(
            {
                "id": "evt_9",
                "description": "tracker.updated",
                "created_at": "2026-11-20T11:59:00Z",
                "result": {"id": "trk_1"},
            }
        ),
        "evt_9",
        "tracker.updated",
        "trk_1",
        AT,
    ),
    Sender(
        "shippo",
        "shippo-secret",
        "another",
        TRACKED,
        hashlib.sha256(TRACKED).hexdigest(),
        "track_updated",
        "usps:9205",
        None,
    ),
]
BY_NAME = {sender.name: sender for sender in SENDERS}
