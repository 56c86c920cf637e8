"""Payment intents: create, confirm, capture, cancel, list and search."""

from __future__ import annotations

import secrets
from urllib.parse import urlsplit

from sandbox.calls import Answer, Call, Refused
from sandbox.routes import route
from sandbox.stripe.charges import Charges
from sandbox.stripe.errors import invalid
from sandbox.stripe.lists import page, search
from sandbox.stripe.params import Params
from sandbox.stripe.state import SEARCH_LAG, Object

#: Smallest amount in minor units, where it is not 50.
_LEAST = {"gbp": 30, "jpy": 50, "sek": 300, "dkk": 250, "nok": 300}
_MOST = 99_999_999
_IGNORED = (
    "statement_descriptor",
    "statement_descriptor_suffix",
    "payment_method_options",
    "shipping",
    "mandate_data",
    "use_stripe_sdk",
    "allowed_payment_method_types",
    "excluded_payment_method_types",
    "payment_details",
    "amount_details",
    "radar_options",
    "confirmation_method",
    "transfer_group",
)
_CANCELABLE = ("requires_payment_method", "requires_confirmation", "requires_action", "requires_capture")
_REASONS = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")


class PaymentIntents(Charges):
    """`/v1/payment_intents`."""

    @route("POST", "/v1/payment_intents")
    def create_payment_intent(self, call: Call) -> Answer:
        """A new intent, confirmed at once with `confirm=true`."""
        params = Params(call)
        fields = self._intent_fields(params)
        confirm = params.flag("confirm")
        asked = _asked(params, call)
        if asked["off_session"] and not confirm:
            raise invalid("off_session can only be used with confirm=true.", None, "off_session")
        if confirm and not fields["payment_method"]:
            raise invalid("You cannot confirm this PaymentIntent because it's missing a payment method.")
        params.ignore(*_IGNORED)
        params.done()
        _check_return(fields, asked, confirm)
        intent = self.add("payment_intent", fields)
        intent["client_secret"] = f"{intent['id']}_secret_{secrets.token_hex(12)}"
        self.asked[intent["id"]] = asked
        self.event("payment_intent.created", intent, call)
        return self._confirmed(intent, call, params) if confirm else self.answer(intent, params)

    @route("POST", "/v1/payment_intents/{id}/confirm")
    def confirm_payment_intent(self, call: Call) -> Answer:
        """Ask the bank, with another payment method when one is named."""
        intent, params = self.get("payment_intent", call.params["id"]), Params(call)
        if intent["status"] not in ("requires_payment_method", "requires_confirmation", "requires_action"):
            raise _unexpected(intent, "confirm")
        method = params.text("payment_method")
        asked = _asked(params, call) | {"first_key": self.asked[intent["id"]]["first_key"]}
        params.text("capture_method", ("automatic", "automatic_async", "manual"))
        params.ignore(*_IGNORED, "receipt_email", "setup_future_usage")
        params.done()
        _check_return(intent, asked, True)
        if method:
            intent["payment_method"] = self._usable(method, intent["customer"])
        if not intent["payment_method"]:
            raise invalid("You cannot confirm this PaymentIntent because it's missing a payment method.")
        self.asked[intent["id"]] = asked
        return self._confirmed(intent, call, params)

    @route("POST", "/v1/payment_intents/{id}/capture")
    def capture_payment_intent(self, call: Call) -> Answer:
        """Take the hold, or a part of it; the rest is released."""
        intent, params = self.get("payment_intent", call.params["id"]), Params(call)
        amount = params.number("amount_to_capture")
        metadata = params.metadata(intent["metadata"])
        params.ignore(*_IGNORED, "final_capture")
        params.done()
        if intent["status"] != "requires_capture":
            raise _unexpected(intent, "capture")
        taken = intent["amount_capturable"] if amount is None else amount
        if taken < 1:
            raise invalid("Invalid positive integer", "parameter_invalid_integer", "amount_to_capture")
        if taken > intent["amount_capturable"]:
            message = "The amount to capture is greater than the amount that can be captured."
            raise invalid(message, "amount_too_large", "amount_to_capture")
        intent["metadata"] = metadata
        self.capture(intent, taken, call)
        return self.answer(intent, params)

    @route("POST", "/v1/payment_intents/{id}/cancel")
    def cancel_payment_intent(self, call: Call) -> Answer:
        """Cancel and release what is held."""
        intent, params = self.get("payment_intent", call.params["id"]), Params(call)
        reason = params.text("cancellation_reason", _REASONS)
        params.done()
        if intent["status"] not in _CANCELABLE:
            raise _unexpected(intent, "cancel")
        self.release_hold(intent, reason, call)
        return self.answer(intent, params)

    @route("POST", "/v1/payment_intents/{id}")
    def update_payment_intent(self, call: Call) -> Answer:
        """Change metadata and description; amount and method only while nothing is paid."""
        intent, params = self.get("payment_intent", call.params["id"]), Params(call)
        changed: Object = {"metadata": params.metadata(intent["metadata"])}
        for name in ("description", "receipt_email"):
            if name in params.all:
                changed[name] = params.text(name)
        amount, method = params.number("amount"), params.text("payment_method")
        params.ignore(*_IGNORED)
        params.done()
        if (amount or method) and intent["status"] not in _CANCELABLE[:3]:
            raise _unexpected(intent, "update")
        if amount:
            changed["amount"] = _amount(amount, intent["currency"])
        if method:
            changed |= {
                "payment_method": self._usable(method, intent["customer"]),
                "status": "requires_confirmation",
            }
        intent.update(changed)
        return self.answer(intent, params)

    @route("GET", "/v1/payment_intents/search")
    def search_payment_intents(self, call: Call) -> Answer:
        """Search the index, which lags."""
        params = Params(call)
        until = self.timestamp() - int(SEARCH_LAG.total_seconds())
        found = search(self.newest("payment_intent"), params, "/v1/payment_intents/search", until)
        return self.answer(found, params)

    @route("GET", "/v1/payment_intents/{id}")
    def read_payment_intent(self, call: Call) -> Answer:
        """One intent."""
        return self.answer(self.get("payment_intent", call.params["id"]), Params(call))

    @route("GET", "/v1/payment_intents")
    def list_payment_intents(self, call: Call) -> Answer:
        """Newest first and complete: what was created a moment ago is there."""
        params = Params(call)
        owner = params.text("customer")
        found = [one for one in self.newest("payment_intent") if owner in (None, one["customer"])]
        return self.answer(page(found, params, "/v1/payment_intents"), params)

    def _confirmed(self, intent: Object, call: Call, params: Params) -> Answer:
        refusal = self.attempt(intent, call)
        if refusal is not None:
            raise refusal
        if intent["setup_future_usage"] and intent["customer"] and intent["status"] != "requires_action":
            self.attach(self.get("payment_method", intent["payment_method"]), intent["customer"])
        return self.answer(intent, params)

    def _usable(self, method: str, customer: str | None) -> str:
        """The id of a payment method that may be charged for this customer."""
        found = self.payment_method(method, "payment_method")
        if found["customer"] not in (None, customer):
            message = (
                "The provided PaymentMethod belongs to a Customer. "
                "Please include that Customer in the `customer` parameter."
            )
            raise invalid(message, "payment_method_customer_mismatch", "payment_method")
        id: str = found["id"]
        return id

    def _intent_fields(self, params: Params) -> Object:
        currency = params.required("currency").lower()
        params.required("amount")
        amount = _amount(params.number("amount") or 0, currency)
        customer, method = params.text("customer"), params.text("payment_method")
        if customer:
            self.get("customer", customer, "customer")
        automatic = params.mapping("automatic_payment_methods")
        used = self._usable(method, customer) if method else None
        return {
            "amount": amount,
            "amount_capturable": 0,
            "amount_details": {"tip": {}},
            "amount_received": 0,
            "application": None,
            "application_fee_amount": None,
            "automatic_payment_methods": {
                "allow_redirects": automatic.get("allow_redirects", "always"),
                "enabled": automatic.get("enabled", "true") == "true",
            },
            "canceled_at": None,
            "cancellation_reason": None,
            "capture_method": params.text("capture_method", ("automatic", "automatic_async", "manual"))
            or "automatic_async",
            "client_secret": None,
            "confirmation_method": "automatic",
            "currency": currency,
            "customer": customer,
            "customer_account": None,
            "description": params.text("description"),
            "excluded_payment_method_types": None,
            "last_payment_error": None,
            "latest_charge": None,
            "metadata": params.metadata(),
            "next_action": None,
            "on_behalf_of": None,
            "payment_method": used,
            "payment_method_configuration_details": None,
            "payment_method_options": {},
            "payment_method_types": ["card"],
            "processing": None,
            "receipt_email": params.text("receipt_email"),
            "review": None,
            "setup_future_usage": params.text("setup_future_usage", ("on_session", "off_session")),
            "shipping": None,
            "source": None,
            "statement_descriptor": None,
            "statement_descriptor_suffix": None,
            "status": "requires_confirmation" if used else "requires_payment_method",
            "transfer_data": None,
            "transfer_group": None,
        }


