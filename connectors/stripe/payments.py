"""Stripe's objects as our values, and our orders as Stripe's parameters. Amounts are minor units on both sides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.sdk.capabilities.payment import (
    CardDetails,
    ChargeOrder,
    Decline,
    Payment,
    PaymentStatus,
    Refund,
    RefundOrder,
    RefundStatus,
    Setup,
    SetupOrder,
)

REFERENCE = "masthead_reference"

_STATUS = {
    "succeeded": PaymentStatus.SUCCEEDED,
    "requires_capture": PaymentStatus.AUTHORIZED,
    "requires_action": PaymentStatus.REQUIRES_ACTION,
    "processing": PaymentStatus.PROCESSING,
    "canceled": PaymentStatus.CANCELED,
    # Nothing more happens by itself: the attempt is over.
    "requires_payment_method": PaymentStatus.FAILED,
    "requires_confirmation": PaymentStatus.FAILED,
}
_REFUND_STATUS = {
    "succeeded": RefundStatus.SUCCEEDED,
    "pending": RefundStatus.PENDING,
    "requires_action": RefundStatus.PENDING,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.FAILED,
}


def charge_parameters(order: ChargeOrder) -> dict[str, Any]:
    """What a PaymentIntent is created with: confirmed at once, held or captured."""
    made: dict[str, Any] = {
        "amount": order.amount,
        "currency": order.currency.lower(),
        "payment_method": order.method,
        "allowed_payment_method_types": ["card"],
        "capture_method": "automatic" if order.capture else "manual",
        "confirm": True,
        "metadata": {REFERENCE: order.reference},
        "expand": ["latest_charge"],
    }
    if order.customer:
        made["customer"] = order.customer
    if order.description:
        made["description"] = order.description
    if order.off_session:
        made["off_session"] = True
    elif order.return_url:
        made["return_url"] = order.return_url
    return made


def setup_parameters(order: SetupOrder) -> dict[str, Any]:
    """What a SetupIntent is created with."""
    made: dict[str, Any] = {
        "payment_method": order.method,
        "allowed_payment_method_types": ["card"],
        "usage": "off_session",
        "confirm": True,
        "metadata": {REFERENCE: order.reference},
        "expand": ["payment_method"],
    }
    if order.customer:
        made["customer"] = order.customer
    if order.return_url:
        made["return_url"] = order.return_url
    return made


def refund_parameters(order: RefundOrder) -> dict[str, Any]:
    """What a refund is created with."""
    return {
        "payment_intent": order.payment,
        "amount": order.amount,
        "metadata": {REFERENCE: order.reference},
    }


def payment(intent: Mapping[str, Any]) -> Payment:
    """A PaymentIntent as a payment."""
    charge = intent.get("latest_charge")
    refunded = charge.get("amount_refunded", 0) if isinstance(charge, Mapping) else 0
    status = _STATUS[intent["status"]]
    return Payment(
        id=intent["id"],
        reference=(intent.get("metadata") or {}).get(REFERENCE, ""),
        status=status,
        amount=intent["amount"],
        currency=intent["currency"].upper(),
        captured=intent.get("amount_received") or 0,
        refunded=refunded,
        decline=decline(intent.get("last_payment_error")) if status is PaymentStatus.FAILED else None,
        next_action_url=_action(intent) if status is PaymentStatus.REQUIRES_ACTION else None,
        method=_id(intent.get("payment_method")),
        card=_charged_card(intent),
    )


def setup(intent: Mapping[str, Any]) -> Setup:
    """A SetupIntent as a setup."""
    status = _STATUS[intent["status"]]
    return Setup(
        id=intent["id"],
        reference=(intent.get("metadata") or {}).get(REFERENCE, ""),
        status=status,
        method=_id(intent.get("payment_method")),
        decline=decline(intent.get("last_setup_error")) if status is PaymentStatus.FAILED else None,
        next_action_url=_action(intent) if status is PaymentStatus.REQUIRES_ACTION else None,
        card=card(intent.get("payment_method")),
    )


def card(method: Any) -> CardDetails | None:
    """The card of a payment method, or of a charge's details of one; None where it is only named, or is none."""
    told = method.get("card") if isinstance(method, Mapping) else None
    if not isinstance(told, Mapping):
        return None
    try:
        return CardDetails.model_validate({name: told.get(name) for name in CardDetails.model_fields})
    except ValueError:
        return None  # a payment is not in doubt because its card is described oddly


def _charged_card(intent: Mapping[str, Any]) -> CardDetails | None:
    charge = intent.get("latest_charge")
    details = charge.get("payment_method_details") if isinstance(charge, Mapping) else None
    failed = (intent.get("last_payment_error") or {}).get("payment_method")
    return card(details) or card(failed)


def refund(made: Mapping[str, Any]) -> Refund:
    """A refund as ours."""
    status = _REFUND_STATUS.get(made.get("status") or "pending", RefundStatus.PENDING)
    failed = Decline(code=made.get("failure_reason") or "unknown") if status is RefundStatus.FAILED else None
    return Refund(
        id=made["id"],
        reference=(made.get("metadata") or {}).get(REFERENCE, ""),
        payment=_id(made.get("payment_intent")) or "",
        status=status,
        amount=made["amount"],
        currency=made["currency"].upper(),
        decline=failed,
    )


def decline(error: Mapping[str, Any] | None) -> Decline | None:
    """Why it was declined: the bank's code where there is one, else Stripe's."""
    if not error:
        return None
    return Decline(
        code=error.get("decline_code") or error.get("code") or "unknown", message=error.get("message") or ""
    )


def _action(intent: Mapping[str, Any]) -> str | None:
    redirect = (intent.get("next_action") or {}).get("redirect_to_url") or {}
    url = redirect.get("url")
    return str(url) if url else None


def _id(either: Any) -> str | None:
    """The id of what Stripe gives either as an id or whole."""
    if isinstance(either, Mapping):
        return str(either["id"])
    return str(either) if either else None
