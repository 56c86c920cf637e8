"""Notifications: signed inside their items, sent in order, or held and sent late, twice, reversed or shuffled."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sandbox.adyen.modifications import Modifications
from sandbox.adyen.state import MERCHANT, Paid, shown
from sandbox.webhooks import Webhook, send

Item = dict[str, Any]
_SIGNED = ("pspReference", "originalReference", "merchantAccountCode", "merchantReference")
ORDERS = ("sent", "reversed", "shuffled")


@dataclass
class Told:
    """A notification item as it was made. statuses: what its receiver answered, in order."""

    item: Item
    statuses: list[int] = field(default_factory=list)

    @property
    def accepted(self) -> bool:
        """Whether the receiver has it; Adyen sends it again until then."""
        return any(200 <= status < 300 for status in self.statuses)


class Notifications(Modifications):
    """Where notifications go and when."""

    def reset(self) -> None:
        """Nowhere, and at once."""
        super().reset()
        self.told: list[Told] = []
        self.receiver: Webhook | None = None
        self.holding = False

    def send_to(self, url: str, hmac_key: str) -> None:
        """Send notifications there from now on, signed with `hmac_key` (hexadecimal). ValueError for either."""
        _key(hmac_key)
        self.receiver = Webhook("", {}, url, hmac_key)

    def hold(self) -> None:
        """Keep notifications back until `deliver`."""
        self.holding = True

    def deliver(self, order: str = "sent", copies: int = 1, seed: int = 0, again: bool = False) -> int:
        """Send what was held or not accepted (`again`: all there ever was), each `copies` times, in an order of ORDERS.

        How many are on their way: `settle` waits for them. Those to come are sent at once again.
        """
        if order not in ORDERS:
            raise ValueError(f"no order is called {order!r}; there are: {', '.join(ORDERS)}")
        if self.receiver is None:
            raise ValueError("no receiver: send_to(url, hmac_key) first")
        self.holding = False
        waiting = [each for each in self.told if again or not each.accepted] * copies
        if order == "reversed":
            waiting.reverse()
        elif order == "shuffled":
            random.Random(seed).shuffle(waiting)  # noqa: S311  (an order, no secret)
        for each in waiting:
            self.background.soon(self._deliver(each, self.receiver))
        return len(waiting)

    def notify(
        self,
        event: str,
        paid: Paid,
        *,
        psp: str | None = None,
        success: bool = True,
        reason: str = "",
        reference: str | None = None,
        amount: int | None = None,
        **more: Any,
    ) -> None:
        """Make an item and send it, unless notifications are held."""
        item = {
            "additionalData": dict(more),
            "amount": shown(paid.amount if amount is None else amount, paid.currency),
            "eventCode": event,
            "eventDate": self.clock.now().isoformat(timespec="seconds"),
            "merchantAccountCode": MERCHANT,
            "merchantReference": reference or paid.reference,
            "originalReference": paid.psp if psp is not None else "",
            "paymentMethod": self.cards[paid.token].brand,
            "pspReference": psp or paid.psp,
            "reason": reason,
            "success": "true" if success else "false",
        }
        self._tell(item)

    def tell_of_card(self, token: str, shopper: str) -> None:
        """Make an item about a stored card, and send it as any other."""
        self._tell(
            {
                "additionalData": self.told_of_card(token, shopper),
                "amount": shown(0, "EUR"),
                "eventCode": "RECURRING_CONTRACT",
                "eventDate": self.clock.now().isoformat(timespec="seconds"),
                "merchantAccountCode": MERCHANT,
                "merchantReference": "",
                "originalReference": "",
                "paymentMethod": self.cards[token].brand,
                "pspReference": self.new_reference(),
                "reason": "",
                "success": "true",
            }
        )

    def _tell(self, item: Item) -> None:
        told = Told(item)
        self.told.append(told)
        if self.receiver is not None and not self.holding:
            self.background.soon(self._deliver(told, self.receiver))

    async def fire_webhook(self, webhook: Webhook) -> list[int]:
        """Send one item; the signature is inside of it, so `webhook_body` gets no key of its own."""
        made = self.clock.now() - timedelta(seconds=webhook.late)
        body = signed(json.loads(self.webhook_body(webhook.kind, webhook.object, made)), webhook.secret)
        headers = {"content-type": "application/json"}
        return await send(webhook.url, body, headers, 1 + webhook.duplicate)

    def webhook_body(self, kind: str, object: Mapping[str, Any], now: datetime) -> bytes:
        """One unsigned item; `object` gives or overrides its fields. Other accounts' can be made so."""
        item = {
            "additionalData": {},
            "eventCode": kind,
            "eventDate": now.isoformat(timespec="seconds"),
            "merchantAccountCode": MERCHANT,
            "merchantReference": "",
            "originalReference": "",
            "pspReference": self.new_reference(),
            "reason": "",
            "success": "true",
            **object,
        }
        return json.dumps(
            {"live": "false", "notificationItems": [{"NotificationRequestItem": item}]}
        ).encode()

    async def _deliver(self, told: Told, receiver: Webhook) -> None:
        body = {"live": "false", "notificationItems": [{"NotificationRequestItem": dict(told.item)}]}
        headers = {"content-type": "application/json"}
        told.statuses += await send(receiver.url, signed(body, receiver.secret), headers)


def signed(body: dict[str, Any], hmac_key: str) -> bytes:
    """A notification with the signature in each of its items."""
    key = _key(hmac_key)
    for entry in body["notificationItems"]:
        item = entry["NotificationRequestItem"]
        amount = item.get("amount") or {}
        parts = [item.get(name) or "" for name in _SIGNED]
        parts += [amount.get("value", ""), amount.get("currency", ""), item["eventCode"], item["success"]]
        digest = hmac.new(key, ":".join(map(str, parts)).encode(), hashlib.sha256).digest()
        mark = base64.b64encode(digest).decode()
        item["additionalData"] = {**item.get("additionalData", {}), "hmacSignature": mark}
    return json.dumps(body).encode()


def _key(hmac_key: str) -> bytes:
    try:
        return bytes.fromhex(hmac_key)
    except ValueError:
        raise ValueError("hmac_key: Adyen's HMAC keys are hexadecimal") from None