def _amount(amount: int, currency: str) -> int:
    if len(currency) != 3 or not currency.isalpha():
        raise invalid(f"Invalid currency: {currency}.", "parameter_invalid_string", "currency")
    if amount < 1:
        raise invalid("This value must be greater than or equal to 1.", "parameter_invalid_integer", "amount")
    if amount < _LEAST.get(currency, 50):
        message = "The amount is less than the minimum charge amount allowed for this currency."
        raise invalid(message, "amount_too_small", "amount")
    if amount > _MOST:
        raise invalid("Amount must be no more than 99999999.", "amount_too_large", "amount")
    return amount


def _asked(params: Params, call: Call) -> Object:
    off_session = params.raw("off_session")
    return_url = params.text("return_url")
    if return_url and urlsplit(return_url).scheme not in ("http", "https"):
        raise invalid("Not a valid URL", "url_invalid", "return_url")
    return {
        # "one_off" and "recurring" are older ways to say true.
        "off_session": off_session in ("true", "one_off", "recurring"),
        "return_url": return_url,
        "error_on_requires_action": params.flag("error_on_requires_action"),
        "first_key": call.headers.get("idempotency-key"),
    }


def _check_return(fields: Object, asked: Object, confirm: bool) -> None:
    automatic = fields["automatic_payment_methods"]
    redirects = automatic["enabled"] and automatic["allow_redirects"] != "never"
    if confirm and redirects and not asked["off_session"] and not asked["return_url"]:
        message = (
            "This PaymentIntent accepts payment methods that might redirect your customer off of your page: provide a "
            "`return_url`, or set `automatic_payment_methods[allow_redirects]` to `never`."
        )
        raise invalid(message, None, "return_url")


def _unexpected(intent: Object, verb: str) -> Refused:
    message = (
        f"You cannot {verb} this PaymentIntent because it has a status of {intent['status']}. "
        f"Only a PaymentIntent with another status may be used to {verb}."
    )
    return invalid(message, "payment_intent_unexpected_state", None, payment_intent=intent)
