"""Our orders as Adyen's requests, and its answers as our values. Amounts are minor units on both sides."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from connectors.adyen.config import AdyenConfig
from connectors.sdk.capabilities.payment import (
    ActionResult,
    CaptureOrder,
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
    VoidOrder,
)
from connectors.sdk.errors import Rejected

#: What Adyen takes as a reference, in characters.
LONGEST_REFERENCE = 80
_LONGEST_METADATA = 80
_MONTHS, _YEAR, _LONGEST_BRAND = 12, 4, 40
_LAST4 = re.compile(r"[0-9]{4}")

# What is not here is never asked for (a part of the amount, authentication alone): such an answer cannot be read.
_STATUS = {
    "Authorised": PaymentStatus.SUCCEEDED,
    "RedirectShopper": PaymentStatus.REQUIRES_ACTION,
    "ChallengeShopper": PaymentStatus.REQUIRES_ACTION,
    "IdentifyShopper": PaymentStatus.REQUIRES_ACTION,
    "Pending": PaymentStatus.PROCESSING,
    "Received": PaymentStatus.PROCESSING,
    "PresentToShopper": PaymentStatus.PROCESSING,
    "Refused": PaymentStatus.FAILED,
    "Error": PaymentStatus.FAILED,
    "Cancelled": PaymentStatus.FAILED,
}


class _Answer(BaseModel):
    """Fields are called as Adyen does; what it adds is ignored, and nothing of it is shown."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class Amount(_Answer):
    """Minor units and an ISO 4217 code."""

    value: int
    currency: str


class Action(_Answer):
    """What the customer has to do. url: where to go, in the action of type `redirect`."""

    type: str
    url: str | None = None


class PaymentAnswer(_Answer):
    """The answer to /payments and /payments/details. A refusal is one like the others. pspReference is missing while
    the customer has something to do."""

    resultCode: str
    pspReference: str | None = None
    merchantReference: str | None = None
    refusalReason: str | None = None
    refusalReasonCode: str | None = None
    amount: Amount | None = None
    action: Action | None = None
    paymentMethod: Mapping[str, str] = {}
    additionalData: Mapping[str, str] = {}


class Taken(_Answer):
    """The answer to a capture, cancel or refund: it was taken. pspReference: of itself, not of the payment."""

    pspReference: str
    paymentPspReference: str
    status: str


class TakenByReference(_Answer):
    """The answer to a cancel by our reference: it was taken."""

    pspReference: str
    paymentReference: str
    status: str


def charge_request(order: ChargeOrder, config: AdyenConfig) -> dict[str, Any]:
    """What /payments gets for a charge: taken at once, or held until it is captured by hand. Raises Rejected naming
    the field that Adyen would not take."""
    made = _payment_request(order.reference, order.method, order.customer, config)
    made["amount"] = {"value": order.amount, "currency": order.currency}
    if order.off_session:
        made["shopperInteraction"] = "ContAuth"
    else:
        made |= {"shopperInteraction": "Ecommerce", "channel": "Web"}
    if order.return_url:
        made["returnUrl"] = order.return_url
    if order.capture:
        made["captureDelayHours"] = 0
    else:
        made["additionalData"] = {"manualCapture": "true"}
    if order.description:
        made["metadata"] = {"description": order.description[:_LONGEST_METADATA]}
    return made


def setup_request(order: SetupOrder, config: AdyenConfig) -> dict[str, Any]:
    """What /payments gets to verify a stored card: an amount of nothing, with the customer there. Raises Rejected."""
    made = _payment_request(order.reference, order.method, order.customer, config)
    made |= {
        "amount": {"value": 0, "currency": config.setup_currency},
        "shopperInteraction": "Ecommerce",
        "channel": "Web",
    }
    if order.return_url:
        made["returnUrl"] = order.return_url
    return made


def capture_request(order: CaptureOrder, config: AdyenConfig) -> dict[str, Any]:
    """What a capture is asked for with. Raises Rejected when the order does not say what is held: Adyen cannot be
    asked, and takes no capture without an amount."""
    held = known(order)
    amount = held.amount if order.amount is None else order.amount
    return {
        "merchantAccount": config.merchant_account,
        "amount": {"value": amount, "currency": held.currency},
        **_told_by(held),
    }


def cancel_request(order: VoidOrder, config: AdyenConfig) -> dict[str, Any]:
    """What a cancel is asked for with. Raises Rejected as capture_request does."""
    return {"merchantAccount": config.merchant_account, **_told_by(known(order))}


def technical_cancel_request(order: VoidOrder, config: AdyenConfig) -> dict[str, Any]:
    """What a cancel by our reference is asked for with. Raises Rejected as capture_request does."""
    reference = known(order).reference
    return {
        "merchantAccount": config.merchant_account,
        "paymentReference": _reference(reference),
        "reference": _reference(reference),
    }


def _told_by(held: Payment) -> dict[str, str]:
    """The payment's reference again, so that the notification of its capture or cancel carries it too."""
    return {"reference": held.reference} if held.reference else {}


def refund_request(order: RefundOrder, config: AdyenConfig) -> dict[str, Any]:
    """What a refund is asked for with. Raises Rejected for a reference that is too long."""
    return {
        "merchantAccount": config.merchant_account,
        "amount": {"value": order.amount, "currency": order.currency},
        "reference": _reference(order.reference),
    }


