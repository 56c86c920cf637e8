"""Stripe's test cards, by the payment method ids of its testing guide, and how the bank answers for each."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal


@dataclass(frozen=True)
class Decline:
    """How a bank says no: Stripe's error `code`, the bank's `decline_code` and the message."""

    code: str
    decline_code: str
    message: str


DECLINES: dict[str, Decline] = {
    "generic_decline": Decline("card_declined", "generic_decline", "Your card was declined."),
    "insufficient_funds": Decline("card_declined", "insufficient_funds", "Your card has insufficient funds."),
    "lost_card": Decline("card_declined", "lost_card", "Your card was declined."),
    "stolen_card": Decline("card_declined", "stolen_card", "Your card was declined."),
    "pickup_card": Decline("card_declined", "pickup_card", "Your card was declined."),
    "fraudulent": Decline("card_declined", "fraudulent", "Your card was declined."),
    "do_not_honor": Decline("card_declined", "do_not_honor", "Your card was declined."),
    "try_again_later": Decline("card_declined", "try_again_later", "Your card was declined."),
    "card_velocity_exceeded": Decline(
        "card_declined",
        "card_velocity_exceeded",
        "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    ),
    "expired_card": Decline("expired_card", "expired_card", "Your card has expired."),
    "incorrect_cvc": Decline("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect."),
    "processing_error": Decline(
        "processing_error",
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
    ),
    "authentication_required": Decline(
        "authentication_required",
        "authentication_required",
        "Your card was declined. This transaction requires authentication.",
    ),
}


@dataclass(frozen=True)
class Card:
    """A test card. `decline` names a row of DECLINES for charges; `attachable` is whether it can be saved first.

    `authentication`: "never"; "always"; "setup": until it was set up once for use without the customer.
    """

    last4: str
    brand: str = "visa"
    funding: Literal["credit", "debit"] = "credit"
    country: str = "US"
    decline: str | None = None
    attachable: bool = True
    authentication: Literal["never", "always", "setup"] = "never"
    disputed: str | None = None
    refund_fails: bool = False


def _declined(last4: str, decline: str) -> Card:
    return Card(last4, decline=decline, attachable=False)


_DECLINING = {
    "chargeDeclined": _declined("0002", "generic_decline"),
    "chargeDeclinedInsufficientFunds": _declined("9995", "insufficient_funds"),
    "chargeDeclinedLostCard": _declined("9987", "lost_card"),
    "chargeDeclinedStolenCard": _declined("9979", "stolen_card"),
    "chargeDeclinedFraudulent": _declined("0019", "fraudulent"),
    "chargeDeclinedVelocityLimitExceeded": _declined("6975", "card_velocity_exceeded"),
    "chargeDeclinedExpiredCard": _declined("0069", "expired_card"),
    "chargeDeclinedIncorrectCvc": _declined("0127", "incorrect_cvc"),
    "chargeDeclinedProcessingError": _declined("0119", "processing_error"),
}

#: Payment method id without "pm_card_" → card. Declining cards are known with and without the "visa_" of the guide.
CARDS: dict[str, Card] = {
    "visa": Card("4242"),
    "visa_debit": Card("5556", funding="debit"),
    "mastercard": Card("4444", "mastercard"),
    "mastercard_debit": Card("8210", "mastercard", funding="debit"),
    "amex": Card("8431", "amex"),
    "discover": Card("9424", "discover"),
    "de": Card("0016", country="DE"),
    "gb": Card("0000", country="GB"),
    **_DECLINING,
    **{f"visa_{name}": card for name, card in _DECLINING.items()},
    "chargeCustomerFail": Card("0341", decline="generic_decline"),
    "threeDSecure2Required": Card("3220", authentication="always"),
    "threeDSecureRequired": Card("3063", authentication="always"),
    "authenticationRequired": Card("3184", authentication="always"),
    "authenticationRequiredOnSetup": Card("3155", authentication="setup"),
    "authenticationRequiredChargeDeclinedInsufficientFunds": Card(
        "8260", authentication="always", decline="insufficient_funds"
    ),
    "createDispute": Card("0259", disputed="fraudulent"),
    "createDisputeProductNotReceived": Card("2685", disputed="product_not_received"),
    "refundFail": Card("5126", refund_fails=True),
}


def test_card(payment_method: str) -> Card | None:
    """The card of a `pm_card_...` or `tok_...` id; None when the guide has no such card."""
    for prefix in ("pm_card_", "tok_"):
        if payment_method.startswith(prefix):
            return CARDS.get(payment_method.removeprefix(prefix))
    return None


def turned(card: Card, outcome: str) -> Card:
    """The same card, from now on declined for `outcome`, or "approved" again. ValueError for an unknown outcome."""
    if outcome == "approved":
        return replace(card, decline=None)
    if outcome not in DECLINES:
        raise ValueError(
            f"no decline is called {outcome!r}; there are: approved, {', '.join(sorted(DECLINES))}"
        )
    return replace(card, decline=outcome)
