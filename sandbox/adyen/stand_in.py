"""The Adyen stand-in as a whole: stored cards, its own controls and its page."""

from __future__ import annotations

from typing import Any

from sandbox.adyen.cards import renewed, turned
from sandbox.adyen.notifications import Notifications
from sandbox.adyen.state import MERCHANT
from sandbox.calls import Answer, Call, json_answer
from sandbox.routes import route


class AdyenStandIn(Notifications):
    """Adyen on 127.0.0.1, with the merchant account MastheadSandbox.

    Effects: charge, authorization, void, refund, setup, capture_failed, refund_failed, dispute. Their key is the
    merchant reference (a refund's its own); they are found by pspReference and idempotency key as well.
    """

    @route("GET", "/storedPaymentMethods")
    def list_stored(self, call: Call) -> Answer:
        """The cards of a shopper."""
        self.check_account(call.arg("merchantAccount"))
        shopper = call.arg("shopperReference") or ""
        used = {paid.token for paid in self.payments.values() if paid.shopper == shopper}
        stored = [
            {
                "id": token,
                "brand": self.cards[token].brand,
                "lastFour": self.cards[token].last4,
                "expiryMonth": self.cards[token].expires[:2],
                "expiryYear": self.cards[token].expires[3:],
                "shopperReference": shopper,
                "supportedRecurringProcessingModels": ["CardOnFile", "Subscription", "UnscheduledCardOnFile"],
                "type": "scheme",
            }
            for token in sorted(used)
            if (shopper, token) not in self.removed
        ]
        answer = {"merchantAccount": MERCHANT, "shopperReference": shopper, "storedPaymentMethods": stored}
        return json_answer(answer)

    @route("DELETE", "/storedPaymentMethods/{token}")
    def remove_stored(self, call: Call) -> Answer:
        """Forget a shopper's card."""
        self.check_account(call.arg("merchantAccount"))
        shopper = call.arg("shopperReference")
        self.card(call.params["token"], shopper)
        self.removed.add((str(shopper), call.params["token"]))
        return Answer(204)

    def control(self, what: str, fields: dict[str, Any]) -> Any:
        """Own controls.

        `notifications` {url, hmac_key}: where they go; `hold` {}; `deliver` {order?, copies?, seed?, again?};
        `disputes` {payment, amount?}, `close_dispute` {dispute, status}; `cards` {token, outcome};
        `renew_card` {token, shopper, expires, last4?}.
        """
        match what:
            case "notifications":
                self.send_to(**fields)
                return {"url": fields["url"]}
            case "hold":
                self.hold()
                return {"holding": True}
            case "deliver":
                return {"sent": self.deliver(**fields)}
            case "disputes":
                return {"dispute": self.dispute(**fields)}
            case "close_dispute":
                self.close_dispute(**fields)
                return fields
            case "cards":
                self.turn_card(**fields)
                return fields
            case "renew_card":
                self.renew_card(**fields)
                return fields
        return super().control(what, fields)

    def renew_card(self, token: str, shopper: str, expires: str, last4: str | None = None) -> None:
        """The card networks tell of a new card behind a shopper's token, which is taken from now on: good until the end
        of `expires`, as 04/2033. LookupError, ValueError."""
        self._known(token)
        self.cards[token] = renewed(self.cards[token], expires, last4)
        self.tell_of_card(token, shopper)

    def _known(self, token: str) -> None:
        if token not in self.cards:
            raise LookupError(
                f"no stored card is called {token!r}; there are: {', '.join(sorted(self.cards))}"
            )

    def turn_card(self, token: str, outcome: str) -> None:
        """Let payments with a card be refused from now on, or authorised again. LookupError, ValueError."""
        self._known(token)
        self.cards[token] = turned(self.cards[token], outcome)

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Payments, modifications, disputes and notifications."""
        return {
            "Payments": [
                {
                    "pspReference": paid.psp,
                    "reference": paid.reference,
                    "amount": f"{paid.amount} {paid.currency}",
                    "status": paid.status,
                    "captured": paid.captured,
                    "refunded": paid.refunded,
                    "card": paid.token,
                    "reason": paid.reason,
                }
                for paid in self.payments.values()
            ],
            "Captures, cancels, refunds": list(self.modifications),
            "Disputes": [
                {"dispute": psp, "payment": paid.psp, "amount": amount, "status": status}
                for psp, (paid, amount, status) in self.disputes.items()
            ],
            "Notifications": [
                {
                    "eventCode": told.item["eventCode"],
                    "success": told.item["success"],
                    "reference": told.item["merchantReference"],
                    "reason": told.item["reason"],
                    "answers": ", ".join(map(str, told.statuses)) or "not sent",
                }
                for told in self.told
            ],
        }