def known(order: CaptureOrder | VoidOrder) -> Payment:
    """The payment that an order is about. Raises Rejected when the order does not carry it."""
    if order.known is None:
        raise Rejected(
            "Adyen cannot be asked what it holds: give the payment as it was answered, in `known`",
            code="known_missing",
            fields={"known": "is needed"},
        )
    return order.known


def payment(answer: PaymentAnswer, order: ChargeOrder) -> Payment:
    """The answer to a charge as a payment. Raises ValueError for a result that was not asked for."""
    return _payment(answer, order.reference, order.amount, order.currency, order.method, order.capture)


def completed(answer: PaymentAnswer, order: ActionResult) -> Payment:
    """The answer to what a customer brought back, as a payment. Raises ValueError."""
    asked = order.known
    return _payment(answer, asked.reference, asked.amount, asked.currency, asked.method, order.capture)


def _payment(
    answer: PaymentAnswer, reference: str, amount: int, currency: str, method: str | None, capture: bool
) -> Payment:
    status = _status(answer)
    if status is PaymentStatus.SUCCEEDED and not capture:
        status = PaymentStatus.AUTHORIZED
    if status is not PaymentStatus.REQUIRES_ACTION and not answer.pspReference:
        raise ValueError("pspReference is missing")
    if answer.amount is not None and (answer.amount.value, answer.amount.currency) != (amount, currency):
        raise ValueError("the amount is not what was ordered")
    return Payment(
        id=answer.pspReference or "",
        reference=answer.merchantReference or reference,
        status=status,
        amount=amount,
        currency=currency,
        captured=amount if status is PaymentStatus.SUCCEEDED else 0,
        decline=decline(answer) if status is PaymentStatus.FAILED else None,
        next_action_url=_action(answer) if status is PaymentStatus.REQUIRES_ACTION else None,
        method=method,
        card=card(answer.additionalData, answer.paymentMethod.get("brand")),
    )


def setup(answer: PaymentAnswer, order: SetupOrder) -> Setup:
    """The answer to a verification as a setup. Raises ValueError for a result that was not asked for."""
    status = _status(answer)
    return Setup(
        id=answer.pspReference or "",
        reference=answer.merchantReference or order.reference,
        status=status,
        method=order.method,
        decline=decline(answer) if status is PaymentStatus.FAILED else None,
        next_action_url=_action(answer) if status is PaymentStatus.REQUIRES_ACTION else None,
        card=card(answer.additionalData, answer.paymentMethod.get("brand")),
    )


def card(additional: Mapping[str, Any], brand: str | None = None) -> CardDetails | None:
    """What additional data tell of a card, as far as the merchant account is set up to tell it: `cardSummary` are the
    last four digits, `expiryDate` is written 3/2030."""
    month, _, year = str(additional.get("expiryDate") or "").partition("/")
    dated = month.isdecimal() and 1 <= int(month) <= _MONTHS and year.isdecimal() and len(year) == _YEAR
    last4 = str(additional.get("cardSummary") or "")
    named = brand or additional.get("paymentMethod")
    found = CardDetails(
        brand=str(named)[:_LONGEST_BRAND] if named else None,
        last4=last4 if _LAST4.fullmatch(last4) else None,
        exp_month=int(month) if dated else None,
        exp_year=int(year) if dated else None,
    )
    return None if found == CardDetails() else found


def in_flight(held: Payment) -> Payment:
    """A payment whose capture or cancel was taken: what becomes of it is told later."""
    return held.model_copy(
        update={"status": PaymentStatus.PROCESSING, "captured": 0, "next_action_url": None}
    )


def refund(taken: Taken, order: RefundOrder) -> Refund:
    """A refund that was taken."""
    return Refund(
        id=taken.pspReference,
        reference=order.reference,
        payment=taken.paymentPspReference,
        status=RefundStatus.PENDING,
        amount=order.amount,
        currency=order.currency,
    )


def decline(answer: PaymentAnswer) -> Decline:
    """Why it was refused: Adyen's reason in its own words, and what the bank said where the account shows that."""
    return Decline(
        code=reason(answer.refusalReason, answer.resultCode),
        message=answer.additionalData.get("refusalReasonRaw", ""),
    )


def reason(text: str | None, otherwise: str) -> str:
    """The code of a refusal. Adyen calls some `Unknown`: they are refusals all the same, and that word is taken for
    an outcome that nobody knows."""
    said = (text or "").strip()
    return otherwise if said.lower() in ("", "unknown") else said


def _payment_request(
    reference: str, method: str, customer: str | None, config: AdyenConfig
) -> dict[str, Any]:
    if not customer:
        raise Rejected(
            "Adyen charges a stored card for its shopper only: give the shopper's reference as the customer",
            code="customer_missing",
            fields={"customer": "is needed"},
        )
    return {
        "merchantAccount": config.merchant_account,
        "reference": _reference(reference),
        "paymentMethod": {"type": "scheme", "storedPaymentMethodId": method},
        "shopperReference": customer,
        "recurringProcessingModel": "Subscription",
        "returnUrl": config.return_url,
    }


def _reference(reference: str) -> str:
    if len(reference) > LONGEST_REFERENCE:
        raise Rejected(
            f"Adyen takes references of up to {LONGEST_REFERENCE} characters",
            code="reference_too_long",
            fields={"reference": f"has {len(reference)} characters"},
        )
    return reference


def _status(answer: PaymentAnswer) -> PaymentStatus:
    try:
        return _STATUS[answer.resultCode]
    except KeyError:
        raise ValueError("its resultCode was not asked for") from None


def _action(answer: PaymentAnswer) -> str | None:
    return answer.action.url if answer.action is not None else None
