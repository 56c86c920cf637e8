"""Stripe's events as facts of payments. An event carries its object as it was then, and may come late or twice."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from connectors.sdk.capabilities.card_facts import CardChange, CardFact
from connectors.sdk.capabilities.payment import CardDetails, Decline
from connectors.sdk.capabilities.payment_facts import Happened, OtherAccount, PaymentFact
from connectors.stripe.payments import REFERENCE, card, decline

# Events of payment intents, refunds and disputes. A hold is charged, too: it succeeded, and is not yet taken.
_INTENTS = {
    "payment_intent.succeeded": Happened.CHARGED,
    "payment_intent.amount_capturable_updated": Happened.CHARGED,
    "payment_intent.payment_failed": Happened.CHARGE_FAILED,
    "payment_intent.processing": Happened.CHARGE_PENDING,
    "payment_intent.requires_action": Happened.ACTION_PENDING,
    "payment_intent.canceled": Happened.VOIDED,
}
_REFUNDS = ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated")
_DISPUTES = {
    "charge.dispute.created",
    "charge.dispute.closed",
    "charge.dispute.updated",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
}
_CARDS = {
    "payment_method.automatically_updated": CardChange.RENEWED,
    "payment_method.updated": CardChange.TOLD,
    "payment_method.attached": CardChange.TOLD,
    "payment_method.detached": CardChange.CLOSED,
}
_LOST, _WON = ("lost",), ("won", "warning_closed", "prevented")


def facts(payload: Mapping[str, Any], account: str | None) -> tuple[PaymentFact, ...]:
    """The facts in an event, of the connected account `account` where that is set; none when it tells of no payment.

    Raises OtherAccount for another connected account's, ValueError naming what an event lacks.
    """
    _check_account(payload, account)
    try:
        kind, object = payload["type"], payload["data"]["object"]
        at = datetime.fromtimestamp(payload["created"], UTC)
        if kind in _INTENTS:
            return _of_intent(_INTENTS[kind], object, at)
        if kind in _REFUNDS:
            return _of_refund(object, at)
        return _of_dispute(object, at) if kind in _DISPUTES else ()
    except (KeyError, TypeError, AttributeError) as problem:
        lacking = str(problem) if isinstance(problem, KeyError) else type(problem).__name__
    raise ValueError(f"an event that is not as Stripe documents it: {lacking}")


def card_facts(payload: Mapping[str, Any], account: str | None) -> tuple[CardFact, ...]:
    """What an event tells of a card on file; nothing when it tells of something else. Raises as `facts`."""
    _check_account(payload, account)
    change = _CARDS.get(payload.get("type", ""))
    if change is None:
        return ()
    try:
        method = payload["data"]["object"]
        before = payload["data"].get("previous_attributes") or {}
        return (
            CardFact(
                change=change,
                method=method["id"],
                customer=method.get("customer") or before.get("customer"),
                card=card(method) or CardDetails(),
                occurred_at=datetime.fromtimestamp(payload["created"], UTC),
            ),
        )
    except (KeyError, TypeError, AttributeError) as problem:
        lacking = str(problem) if isinstance(problem, KeyError) else type(problem).__name__
    raise ValueError(f"an event that is not as Stripe documents it: {lacking}")


def _check_account(payload: Mapping[str, Any], account: str | None) -> None:
    told = payload.get("account")
    if account is not None and told not in (None, account):
        raise OtherAccount(
            f"the event is of the connected account {told!r} and the connection acts for {account!r}: "
            "make a connection and an endpoint for that account"
        )


def _of_intent(happened: Happened, intent: Mapping[str, Any], at: datetime) -> tuple[PaymentFact, ...]:
    reference, currency = (intent.get("metadata") or {}).get(REFERENCE, ""), intent["currency"].upper()

    def fact(what: Happened, amount: int, why: Decline | None = None) -> PaymentFact:
        return PaymentFact(
            happened=what,
            payment=intent["id"],
            reference=reference,
            id=intent["id"],
            amount=amount,
            currency=currency,
            decline=why,
            occurred_at=at,
        )

    if happened is Happened.CHARGE_FAILED:
        return (fact(happened, intent["amount"], decline(intent.get("last_payment_error"))),)
    if intent["status"] == "succeeded":
        return (fact(Happened.CHARGED, intent["amount"]), fact(Happened.CAPTURED, intent["amount_received"]))
    return (fact(happened, intent["amount"]),)


def _of_refund(refund: Mapping[str, Any], at: datetime) -> tuple[PaymentFact, ...]:
    happened = {"succeeded": Happened.REFUNDED, "failed": Happened.REFUND_FAILED}.get(refund["status"])
    if happened is None:
        return ()
    failed = happened is Happened.REFUND_FAILED
    return (
        PaymentFact(
            happened=happened,
            payment=refund["payment_intent"] or refund["charge"],
            reference=(refund.get("metadata") or {}).get(REFERENCE, ""),
            id=refund["id"],
            amount=refund["amount"],
            currency=refund["currency"].upper(),
            decline=Decline(code=refund.get("failure_reason") or "unknown") if failed else None,
            occurred_at=at,
        ),
    )


def _of_dispute(dispute: Mapping[str, Any], at: datetime) -> tuple[PaymentFact, ...]:
    status = dispute["status"]
    if status in _LOST:
        happened = Happened.DISPUTE_LOST
    elif status in _WON:
        happened = Happened.DISPUTE_WON
    else:
        # A warning is an inquiry: the bank has taken nothing yet.
        warned = status.startswith("warning_")
        happened = Happened.DISPUTE_OPENED if warned else Happened.DISPUTED
    return (
        PaymentFact(
            happened=happened,
            payment=dispute["payment_intent"] or dispute["charge"],
            reference="",
            id=dispute["id"],
            amount=dispute["amount"],
            currency=dispute["currency"].upper(),
            occurred_at=at,
            fee=_fee(dispute),
        ),
    )


def _fee(dispute: Mapping[str, Any]) -> int:
    """What Stripe keeps for the dispute by now: its movements of the balance tell. In another currency than the
    dispute's, where the account is paid out in that, it is part of the payout and not told here."""
    moved = dispute.get("balance_transactions") or ()
    fees = sum(each.get("fee") or 0 for each in moved if each.get("currency") == dispute["currency"])
    return max(fees, 0)
