"""Customers and their saved payment methods."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sandbox.calls import Answer, Call
from sandbox.routes import route
from sandbox.stripe.cards import DECLINES, Card, test_card, turned
from sandbox.stripe.errors import invalid, stripe_error
from sandbox.stripe.lists import page, search
from sandbox.stripe.params import Params
from sandbox.stripe.state import SEARCH_LAG, Object, StripeState

_FIELDS = ("email", "name", "phone", "description")
_IGNORED = ("tax", "tax_exempt", "preferred_locales", "shipping", "balance", "validate", "business_name")


class Customers(StripeState):
    """`/v1/customers` and `/v1/payment_methods`."""

    @route("POST", "/v1/customers")
    def create_customer(self, call: Call) -> Answer:
        """A new customer, with a payment method saved when one is named."""
        params = Params(call)
        fields = {name: params.text(name) for name in _FIELDS}
        metadata, saved = params.metadata(), params.text("payment_method")
        address, settings = params.mapping("address"), params.mapping("invoice_settings")
        params.ignore(*_IGNORED)
        params.done()
        made = self.add(
            "customer",
            {
                **fields,
                "address": address or None,
                "balance": 0,
                "currency": None,
                "default_source": None,
                "delinquent": False,
                "discount": None,
                "invoice_prefix": None,
                "invoice_settings": {
                    "custom_fields": None,
                    "default_payment_method": settings.get("default_payment_method"),
                    "footer": None,
                    "rendering_options": None,
                },
                "metadata": metadata,
                "next_invoice_sequence": 1,
                "preferred_locales": [],
                "shipping": None,
                "tax_exempt": "none",
                "test_clock": None,
            },
        )
        if saved:
            self.attach(self.payment_method(saved, "payment_method"), made["id"])
        self.effect("customer", self.business_key(call, metadata, made["id"]), also=_also(call, made))
        self.event("customer.created", made, call)
        return self.answer(made, params)

    @route("POST", "/v1/customers/{id}")
    def update_customer(self, call: Call) -> Answer:
        """Change what is given; an empty value unsets."""
        customer, params = self.get("customer", call.params["id"]), Params(call)
        changed: Object = {name: params.text(name) for name in _FIELDS if name in params.all}
        if "address" in params.all:
            changed["address"] = params.mapping("address") or None
        changed["metadata"] = params.metadata(customer["metadata"])
        settings = {**customer["invoice_settings"], **params.mapping("invoice_settings")}
        params.ignore(*_IGNORED)
        params.done()
        customer.update(changed, invoice_settings=settings)
        self.event("customer.updated", customer, call)
        return self.answer(customer, params)

    @route("GET", "/v1/customers/{id}")
    def read_customer(self, call: Call) -> Answer:
        """One customer."""
        return self.answer(self.get("customer", call.params["id"]), Params(call))

    @route("DELETE", "/v1/customers/{id}")
    def delete_customer(self, call: Call) -> Answer:
        """Delete for good; saved methods are detached."""
        customer = self.get("customer", call.params["id"])
        for method in self._saved(customer["id"]):
            method["customer"] = None
        del self.objects["customer"][customer["id"]]
        self.event("customer.deleted", customer, call)
        return self.answer({"id": customer["id"], "object": "customer", "deleted": True})

    @route("GET", "/v1/customers")
    def list_customers(self, call: Call) -> Answer:
        """All, or those with exactly this email."""
        params = Params(call)
        email = params.text("email")
        found = [one for one in self.newest("customer") if email in (None, one["email"])]
        return self.answer(page(found, params, "/v1/customers"), params)

    @route("GET", "/v1/customers/search")
    def search_customers(self, call: Call) -> Answer:
        """Search the index, which lags."""
        params = Params(call)
        until = self.timestamp() - int(SEARCH_LAG.total_seconds())
        return self.answer(search(self.newest("customer"), params, "/v1/customers/search", until), params)

    # ---- payment methods

    @route("POST", "/v1/payment_methods")
    def create_payment_method(self, call: Call) -> Answer:
        """A card from a test token (`card[token]=tok_visa`); card numbers are refused."""
        params = Params(call)
        params.text("type", ("card",))
        token = params.mapping("card").get("token")
        metadata, billing = params.metadata(), params.mapping("billing_details")
        params.done()
        card = test_card(str(token)) if token else None
        if card is None:
            message = "The stand-in takes test tokens only: give card[token], such as tok_visa."
            raise invalid(message, "parameter_missing", "card[token]")
        made = self._new_method(card)
        made["metadata"] = metadata
        made["billing_details"] |= billing
        return self.answer(made, params)

    @route("GET", "/v1/payment_methods/{id}")
    def read_payment_method(self, call: Call) -> Answer:
        """One payment method; a test card's id makes a new one of it."""
        return self.answer(self.payment_method(call.params["id"], "id"), Params(call))

    @route("GET", "/v1/payment_methods")
    def list_payment_methods(self, call: Call) -> Answer:
        """Those saved for a customer."""
        params = Params(call)
        owner = params.required("customer")
        return self._saved_page(owner, params, "/v1/payment_methods")

    @route("GET", "/v1/customers/{id}/payment_methods")
    def list_customers_methods(self, call: Call) -> Answer:
        """Those saved for this customer."""
        owner = call.params["id"]
        return self._saved_page(owner, Params(call), f"/v1/customers/{owner}/payment_methods")

    @route("POST", "/v1/payment_methods/{id}/attach")
    def attach_payment_method(self, call: Call) -> Answer:
        """Save it for a customer; cards that are declined at once cannot be saved."""
        params = Params(call)
        owner = params.required("customer")
        params.done()
        method = self.payment_method(call.params["id"], "id")
        self.attach(method, owner)
        self.effect("attach", call.headers.get("idempotency-key") or method["id"], also=(method["id"], owner))
        self.event("payment_method.attached", method, call)
        return self.answer(method, params)

    @route("POST", "/v1/payment_methods/{id}/detach")
    def detach_payment_method(self, call: Call) -> Answer:
        """Forget it; it cannot be used again."""
        params = Params(call)
        params.done()
        method = self.get("payment_method", call.params["id"])
        if method["customer"] is None:
            raise invalid(
                "The payment method you provided is not attached to a customer so detachment is impossible."
            )
        method["customer"] = None
        self.authenticated.discard(method["id"])
        self.event("payment_method.detached", method, call)
        return self.answer(method, params)

    def payment_method(self, id: str, param: str) -> Object:
        """The payment method of an id; a test card's id makes a new one, as at Stripe."""
        card = test_card(id)
        return self._new_method(card) if card is not None else self.get("payment_method", id, param)

    def attach(self, method: Object, owner: str) -> None:
        """Save a method for a customer, unless the bank refuses it or another customer has it."""
        self.get("customer", owner, "customer")
        card = self.cards[method["id"]]
        if method["customer"] not in (None, owner):
            message = "The payment method you provided has already been attached to a customer."
            raise invalid(message, "payment_method_already_attached")
        if card.decline is not None and not card.attachable:
            decline = DECLINES[card.decline]
            raise stripe_error(
                402, "card_error", decline.message, decline.code, decline_code=decline.decline_code, param=""
            )
        method["customer"] = owner

    def turn_card(self, payment_method: str, outcome: str) -> None:
        """From now on the bank declines this saved method so (a row of DECLINES), or approves ("approved")."""
        self.cards[payment_method] = turned(self.cards[payment_method], outcome)

    def renew_card(
        self, payment_method: str, exp_month: int, exp_year: int, last4: str | None = None
    ) -> None:
        """The card networks tell of a new card behind a saved method, which is approved from now on. KeyError."""
        method = self.objects["payment_method"][payment_method]
        card = replace(self.cards[payment_method], decline=None, last4=last4 or method["card"]["last4"])
        self.cards[payment_method] = card
        method["card"] |= {"exp_month": exp_month, "exp_year": exp_year, "last4": card.last4}
        self.event("payment_method.automatically_updated", method)

    def _saved(self, owner: str) -> list[Object]:
        return [one for one in self.newest("payment_method") if one["customer"] == owner]

    def _saved_page(self, owner: str, params: Params, url: str) -> Answer:
        self.get("customer", owner, "customer")
        params.text("type")
        return self.answer(page(self._saved(owner), params, url), params)

    def _new_method(self, card: Card) -> Object:
        made = self.add("payment_method", _method_fields(card, self.clock.now().year + 3))
        self.cards[made["id"]] = card
        return made


def _also(call: Call, made: Object) -> tuple[str, ...]:
    return (str(made["id"]), call.headers.get("idempotency-key", ""))


def _method_fields(card: Card, exp_year: int) -> dict[str, Any]:
    empty_address = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
    return {
        "type": "card",
        "allow_redisplay": "unspecified",
        "billing_details": {
            "address": empty_address,
            "email": None,
            "name": None,
            "phone": None,
            "tax_id": None,
        },
        "customer": None,
        "customer_account": None,
        "metadata": {},
        "card": {
            "brand": card.brand,
            "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "pass"},
            "country": card.country,
            "display_brand": card.brand,
            "exp_month": 12,
            "exp_year": exp_year,
            "fingerprint": f"fp{card.brand}{card.last4}",
            "funding": card.funding,
            "generated_from": None,
            "last4": card.last4,
            "networks": {"available": [card.brand], "preferred": None},
            "regulated_status": "unregulated",
            "three_d_secure_usage": {"supported": True},
            "wallet": None,
        },
    }
