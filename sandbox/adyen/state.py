"""What the Adyen stand-in holds, and the parts of its protocol that every call shares."""

from __future__ import annotations

import secrets
import string
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, ClassVar

from sandbox.adyen.cards import CARDS, StoredCard
from sandbox.adyen.errors import WIRE_ERRORS, error_of, invalid
from sandbox.calls import Answer, Call, Refused, json_answer
from sandbox.idempotency import IdempotencyKeys, KeyInUse, KeyReused
from sandbox.stand_in import StandIn

MERCHANT = "MastheadSandbox"
KEY_TTL = timedelta(days=7)
#: How long what is decided later takes: a pending payment, a capture or refund that the scheme sends back.
LATER = timedelta(minutes=1)
_LONGEST_KEY = 64
_LONGEST_REFERENCE = 80
_LETTERS = string.ascii_uppercase + string.digits


@dataclass
class Paid:
    """A payment. Amounts in minor units. manual: held until it is captured by hand."""

    psp: str
    reference: str
    amount: int
    currency: str
    token: str
    shopper: str
    manual: bool
    status: str
    key: str | None = None
    captured: int = 0
    refunded: int = 0
    reason: str = ""


@dataclass
class Later:
    """Something that happens on its own, `at` by the stand-in's clock."""

    at: datetime
    happens: Callable[[], None] = field(repr=False)


class AdyenState(StandIn):
    """Payments by pspReference, the stored cards and the idempotency keys."""

    system: ClassVar[str] = "adyen"
    title: ClassVar[str] = "Adyen"
    own_pages: ClassVar[tuple[str, ...]] = ("/challenge/",)

    def reset(self) -> None:
        """An empty merchant account; every shopper has the test cards."""
        super().reset()
        self.payments: dict[str, Paid] = {}
        self.cards: dict[str, StoredCard] = dict(CARDS)
        self.removed: set[tuple[str, str]] = set()
        self.later: list[Later] = []
        self.keys = IdempotencyKeys(self.clock, KEY_TTL)

    # ---- protocol

    def authorize(self, call: Call) -> Answer | None:
        """Any X-API-Key will do; the challenge pages are public."""
        if call.path.startswith(self.own_pages) or call.headers.get("x-api-key"):
            return None
        return self.error(401, "unauthorized")

    def error_body(self, status: int, kind: str) -> Any:
        """Adyen's body for errors of the wire."""
        code, message, type_ = WIRE_ERRORS[kind]
        return error_of(status, code, message, type_)

    def error_headers(self, status: int, kind: str) -> Mapping[str, str]:
        """`transient-error` where the same key may be sent again because nothing was kept under it."""
        return {"transient-error": "true"} if kind in ("conflict", "unavailable") else {}

    def headers(self, call: Call) -> Mapping[str, str]:
        """A reference of the call, and its idempotency key back."""
        more = {"pspReference": self.new_reference()}
        if "idempotency-key" in call.headers:
            more["Idempotency-Key"] = call.headers["idempotency-key"]
        return more

    async def around(self, call: Call, apply: Callable[[], Awaitable[Answer]]) -> Answer:
        """Adyen's idempotency: what was worked on is replayed for seven days, what was not valid is not kept.

        Adyen documents no answer to a key that comes with another request; here it is refused, so that it shows.
        """
        self.catch_up()
        key = call.headers.get("idempotency-key")
        if call.method != "POST" or not key or call.path.startswith(self.own_pages):
            await call.processing()
            return await apply()
        if len(key) > _LONGEST_KEY:
            raise invalid("702", f"The idempotency key is longer than {_LONGEST_KEY} characters")
        try:
            answer, _ = await self.keys.answer(key, call, apply, lambda made: made.status in (200, 201))
        except KeyReused:
            raise invalid("702", "The idempotency key was used for another request") from None
        except KeyInUse:
            return self.error(422, "conflict")
        return answer

    def advance(self, step: timedelta) -> None:
        """Move the clock, and let what fell due happen."""
        super().advance(step)
        self.catch_up()

    def catch_up(self) -> None:
        """Let what fell due by the stand-in's clock happen."""
        now = self.clock.now()
        due = [each for each in self.later if each.at <= now]
        self.later = [each for each in self.later if each.at > now]
        for each in due:
            each.happens()

    def soon(self, happens: Callable[[], None]) -> None:
        """Let something happen LATER."""
        self.later.append(Later(self.clock.now() + LATER, happens))

    # ---- what handlers share

    def new_reference(self) -> str:
        """A new pspReference."""
        return "".join(secrets.choice(_LETTERS) for _ in range(16))

    def notify(
        self,
        event: str,
        paid: Paid,
        *,
        psp: str | None = None,
        success: bool = True,
        reason: str = "",
        **more: Any,
    ) -> None:
        """Tell of something that happened to a payment; see Notifications."""
        raise NotImplementedError

    def mine(self, call: Call) -> dict[str, Any]:
        """The body of a call for our merchant account; Adyen's 403 when it is for another."""
        body = call.json()
        if not isinstance(body, dict):
            raise invalid("702", "A JSON object is expected")
        account = body.get("merchantAccount")
        if account is None:
            raise invalid("702", "Required field 'merchantAccount' is not provided.")
        self.check_account(account)
        return body

    def check_account(self, account: Any) -> None:
        """Refuse another merchant account than ours."""
        if account != MERCHANT:
            raise Refused(json_answer(error_of(403, "901", "Invalid Merchant Account", "security"), 403))

    def card(self, token: Any, shopper: Any) -> StoredCard:
        """The stored card `token` of a shopper."""
        if not isinstance(shopper, str) or len(shopper) < 3:
            raise invalid("129", "Required field 'shopperReference' is not provided or too short.")
        if token not in self.cards or (shopper, token) in self.removed:
            raise invalid("800", "Contract not found")
        return self.cards[token]


def amount_of(body: Mapping[str, Any], least: int = 1) -> tuple[int, str]:
    """The amount of a request: minor units and currency."""
    amount = body.get("amount")
    if not isinstance(amount, dict):
        raise invalid("100", "No amount specified")
    value, currency = amount.get("value"), amount.get("currency")
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise invalid("137", "Invalid amount specified")
    if not isinstance(currency, str) or len(currency) != 3 or not currency.isupper():
        raise invalid("138", "Unsupported currency specified")
    return value, currency


def reference_of(body: Mapping[str, Any], required: bool = True) -> str:
    """The merchant's reference in a request."""
    reference = body.get("reference")
    if reference is None and not required:
        return ""
    if not isinstance(reference, str) or not reference:
        raise invalid("130", "Required field 'reference' is not provided.")
    if len(reference) > _LONGEST_REFERENCE:
        raise invalid("702", f"Field 'reference' is longer than {_LONGEST_REFERENCE} characters")
    return reference


def shown(amount: int, currency: str) -> dict[str, Any]:
    """An amount as Adyen writes it."""
    return {"value": amount, "currency": currency}
