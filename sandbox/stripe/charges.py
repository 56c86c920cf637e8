"""What happens at the bank: attempts, holds, captures and releases, with their balance transactions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sandbox.calls import Answer, Call, Refused
from sandbox.routes import route
from sandbox.stripe.cards import DECLINES, Card, Decline
from sandbox.stripe.customers import Customers
from sandbox.stripe.errors import stripe_error
from sandbox.stripe.lists import page
from sandbox.stripe.params import Params
from sandbox.stripe.state import Object

HOLD = timedelta(days=7)


class Charges(Customers):
    """Attempts on payment intents, and `/v1/charges`, `/v1/balance_transactions`."""

    def reset(self) -> None:
        """No holds."""
        super().reset()
        self.held: set[str] = set()

    @route("GET", "/v1/charges/{id}")
    def read_charge(self, call: Call) -> Answer:
        """One charge."""
        return self.answer(self.get("charge", call.params["id"]), Params(call))

    @route("GET", "/v1/balance_transactions")
    def list_balance_transactions(self, call: Call) -> Answer:
        """Money in and out of the balance, by source, type and time."""
        params = Params(call)
        source, kind, currency = params.text("source"), params.text("type"), params.text("currency")
        found = [
            one
            for one in self.newest("balance_transaction")
            if source in (None, one["source"])
            and kind in (None, one["type"])
            and currency in (None, one["currency"])
        ]
        return self.answer(page(found, params, "/v1/balance_transactions"), params)

    def attempt(self, intent: Object, call: Call, *, authenticated: bool = False) -> Refused | None:
        """Ask the bank for an intent's amount, which changes the intent; the error to raise when it was declined."""
        card, asked = self.cards[intent["payment_method"]], self.asked[intent["id"]]
        if not authenticated and self.needs_customer(intent["payment_method"], card):
            if asked["off_session"] or asked["error_on_requires_action"]:
                return self._declined(intent, card, DECLINES["authentication_required"], call)
            self.require_action(intent, call)
            self.event("payment_intent.requires_action", intent, call)
            return None
        if card.decline is not None:
            return self._declined(intent, card, DECLINES[card.decline], call)
        self._approved(intent, card, call)
        return None

    def needs_customer(self, method: str, card: Card) -> bool:
        """Whether the bank wants the customer to authenticate."""
        if card.authentication == "setup":
            return method not in self.authenticated
        return card.authentication == "always"

    def require_action(self, intent: Object, call: Call) -> None:
        """Send the customer to the challenge page."""
        to = {
            "return_url": self.asked[intent["id"]]["return_url"],
            "url": f"{call.base_url}/challenge/{intent['id']}",
        }
        intent.update(
            status="requires_action", next_action={"type": "redirect_to_url", "redirect_to_url": to}
        )

    def capture(self, intent: Object, amount: int, call: Call) -> None:
        """Take `amount` of the hold and release the rest."""
        charge = self.objects["charge"][intent["latest_charge"]]
        self.held.discard(intent["id"])
        charge.update(captured=True, amount_captured=amount)
        intent.update(status="succeeded", amount_received=amount, amount_capturable=0)
        self._took(intent, charge, call)
        self.event("charge.captured", charge, call)
        self.event("payment_intent.succeeded", intent, call)

    def release_hold(self, intent: Object, reason: str | None, call: Call | None) -> None:
        """Cancel an intent; what was held goes back."""
        self.held.discard(intent["id"])
        intent.update(
            status="canceled",
            canceled_at=self.timestamp(),
            cancellation_reason=reason,
            amount_capturable=0,
            next_action=None,
        )
        self.effect(
            "void",
            self.business_key(call, intent["metadata"], intent["id"]),
            also=self.other_keys(intent, call),
            amount=intent["amount"],
        )
        self.event("payment_intent.canceled", intent, call)

    def catch_up(self) -> None:
        """Holds that nobody captured end after seven days."""
        super().catch_up()
        for id in list(self.held):
            intent = self.objects["payment_intent"][id]
            until = self.objects["charge"][intent["latest_charge"]]["created"] + HOLD.total_seconds()
            if self.timestamp() >= until:
                self.release_hold(intent, "automatic", None)

    def other_keys(self, intent: Object, call: Call | None) -> tuple[str, ...]:
        """What else an effect on this intent is found by: its id, its charge, the keys of this and the first call."""
        keys = [intent["id"], intent["latest_charge"], self.asked[intent["id"]].get("first_key")]
        if call is not None:
            keys.append(call.headers.get("idempotency-key"))
        return tuple(key for key in keys if key)

    def balance_transaction(self, kind: str, source: Object, amount: int, fee: int = 0) -> Object:
        """A movement of the balance, minor units; negative for money out."""
        details = [{"amount": fee, "application": None, "currency": source["currency"], "type": "stripe_fee"}]
        return self.add(
            "balance_transaction",
            {
                "amount": amount,
                "available_on": self.timestamp() + int(timedelta(days=2).total_seconds()),
                "balance_type": "payments",
                "currency": source["currency"],
                "description": source.get("description"),
                "exchange_rate": None,
                "fee": fee,
                "fee_details": details if fee else [],
                "net": amount - fee,
                "reporting_category": kind,
                "source": source["id"],
                "status": "pending",
                "type": kind,
            },
        )

    def exp_year(self, intent: Object) -> int:
        """The year in which the intent's card ends."""
        year: int = self.objects["payment_method"][intent["payment_method"]]["card"]["exp_year"]
        return year

    def _approved(self, intent: Object, card: Card, call: Call) -> None:
        charge = self.add("charge", _charge_fields(intent, card, self.exp_year(intent)))
        intent.update(latest_charge=charge["id"], last_payment_error=None, next_action=None)
        self.event("charge.succeeded", charge, call)
        if intent["capture_method"] == "manual":
            intent.update(status="requires_capture", amount_capturable=intent["amount"])
            self.held.add(intent["id"])
            self.effect(
                "authorization",
                self.business_key(call, intent["metadata"], intent["id"]),
                also=self.other_keys(intent, call),
                amount=intent["amount"],
            )
            self.event("payment_intent.amount_capturable_updated", intent, call)
            return
        charge.update(captured=True, amount_captured=intent["amount"])
        intent.update(status="succeeded", amount_received=intent["amount"])
        self._took(intent, charge, call)
        self.event("payment_intent.succeeded", intent, call)

    def _took(self, intent: Object, charge: Object, call: Call) -> None:
        amount = charge["amount_captured"]
        fee = (amount * 29 + 500) // 1000 + 30  # 2.9 % + 30, the list price of a card charge
        charge["balance_transaction"] = self.balance_transaction("charge", charge, amount, fee)["id"]
        self.effect(
            "charge",
            self.business_key(call, intent["metadata"], intent["id"]),
            also=self.other_keys(intent, call),
            amount=amount,
            currency=intent["currency"],
        )

    def _declined(self, intent: Object, card: Card, decline: Decline, call: Call) -> Refused:
        charge = self.add("charge", _charge_fields(intent, card, self.exp_year(intent), decline))
        method = self.objects["payment_method"][intent["payment_method"]]
        said: dict[str, Any] = {
            "charge": charge["id"],
            "code": decline.code,
            "decline_code": decline.decline_code,
            "message": decline.message,
            "payment_method": dict(method),
            "type": "card_error",
        }
        intent.update(
            status="requires_payment_method",
            latest_charge=charge["id"],
            last_payment_error=said,
            next_action=None,
            payment_method=None,
        )
        self.event("charge.failed", charge, call)
        self.event("payment_intent.payment_failed", intent, call)
        return stripe_error(
            402,
            "card_error",
            decline.message,
            decline.code,
            charge=charge["id"],
            decline_code=decline.decline_code,
            payment_intent=intent,
            payment_method=dict(method),
        )


