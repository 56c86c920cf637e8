"""Adyen's notification items as facts of payments. Its answers only say `received`; these say what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from connectors.adyen.payments import Amount, card, reason
from connectors.sdk.capabilities.card_facts import CardChange, CardFact
from connectors.sdk.capabilities.payment import CardDetails, Decline
from connectors.sdk.capabilities.payment_facts import Happened, OtherAccount, PaymentFact

EXAMPLE = (
    b'{"live":"false","notificationItems":[{"NotificationRequestItem":{"pspReference":"KIT0000000000001",'
    b'"merchantAccountCode":"MastheadSandbox","merchantReference":"pay-kit","amount":{"value":1250,"currency":"USD"},'
    b'"eventCode":"AUTHORISATION","eventDate":"2026-11-02T12:00:00+00:00","success":"true","reason":""}}]}'
)

# eventCode → what happened by `success`. None: it tells nothing new of a payment.
_EVENTS: Mapping[str, tuple[Happened | None, Happened | None]] = {
    "AUTHORISATION": (Happened.CHARGED, Happened.CHARGE_FAILED),
    "PENDING": (Happened.CHARGE_PENDING, None),
    # The offer was not paid in time.
    "OFFER_CLOSED": (Happened.CHARGE_FAILED, None),
    "CAPTURE": (Happened.CAPTURED, Happened.CAPTURE_FAILED),
    "CAPTURE_FAILED": (Happened.CAPTURE_FAILED, Happened.CAPTURE_FAILED),
    "CANCELLATION": (Happened.VOIDED, Happened.VOID_FAILED),
    "TECHNICAL_CANCEL": (Happened.VOIDED, Happened.VOID_FAILED),
    "EXPIRE": (Happened.VOIDED, None),
    "REFUND": (Happened.REFUNDED, Happened.REFUND_FAILED),
    "REFUND_FAILED": (Happened.REFUND_FAILED, Happened.REFUND_FAILED),
    "REFUNDED_REVERSED": (Happened.REFUND_FAILED, None),
    "NOTIFICATION_OF_CHARGEBACK": (Happened.DISPUTE_OPENED, None),
    "CHARGEBACK": (Happened.DISPUTED, None),
    "CHARGEBACK_REVERSED": (Happened.DISPUTE_WON, None),
    "PREARBITRATION_WON": (Happened.DISPUTE_WON, None),
    "SECOND_CHARGEBACK": (Happened.DISPUTE_LOST, None),
    "PREARBITRATION_LOST": (Happened.DISPUTE_LOST, None),
}
# Either a cancel or a refund, as `additionalData.modification.action` says.
# A card was stored, or what is known of one has changed.
_STORED = "RECURRING_CONTRACT"
_REASON_PARTS = 3
# What the card networks told while a payment was made (Real Time Account Updater).
_UPDATES = {
    "CardChanged": CardChange.RENEWED,
    "CardExpiryChanged": CardChange.RENEWED,
    "CloseAccount": CardChange.CLOSED,
}
_CANCEL_OR_REFUND = "CANCEL_OR_REFUND"
_FAILURES = frozenset(
    {Happened.CHARGE_FAILED, Happened.CAPTURE_FAILED, Happened.VOID_FAILED, Happened.REFUND_FAILED}
)


class Item(BaseModel):
    """A notification item, called as Adyen calls it. pspReference: of what happened; originalReference: of the payment
    that it happened to, where that is another."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    pspReference: str
    originalReference: str = ""
    merchantAccountCode: str
    merchantReference: str = ""
    eventCode: str
    success: str | bool
    amount: Amount | None = None
    reason: str | None = None
    eventDate: datetime | None = None
    paymentMethod: str | None = None
    additionalData: Mapping[str, Any] = {}


def facts(payload: Mapping[str, Any], merchant_account: str) -> tuple[PaymentFact, ...]:
    """The fact in a verified item for `merchant_account`; none when it is of no payment (a report, a token).

    Raises OtherAccount for another merchant account's, ValueError naming the fields of an item that cannot be read.
    """
    item = _item(payload)
    _check_account(item, merchant_account)
    happened = _happened(item)
    if happened is None:
        return ()
    if item.amount is None:
        raise ValueError(f"a notification of {item.eventCode} without an amount")
    return (
        PaymentFact(
            happened=happened,
            payment=item.originalReference or item.pspReference,
            reference=item.merchantReference,
            id=item.pspReference,
            amount=item.amount.value,
            currency=item.amount.currency,
            decline=_decline(item) if happened in _FAILURES else None,
            occurred_at=_utc(item.eventDate),
        ),
    )


def card_facts(payload: Mapping[str, Any], merchant_account: str) -> tuple[CardFact, ...]:
    """What a verified item tells of a card on file: the one that a payment was made with, or that was stored. None
    where it names no token. Raises as `facts`."""
    item = _item(payload)
    _check_account(item, merchant_account)
    told = item.additionalData
    token = told.get("tokenization.storedPaymentMethodId") or told.get("recurring.recurringDetailReference")
    if item.eventCode == _STORED:
        token = token or item.pspReference
    if item.eventCode not in (_STORED, "AUTHORISATION") or not token:
        return ()
    change = _UPDATES.get(str(told.get("realtimeAccountUpdaterStatus")), CardChange.TOLD)
    customer = told.get("tokenization.shopperReference") or told.get("recurring.shopperReference")
    return (
        CardFact(
            change=change,
            method=str(token),
            customer=None if customer is None else str(customer),
            card=card(_card_in_reason(item) | dict(told), item.paymentMethod) or CardDetails(),
            occurred_at=_utc(item.eventDate),
        ),
    )


def _card_in_reason(item: Item) -> dict[str, str]:
    """What the reason of a payment that was authorised says of its card: 012345:1111:3/2030."""
    parts = (item.reason or "").split(":")
    if item.eventCode == "AUTHORISATION" and _succeeded(item) and len(parts) == _REASON_PARTS:
        return {"cardSummary": parts[1], "expiryDate": parts[2]}
    return {}


def _succeeded(item: Item) -> bool:
    return str(item.success).lower() == "true"


def _check_account(item: Item, merchant_account: str) -> None:
    if item.merchantAccountCode != merchant_account:
        raise OtherAccount(
            f"the notification is for the merchant account {item.merchantAccountCode!r} and the connection has "
            f"{merchant_account!r}: point that account's webhook at an endpoint of its own connection"
        )


def _item(payload: Mapping[str, Any]) -> Item:
    try:
        return Item.model_validate(payload)
    except ValidationError as invalid:
        fields = ", ".join(".".join(map(str, each["loc"])) for each in invalid.errors(include_input=False))
    raise ValueError(f"a notification that is not as Adyen documents it: {fields}")


def _happened(item: Item) -> Happened | None:
    code = item.eventCode
    if code == _CANCEL_OR_REFUND:
        action = item.additionalData.get("modification.action")
        code = {"cancel": "CANCELLATION", "refund": "REFUND"}.get(str(action), "")
    went_well, failed = _EVENTS.get(code, (None, None))
    return went_well if _succeeded(item) else failed


def _decline(item: Item) -> Decline:
    raw = item.additionalData.get("refusalReasonRaw")
    return Decline(code=reason(item.reason, "Refused"), message=str(raw or ""))


def _utc(instant: datetime | None) -> datetime | None:
    if instant is None:
        return None
    return instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
