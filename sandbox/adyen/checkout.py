"""Payments with stored cards, and what the customer brings back from the bank's page."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from sandbox.adyen.cards import REFUSALS, StoredCard
from sandbox.adyen.errors import invalid
from sandbox.adyen.state import AdyenState, Paid, amount_of, reference_of, shown
from sandbox.calls import Answer, Call, html_answer, json_answer
from sandbox.figures import figures
from sandbox.page import render
from sandbox.routes import route


@dataclass
class _Challenge:
    """A payment that waits for its customer. outcome: None while the customer has not come."""

    id: str
    asked: dict[str, Any]
    result: str
    outcome: str | None = None


class Checkout(AdyenState):
    """`/payments`, `/payments/details` and the bank's page at `/challenge/<id>`."""

    def reset(self) -> None:
        """Nobody is asked."""
        super().reset()
        self.challenges: dict[str, _Challenge] = {}

    @route("POST", "/payments")
    def create_payment(self, call: Call) -> Answer:
        """Ask the bank, or send the customer there. An amount of nothing verifies the card."""
        body = self.mine(call)
        amount_of(body, least=0)
        reference_of(body)
        if not body.get("returnUrl"):
            raise invalid("702", "Required field 'returnUrl' is not provided.")
        method = body.get("paymentMethod")
        if not isinstance(method, dict):
            raise invalid("14_006", "Required object 'paymentMethod' is not provided.")
        card = self.card(method.get("storedPaymentMethodId"), body.get("shopperReference"))
        if not card.challenge:
            return self._decided(body, card, call)
        if body.get("shopperInteraction") == "ContAuth":
            return self._refused(body, "Refused", "Authentication required", call)
        waits = _Challenge(secrets.token_hex(8), body, secrets.token_urlsafe(24))
        self.challenges[waits.id] = waits
        action = {
            "type": "redirect",
            "method": "GET",
            "paymentMethodType": "scheme",
            "url": f"{call.base_url}/challenge/{waits.id}",
        }
        return json_answer({"resultCode": "RedirectShopper", "action": action})

    @route("POST", "/payments/details")
    def submit_details(self, call: Call) -> Answer:
        """What the customer brought back: the bank is asked now."""
        body = call.json()
        details = body.get("details") if isinstance(body, dict) else None
        given = details.get("redirectResult") if isinstance(details, dict) else None
        waits = next((each for each in self.challenges.values() if each.result == given), None)
        if waits is None or waits.outcome is None:
            raise invalid("14_008", "Invalid redirectResult")
        if waits.outcome == "used":
            raise invalid("14_009", "This redirectResult was handed in already")
        outcome, waits.outcome = waits.outcome, "used"
        card = self.cards[waits.asked["paymentMethod"]["storedPaymentMethodId"]]
        if outcome == "failed":
            return self._refused(waits.asked, "Refused", "3D Not Authenticated", call)
        return self._decided(waits.asked, card, call)

    @route("GET", "/challenge/{id}")
    def challenge_page(self, call: Call) -> Answer:
        """The page with its two buttons."""
        return self._page(self._challenge(call))

    @route("POST", "/challenge/{id}/approve")
    def approve_challenge(self, call: Call) -> Answer:
        """The customer authenticates."""
        return self._back(self._challenge(call), "approved")

    @route("POST", "/challenge/{id}/fail")
    def fail_challenge(self, call: Call) -> Answer:
        """The customer does not authenticate."""
        return self._back(self._challenge(call), "failed")

    def told_of_card(self, token: str, shopper: str) -> dict[str, Any]:
        """What answers and notifications tell of a stored card where the merchant account asks for it."""
        card = self.cards[token]
        month, year = card.expires.split("/")
        return {
            "recurring.recurringDetailReference": token,
            "recurring.shopperReference": shopper,
            "cardSummary": card.last4,
            "expiryDate": f"{int(month)}/{year}",
        }

    def dispute(self, payment: str, amount: int | None = None) -> str:
        """The cardholder disputes a captured payment; see Modifications."""
        raise NotImplementedError

    def capture_failed(self, paid: Paid, psp: str) -> None:
        """The scheme sends a capture back; see Modifications."""
        raise NotImplementedError

    def _decided(self, body: dict[str, Any], card: StoredCard, call: Call) -> Answer:
        if card.result in ("Pending", "Received"):
            paid = self._added(body, card.result, call)
            self.soon(lambda: self._decide_later(paid, card))
            if card.result == "Pending":
                self.notify("PENDING", paid)
            return self._answer(paid, card.result)
        if card.refusal is not None:
            return self._refused(body, card.result, card.refusal, call)
        paid = self._added(body, "authorised", call)
        self._approve(paid, card)
        return self._answer(paid, "Authorised")

    def _decide_later(self, paid: Paid, card: StoredCard) -> None:
        if card.refusal is not None:
            paid.status, paid.reason = "refused", card.refusal
            self.notify("AUTHORISATION", paid, success=False, reason=card.refusal)
        else:
            self._approve(paid, card)

    def _approve(self, paid: Paid, card: StoredCard) -> None:
        """The bank says yes: held, or taken by itself; or verified, when there is nothing to take."""
        paid.status = "authorised"
        keys = tuple(key for key in (paid.psp, paid.key) if key)
        if not paid.amount:
            self.effect("setup", paid.reference, also=keys)
        elif paid.manual:
            self.effect("authorization", paid.reference, also=keys, amount=paid.amount)
        else:
            paid.captured = paid.amount
            self.effect("charge", paid.reference, also=keys, amount=paid.amount, currency=paid.currency)
        told = f"012345:{card.last4}:{card.expires}"
        self.notify("AUTHORISATION", paid, reason=told, **self.told_of_card(paid.token, paid.shopper))
        if paid.captured and card.capture_fails:
            self.soon(lambda: self.capture_failed(paid, self.new_reference()))
        if paid.captured and card.disputed:
            self.soon(lambda: _ignore(self.dispute(paid.psp)))

    def _refused(self, body: dict[str, Any], result: str, reason: str, call: Call) -> Answer:
        paid = self._added(body, "refused", call)
        paid.reason = reason
        code, raw = REFUSALS[reason]
        more = {"refusalReasonRaw": raw} if raw else {}
        self.notify("AUTHORISATION", paid, success=False, reason=reason, **more)
        return self._answer(
            paid,
            result,
            refusalReason=reason,
            refusalReasonCode=code,
            **({"additionalData": more} if more else {}),
        )

    def _added(self, body: dict[str, Any], status: str, call: Call) -> Paid:
        amount, currency = amount_of(body, least=0)
        manual = (body.get("additionalData") or {}).get("manualCapture") == "true"
        paid = Paid(
            psp=self.new_reference(),
            reference=reference_of(body),
            amount=amount,
            currency=currency,
            token=body["paymentMethod"]["storedPaymentMethodId"],
            shopper=body["shopperReference"],
            manual=manual,
            status=status,
            key=call.headers.get("idempotency-key"),
        )
        self.payments[paid.psp] = paid
        return paid

    def _answer(self, paid: Paid, result: str, **more: Any) -> Answer:
        brand = self.cards[paid.token].brand
        additional = {**self.told_of_card(paid.token, paid.shopper), **more.pop("additionalData", {})}
        answer = {
            "pspReference": paid.psp,
            "resultCode": result,
            "merchantReference": paid.reference,
            "amount": shown(paid.amount, paid.currency),
            "paymentMethod": {"type": "scheme", "brand": brand},
            "additionalData": additional,
            **more,
        }
        return json_answer(answer)

    def _challenge(self, call: Call) -> _Challenge:
        try:
            return self.challenges[call.params["id"]]
        except KeyError:
            raise invalid("14_008", "There is no such page") from None

    def _page(self, waits: _Challenge) -> Answer:
        amount, currency = amount_of(waits.asked, least=0)
        size = figures(amount, currency) if amount else None
        intent = {"id": waits.id, "status": waits.outcome or "waiting"}
        return html_answer(render("challenge.html", intent=intent, amount=size, waits=waits.outcome is None))

    def _back(self, waits: _Challenge, outcome: str) -> Answer:
        if waits.outcome is None:
            waits.outcome = outcome
        to = waits.asked["returnUrl"]
        joint = "&" if "?" in to else "?"
        location = to + joint + urlencode({"redirectResult": waits.result})
        return Answer(303, b"", "text/html", {"Location": location})


def _ignore(_: object) -> None:
    """For what is done later, of which nobody takes the result."""
