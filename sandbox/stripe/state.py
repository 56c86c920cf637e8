"""What the Stripe stand-in holds, and the parts of its protocol that every call shares."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, ClassVar

from sandbox.calls import Answer, Call, json_answer
from sandbox.idempotency import IdempotencyKeys, KeyInUse, KeyReused
from sandbox.stand_in import StandIn
from sandbox.stripe.cards import Card
from sandbox.stripe.errors import WIRE_ERRORS, invalid, missing, stripe_error
from sandbox.stripe.params import Params

API_VERSION = "2026-10-28.endive"
KEY_TTL = timedelta(hours=24)
SEARCH_LAG = timedelta(minutes=1)
Object = dict[str, Any]

#: Kind of object → prefix of its ids.
_PREFIX = {
    "payment_intent": "pi",
    "setup_intent": "seti",
    "charge": "ch",
    "refund": "re",
    "customer": "cus",
    "payment_method": "pm",
    "dispute": "dp",
    "event": "evt",
    "balance_transaction": "txn",
    "webhook_endpoint": "we",
}
_EXPANDABLE = {
    "latest_charge": "charge",
    "charge": "charge",
    "payment_intent": "payment_intent",
    "customer": "customer",
    "payment_method": "payment_method",
    "balance_transaction": "balance_transaction",
}


class StripeState(StandIn):
    """Objects by kind, the idempotency keys and events; handlers are in the classes built on it."""

    system: ClassVar[str] = "stripe"
    title: ClassVar[str] = "Stripe"
    own_pages: ClassVar[tuple[str, ...]] = ("/challenge/",)

    def reset(self) -> None:
        """An empty account."""
        super().reset()
        self.objects: dict[str, dict[str, Object]] = {kind: {} for kind in _PREFIX}
        self.cards: dict[str, Card] = {}
        self.authenticated: set[str] = set()
        self.keys = IdempotencyKeys(self.clock, KEY_TTL)
        #: What calls told about an intent that its object does not show.
        self.asked: dict[str, Object] = {}

    # ---- protocol

    def authorize(self, call: Call) -> Answer | None:
        """A test key as bearer or as user of basic auth is needed; the challenge pages are public."""
        if call.path.startswith(self.own_pages):
            return None
        scheme, _, given = call.headers.get("authorization", "").partition(" ")
        key = given if scheme.lower() == "bearer" else _user_of(given)
        if key.startswith(("sk_test_", "rk_test_")):
            return None
        if not given:
            message = (
                "You did not provide an API key. Use the Authorization header with your key as bearer token."
            )
            return stripe_error(401, "invalid_request_error", message).answer
        return self.error(401, "unauthorized")

    def error_body(self, status: int, kind: str) -> Any:
        """Stripe's body for errors of the wire."""
        type_, message, code = WIRE_ERRORS[kind]
        return {"error": {"message": message, "type": type_, **({"code": code} if code else {})}}

    def headers(self, call: Call) -> Mapping[str, str]:
        """A request id, the API version and the idempotency key back."""
        more = {"Request-Id": f"req_{secrets.token_hex(7)}", "Stripe-Version": _version(call)}
        if "idempotency-key" in call.headers:
            more["Idempotency-Key"] = call.headers["idempotency-key"]
        return more

    async def around(self, call: Call, apply: Callable[[], Awaitable[Answer]]) -> Answer:
        """Stripe's idempotency: results kept 24 h, failed ones too, validation failures not."""
        self.catch_up()
        key = call.headers.get("idempotency-key")
        if call.method != "POST" or not key:
            await call.processing()
            return await apply()
        if len(key) > 255:
            raise invalid("Idempotency keys must be 255 characters or less.")
        try:
            answer, replayed = await self.keys.answer(key, call, apply, _kept)
        except KeyReused:
            message = (
                "Keys for idempotent requests can only be used with the same parameters they were first used with. "
                f"Try using a key other than '{key}' if you meant to execute a different request."
            )
            raise stripe_error(400, "idempotency_error", message) from None
        except KeyInUse:
            return self.error(409, "conflict")
        if replayed:
            headers = {**answer.headers, "Idempotent-Replayed": "true"}
            return Answer(answer.status, answer.body, answer.content_type, headers)
        return answer

    def catch_up(self) -> None:
        """Let what fell due by the stand-in's clock happen."""

    # ---- objects

    def timestamp(self) -> int:
        """Now, in Unix seconds."""
        return int(self.clock.now().timestamp())

    def new_id(self, kind: str) -> str:
        """A new id of this kind."""
        return f"{_PREFIX[kind]}_{secrets.token_hex(12)}"

    def add(self, kind: str, fields: Object) -> Object:
        """Keep a new object: its id, kind and creation time are put in front of `fields`."""
        made = {
            "id": self.new_id(kind),
            "object": kind,
            "created": self.timestamp(),
            "livemode": False,
            **fields,
        }
        self.objects[kind][made["id"]] = made
        return made

    def get(self, kind: str, id: str, param: str = "id") -> Object:
        """An object; Stripe's 404 when there is none (400 when it is named by a parameter)."""
        found = self.objects[kind].get(id)
        if found is None:
            error = missing(kind, id, param)
            raise error if param == "id" else _as_400(error.answer)
        return found

    def newest(self, kind: str) -> list[Object]:
        """All of a kind, newest first."""
        return list(reversed(self.objects[kind].values()))

    def answer(self, value: Object, params: Params | None = None) -> Answer:
        """An object as the answer, with what the caller wants expanded."""
        paths = params.expand if params is not None else []
        shown = value
        for path in paths:
            shown = self._expanded(shown, path.split("."), path)
        return json_answer(shown)

    def _expanded(self, value: Any, parts: list[str], path: str) -> Any:
        if isinstance(value, list):
            return [self._expanded(one, parts, path) for one in value]
        if not parts or not isinstance(value, dict):
            return value
        name, rest = parts[0], parts[1:]
        if name not in value:
            raise invalid(f"This property cannot be expanded ({path}).", None, "expand[0]")
        inner = value[name]
        if isinstance(inner, str) and name in _EXPANDABLE:
            inner = self.objects[_EXPANDABLE[name]].get(inner, inner)
        return {**value, name: self._expanded(inner, rest, path)}

    def business_key(self, call: Call | None, metadata: Mapping[str, str], id: str) -> str:
        """What an effect is counted by: metadata `..._reference`, else the idempotency key, else `id`."""
        named = next((text for name, text in metadata.items() if name.endswith("reference")), None)
        given = call.headers.get("idempotency-key") if call is not None else None
        return named or given or id

    # ---- webhooks

    def event(self, kind: str, about: Object, call: Call | None = None) -> Object:
        """Write down an event about a copy of the object as it is now."""
        request = {"id": None, "idempotency_key": call.headers.get("idempotency-key") if call else None}
        return self.add(
            "event",
            {
                "api_version": API_VERSION,
                "data": {"object": json.loads(json.dumps(about))},
                "pending_webhooks": 0,
                "request": request,
                "type": kind,
            },
        )

    def webhook_body(self, kind: str, object: Mapping[str, Any], now: datetime) -> bytes:
        """An event as it is sent. `object` may be an event already; else an event of `kind` is made about it.

        That one is not sent to registered endpoints: whoever fires it says where to.
        """
        event = (
            dict(object) if object.get("object") == "event" else StripeState.event(self, kind, dict(object))
        )
        return json.dumps(event).encode()

    def sign(self, body: bytes, secret: str, now: datetime, url: str) -> Mapping[str, str]:
        """`Stripe-Signature: t=...,v1=...`."""
        stamp = str(int(now.timestamp()))
        mark = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        return {"Stripe-Signature": f"t={stamp},v1={mark}"}


def _user_of(basic: str) -> str:
    try:
        return base64.b64decode(basic).decode().partition(":")[0]
    except ValueError:
        return ""


def _version(call: Call) -> str:
    return call.headers.get("stripe-version", API_VERSION)


def _kept(answer: Answer) -> bool:
    if answer.status == 400:
        code = json.loads(answer.body)["error"].get("code", "")
        return not code.startswith("parameter_")
    return answer.status not in (401, 404, 429)


def _as_400(answer: Answer) -> Exception:
    error = json.loads(answer.body)["error"]
    return invalid(error["message"], error["code"], error["param"])
