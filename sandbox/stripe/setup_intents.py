"""Setup intents: a card made ready for charges without the customer."""

from __future__ import annotations

import secrets

from sandbox.calls import Answer, Call, Refused
from sandbox.routes import route
from sandbox.stripe.cards import DECLINES
from sandbox.stripe.errors import invalid, stripe_error
from sandbox.stripe.params import Params
from sandbox.stripe.refunds import Refunds
from sandbox.stripe.state import Object

_IGNORED = (
    "payment_method_options",
    "mandate_data",
    "use_stripe_sdk",
    "attach_to_self",
    "flow_directions",
    "allowed_payment_method_types",
    "excluded_payment_method_types",
    "single_use",
)


class SetupIntents(Refunds):
    """`/v1/setup_intents`."""

    @route("POST", "/v1/setup_intents")
    def create_setup_intent(self, call: Call) -> Answer:
        """A new one, confirmed at once with `confirm=true`."""
        params = Params(call)
        customer, method = params.text("customer"), params.text("payment_method")
        if customer:
            self.get("customer", customer, "customer")
        confirm, return_url = params.flag("confirm"), params.text("return_url")
        automatic = params.mapping("automatic_payment_methods")
        fields: Object = {
            "application": None,
            "automatic_payment_methods": {
                "allow_redirects": automatic.get("allow_redirects", "always"),
                "enabled": automatic.get("enabled", "true") == "true",
            },
            "cancellation_reason": None,
            "client_secret": None,
            "customer": customer,
            "description": params.text("description"),
            "excluded_payment_method_types": None,
            "flow_directions": None,
            "last_setup_error": None,
            "latest_attempt": None,
            "mandate": None,
            "metadata": params.metadata(),
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": None,
            "payment_method_configuration_details": None,
            "payment_method_options": {},
            "payment_method_types": ["card"],
            "single_use_mandate": None,
            "status": "requires_payment_method",
            "usage": params.text("usage", ("off_session", "on_session")) or "off_session",
        }
        params.ignore(*_IGNORED)
        params.done()
        if confirm and not method:
            raise invalid("You cannot confirm this SetupIntent because it's missing a payment method.")
        if method:
            fields |= {
                "payment_method": self.payment_method(method, "payment_method")["id"],
                "status": "requires_confirmation",
            }
        intent = self.add("setup_intent", fields)
        intent["client_secret"] = f"{intent['id']}_secret_{secrets.token_hex(12)}"
        self.asked[intent["id"]] = {"return_url": return_url}
        self.event("setup_intent.created", intent, call)
        return self._set_up(intent, call, params) if confirm else self.answer(intent, params)

    @route("POST", "/v1/setup_intents/{id}/confirm")
    def confirm_setup_intent(self, call: Call) -> Answer:
        """Ask the bank, with another payment method when one is named."""
        intent, params = self.get("setup_intent", call.params["id"]), Params(call)
        method, return_url = params.text("payment_method"), params.text("return_url")
        params.ignore(*_IGNORED)
        params.done()
        if intent["status"] in ("succeeded", "canceled"):
            message = f"You cannot confirm this SetupIntent because it has a status of {intent['status']}."
            raise invalid(message, "setup_intent_unexpected_state", None, setup_intent=intent)
        if method:
            intent["payment_method"] = self.payment_method(method, "payment_method")["id"]
        if not intent["payment_method"]:
            raise invalid("You cannot confirm this SetupIntent because it's missing a payment method.")
        if return_url:
            self.asked[intent["id"]] = {"return_url": return_url}
        return self._set_up(intent, call, params)

    @route("GET", "/v1/setup_intents/{id}")
    def read_setup_intent(self, call: Call) -> Answer:
        """One setup intent."""
        return self.answer(self.get("setup_intent", call.params["id"]), Params(call))

    def set_up(self, intent: Object, call: Call) -> None:
        """The customer authenticated or need not: the card is ready, and saved for the customer."""
        method = self.get("payment_method", intent["payment_method"])
        if intent["customer"]:
            self.attach(method, intent["customer"])
        self.authenticated.add(method["id"])
        intent.update(status="succeeded", next_action=None, last_setup_error=None)
        self.effect(
            "setup",
            self.business_key(call, intent["metadata"], intent["id"]),
            also=(intent["id"], call.headers.get("idempotency-key", "")),
        )
        self.event("setup_intent.succeeded", intent, call)

    def _set_up(self, intent: Object, call: Call, params: Params) -> Answer:
        card = self.cards[intent["payment_method"]]
        if card.decline is not None and not card.attachable:
            raise self._setup_declined(intent, card.decline, call)
        if self.needs_customer(intent["payment_method"], card):
            self.require_action(intent, call)
            self.event("setup_intent.requires_action", intent, call)
        else:
            self.set_up(intent, call)
        return self.answer(intent, params)

    def _setup_declined(self, intent: Object, outcome: str, call: Call) -> Refused:
        decline = DECLINES[outcome]
        said = {
            "code": decline.code,
            "decline_code": decline.decline_code,
            "message": decline.message,
            "type": "card_error",
        }
        intent.update(status="requires_payment_method", last_setup_error=said, payment_method=None)
        self.event("setup_intent.setup_failed", intent, call)
        return stripe_error(
            402,
            "card_error",
            decline.message,
            decline.code,
            decline_code=decline.decline_code,
            setup_intent=intent,
        )