def _charge_fields(
    intent: Object, card: Card, exp_year: int, decline: Decline | None = None
) -> dict[str, Any]:
    outcome = {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "declined_by_network" if decline else "approved_by_network",
        "reason": decline.decline_code if decline else None,
        "risk_level": "normal",
        "seller_message": decline.message if decline else "Payment complete.",
        "type": "issuer_declined" if decline else "authorized",
    }
    shown = {
        "amount_authorized": None if decline else intent["amount"],
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
        "country": card.country,
        "exp_month": 12,
        "exp_year": exp_year,
        "fingerprint": f"fp{card.brand}{card.last4}",
        "funding": card.funding,
        "installments": None,
        "last4": card.last4,
        "mandate": None,
        "network": card.brand,
        "network_token": {"used": False},
        "three_d_secure": None,
        "wallet": None,
    }
    return {
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": {"address": None, "email": None, "name": None, "phone": None, "tax_id": None},
        "calculated_statement_descriptor": "STAND-IN",
        "captured": False,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": decline.code if decline else None,
        "failure_message": decline.message if decline else None,
        "fraud_details": {},
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": outcome,
        "paid": decline is None,
        "payment_intent": intent["id"],
        "payment_method": intent["payment_method"],
        "payment_method_details": {"card": shown, "type": "card"},
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "failed" if decline else "succeeded",
        "transfer_data": None,
        "transfer_group": None,
    }
