"""Refunds and disputes: money that goes back."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sandbox.calls import Answer, Call
from sandbox.routes import route
from sandbox.stripe.errors import invalid
from sandbox.stripe.lists import page
from sandbox.stripe.params import Params
from sandbox.stripe.payment_intents import PaymentIntents
from sandbox.stripe.state import Object

_REASONS = ("duplicate", "fraudulent", "requested_by_customer")
_FAILS_AFTER = timedelta(minutes=1)
_RESPOND_WITHIN = timedelta(days=7)
_DISPUTE_FEE = 1500


class Refunds(PaymentIntents):
    """`/v1/refunds` and `/v1/disputes`."""

    def reset(self) -> None:
        """No refunds on the way."""
        super().reset()
        self.failing: set[str] = set()

    @route("POST", "/v1/refunds")
    def create_refund(self, call: Call) -> Answer:
        """Give back all that is left, or `amount`."""
        params = Params(call)
        charge = self._charge_to_refund(params)
        amount, reason, metadata = params.number("amount"), params.text("reason", _REASONS), params.metadata()
        params.ignore("refund_application_fee", "reverse_transfer", "instructions_email")
        params.done()
        self._check_refund(charge, amount)
        given = charge["amount_captured"] - charge["amount_refunded"] if amount is None else amount
        refund = self.add(
            "refund",
            {
                "amount": given,
                "balance_transaction": None,
                "charge": charge["id"],
                "currency": charge["currency"],
                "customer": charge["customer"],
                "customer_account": None,
                "destination_details": {"card": {"type": "refund"}, "type": "card"},
                "metadata": metadata,
                "payment_intent": charge["payment_intent"],
                "payment_method": charge["payment_method"],
                "reason": reason,
                "receipt_number": None,
                "source_transfer_reversal": None,
                "status": "succeeded",
                "transfer_reversal": None,
            },
        )
        refund["balance_transaction"] = self.balance_transaction("refund", refund, -given)["id"]
        left = charge["amount_captured"] - charge["amount_refunded"] - given
        charge.update(amount_refunded=charge["amount_refunded"] + given, refunded=left == 0)
        if self.cards[charge["payment_method"]].refund_fails:
            self.failing.add(refund["id"])
        self.effect(
            "refund",
            self.business_key(call, metadata, refund["id"]),
            also=(refund["id"], charge["payment_intent"], call.headers.get("idempotency-key", "")),
            amount=given,
            currency=refund["currency"],
        )
        self.event("refund.created", refund, call)
        self.event("charge.refunded", charge, call)
        return self.answer(refund, params)

    @route("GET", "/v1/refunds/{id}")
    def read_refund(self, call: Call) -> Answer:
        """One refund."""
        return self.answer(self.get("refund", call.params["id"]), Params(call))

    @route("GET", "/v1/refunds")
    def list_refunds(self, call: Call) -> Answer:
        """All, or those of a charge or a payment intent."""
        params = Params(call)
        found = self._of_payment("refund", params)
        return self.answer(page(found, params, "/v1/refunds"), params)

    @route("GET", "/v1/disputes/{id}")
    def read_dispute(self, call: Call) -> Answer:
        """One dispute."""
        return self.answer(self.get("dispute", call.params["id"]), Params(call))

    @route("GET", "/v1/disputes")
    def list_disputes(self, call: Call) -> Answer:
        """All, or those of a charge or a payment intent."""
        params = Params(call)
        found = self._of_payment("dispute", params)
        return self.answer(page(found, params, "/v1/disputes"), params)

    def dispute(self, payment: str, reason: str = "fraudulent", amount: int | None = None) -> Object:
        """The cardholder disputes a captured payment (intent or charge id); LookupError, ValueError if impossible."""
        intent = self.objects["payment_intent"].get(payment)
        charge = self.objects["charge"].get(intent["latest_charge"] if intent else payment)
        if charge is None or not charge["captured"]:
            raise LookupError(f"no captured payment is called {payment!r}")
        taken = charge["amount_captured"] if amount is None else amount
        if charge["disputed"] or not 0 < taken <= charge["amount_captured"]:
            raise ValueError("a captured payment can be disputed once, for at most its amount")
        dispute = self.add("dispute", _dispute_fields(charge, taken, reason, self.timestamp()))
        charge["disputed"] = True
        moved = self.balance_transaction("adjustment", dispute, -taken, _DISPUTE_FEE)
        dispute["balance_transactions"] = [moved]
        self.effect(
            "dispute", str(charge["payment_intent"]), also=(dispute["id"], charge["id"]), amount=taken
        )
        self.event("charge.dispute.created", dispute)
        return dispute

    def close_dispute(self, dispute: str, status: str) -> Object:
        """End a dispute as "won" (the money comes back) or "lost"."""
        if status not in ("won", "lost"):
            raise ValueError('a dispute ends as "won" or "lost"')
        closed = self.objects["dispute"][dispute]
        closed.update(status=status, is_charge_refundable=False)
        if status == "won":
            moved = self.balance_transaction("adjustment", closed, closed["amount"], -_DISPUTE_FEE)
            closed["balance_transactions"].append(moved)
        self.event("charge.dispute.closed", closed)
        return closed

    def capture(self, intent: Object, amount: int, call: Call) -> None:
        """As before; then the dispute of cards that dispute."""
        super().capture(intent, amount, call)
        self._maybe_dispute(intent)

    def _approved(self, intent: Object, card: Any, call: Call) -> None:
        super()._approved(intent, card, call)
        self._maybe_dispute(intent)

    def catch_up(self) -> None:
        """Refunds to cards that take none fail a minute later."""
        super().catch_up()
        for id in list(self.failing):
            refund = self.objects["refund"][id]
            if self.timestamp() < refund["created"] + _FAILS_AFTER.total_seconds():
                continue
            self.failing.discard(id)
            charge = self.objects["charge"][refund["charge"]]
            charge.update(amount_refunded=charge["amount_refunded"] - refund["amount"], refunded=False)
            back = self.balance_transaction("refund_failure", refund, refund["amount"])["id"]
            refund.update(
                status="failed", failure_reason="expired_or_canceled_card", failure_balance_transaction=back
            )
            self.effect("refund_failed", refund["metadata"].get("reference") or id, also=(id,))
            self.event("refund.failed", refund)

    def _maybe_dispute(self, intent: Object) -> None:
        charge = self.objects["charge"][intent["latest_charge"]]
        reason = self.cards[charge["payment_method"]].disputed
        if reason is not None and charge["captured"]:
            self.dispute(charge["id"], reason)

    def _charge_to_refund(self, params: Params) -> Object:
        charge, payment = params.text("charge"), params.text("payment_intent")
        if (charge is None) == (payment is None):
            raise invalid("One of the following params should be provided: payment_intent or charge.")
        if charge is not None:
            return self.get("charge", charge, "charge")
        intent = self.get("payment_intent", str(payment), "payment_intent")
        if intent["amount_received"] == 0:
            message = f"This PaymentIntent ({payment}) does not have a successful charge to refund."
            raise invalid(message, None, "payment_intent")
        return self.objects["charge"][intent["latest_charge"]]

    def _check_refund(self, charge: Object, amount: int | None) -> None:
        left = charge["amount_captured"] - charge["amount_refunded"]
        if not charge["captured"]:
            raise invalid(f"Charge {charge['id']} has not been captured.", "charge_not_captured")
        if charge["disputed"] and self._taken_back(charge):
            raise invalid(f"Charge {charge['id']} has been charged back.", "charge_disputed")
        if left <= 0:
            raise invalid(f"Charge {charge['id']} has already been refunded.", "charge_already_refunded")
        if amount is not None and amount < 1:
            raise invalid("Invalid positive integer", "parameter_invalid_integer", "amount")
        if amount is not None and amount > left:
            message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
            raise invalid(message, None, "amount")

    def _taken_back(self, charge: Object) -> bool:
        return any(
            one["charge"] == charge["id"] and one["status"] != "won"
            for one in self.objects["dispute"].values()
        )

    def _of_payment(self, kind: str, params: Params) -> list[Object]:
        charge, payment = params.text("charge"), params.text("payment_intent")
        return [
            one
            for one in self.newest(kind)
            if charge in (None, one["charge"]) and payment in (None, one["payment_intent"])
        ]


def _dispute_fields(charge: Object, amount: int, reason: str, now: int) -> Object:
    card = {"brand": "visa", "case_type": "chargeback", "network": "visa", "network_reason_code": "10.4"}
    return {
        "amount": amount,
        "balance_transactions": [],
        "charge": charge["id"],
        "currency": charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {},
        "evidence_details": {
            "due_by": now + int(_RESPOND_WITHIN.total_seconds()),
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
            "enhanced_eligibility": {},
        },
        "is_charge_refundable": False,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {"card": card, "type": "card"},
        "reason": reason,
        "status": "needs_response",
    }
