"""The bank's challenge page (3-D Secure): the customer approves or fails, and comes back to the shop."""

from __future__ import annotations

from urllib.parse import urlencode

from sandbox.calls import Answer, Call, html_answer
from sandbox.figures import figures
from sandbox.page import render
from sandbox.routes import route
from sandbox.stripe.setup_intents import SetupIntents
from sandbox.stripe.state import Object


class Challenges(SetupIntents):
    """`/challenge/<intent>`: open to the customer's browser, without a key."""

    @route("GET", "/challenge/{id}")
    def challenge_page(self, call: Call) -> Answer:
        """The page with its two buttons."""
        intent = self._intent(call)
        return self._page(intent)

    @route("POST", "/challenge/{id}/approve")
    def approve_challenge(self, call: Call) -> Answer:
        """The customer authenticates; the bank is asked again."""
        intent = self._intent(call)
        if _waits(intent):
            if intent["object"] == "setup_intent":
                self.set_up(intent, call)
            else:
                # A decline shows in the intent; the browser is sent back as with any failure.
                self.attempt(intent, call, authenticated=True)
                self._save_for_later(intent)
        return self._back(intent)

    @route("POST", "/challenge/{id}/fail")
    def fail_challenge(self, call: Call) -> Answer:
        """The customer does not authenticate."""
        intent = self._intent(call)
        if _waits(intent):
            payment = intent["object"] == "payment_intent"
            said = {
                "code": f"{intent['object']}_authentication_failure",
                "message": "The provided payment method has failed authentication. "
                "Provide a new payment method to try again.",
                "type": "invalid_request_error",
            }
            intent.update(status="requires_payment_method", next_action=None, payment_method=None)
            intent["last_payment_error" if payment else "last_setup_error"] = said
            self.event(
                "payment_intent.payment_failed" if payment else "setup_intent.setup_failed", intent, call
            )
        return self._back(intent)

    def _intent(self, call: Call) -> Object:
        id = call.params["id"]
        return self.get("setup_intent" if id.startswith("seti_") else "payment_intent", id)

    def _page(self, intent: Object) -> Answer:
        amount = figures(intent["amount"], intent["currency"]) if "amount" in intent else None
        return html_answer(render("challenge.html", intent=intent, amount=amount, waits=_waits(intent)))

    def _save_for_later(self, intent: Object) -> None:
        if intent["setup_future_usage"] and intent["customer"] and intent["payment_method"]:
            self.attach(self.get("payment_method", intent["payment_method"]), intent["customer"])
            self.authenticated.add(intent["payment_method"])

    def _back(self, intent: Object) -> Answer:
        done = intent["status"] in ("succeeded", "requires_capture")
        return_url = self.asked[intent["id"]].get("return_url")
        if not return_url:
            return self._page(intent)
        told = {
            intent["object"]: intent["id"],
            f"{intent['object']}_client_secret": intent["client_secret"],
            "redirect_status": "succeeded" if done else "failed",
        }
        joint = "&" if "?" in return_url else "?"
        return Answer(303, b"", "text/html", {"Location": return_url + joint + urlencode(told)})


def _waits(intent: Object) -> bool:
    return bool(intent["status"] == "requires_action")
