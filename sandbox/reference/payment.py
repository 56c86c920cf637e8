"""Payments of the reference stand-in.

A payment method's name says what its bank does: `...Declined...` declines (`chargeDeclinedLostCard`: lost_card),
`...threeDSecure...` and `...authenticationRequired...` want the customer, all others approve.
"""

from __future__ import annotations

import re
from typing import Any

from sandbox.reference.memory import Memory, Method, Row, finder, needs, refuse, shown

_FIELDS = ("id", "reference", "status", "amount", "currency", "captured", "refunded")


def _payment(row: Row) -> Row:
    return shown(row, *_FIELDS, "decline", "next_action_url", "method")


def _decline(method: str) -> Row | None:
    named = re.search(r"[dD]eclined(\w*)", method)
    if named is None:
        return None
    code = re.sub(r"(?<!^)(?=[A-Z])", "_", named[1]).lower() or "card_declined"
    return {"code": code, "message": "The card was declined."}


def _wants_customer(method: str) -> bool:
    return "threeDSecure" in method or "authenticationRequired" in method


def _charge(memory: Memory, request: Any) -> Row:
    order = needs(request, "reference", "amount", "currency", "method")
    if not isinstance(order["amount"], int) or order["amount"] < 1:
        raise refuse(
            422, "invalid", "the amount must be a positive integer", amount="must be a positive integer"
        )
    method = str(order["method"])
    row = memory.add(
        "payment",
        **{name: order[name] for name in ("reference", "amount", "currency", "method")},
        capture=order.get("capture", True),
        captured=0,
        refunded=0,
        decline=_decline(method),
        next_action_url=None,
        status="failed",
    )
    if row["decline"] is not None:
        return _payment(row)
    if _wants_customer(method):
        if order.get("off_session", True):
            said = {"code": "authentication_required", "message": "The customer must authenticate."}
            return _payment(memory.touch(row, decline=said))
        url = f"{memory.base_url}/payment/approve/{row['id']}"
        return _payment(memory.touch(row, status="requires_action", next_action_url=url))
    approve(memory, row)
    return _payment(row)


def approve(memory: Memory, row: Row) -> None:
    """The bank takes or holds the amount."""
    taken = row["amount"] if row["capture"] else 0
    memory.touch(row, captured=taken, status="succeeded" if taken else "authorized", next_action_url=None)
    memory.effect("charge" if taken else "authorization", row["reference"], row, amount=row["amount"])


def _capture(memory: Memory, request: Any) -> Row:
    order = needs(request, "payment")
    row = memory.get("payment", order["payment"])
    if row["status"] != "authorized":
        raise refuse(409, "wrong_state", f"the payment is {row['status']}, not authorized")
    amount = order.get("amount") or row["amount"]
    if amount > row["amount"]:
        message = f"{amount} is more than the {row['amount']} that are held"
        raise refuse(422, "amount_too_large", message, amount="is more than what is held")
    memory.touch(row, captured=amount, status="succeeded")
    memory.effect("charge", row["reference"], row, amount=amount)
    return _payment(row)


def _void(memory: Memory, request: Any) -> Row:
    row = memory.get("payment", needs(request, "payment")["payment"])
    if row["status"] == "canceled":
        return _payment(row)
    if row["status"] not in ("authorized", "requires_action", "failed"):
        raise refuse(409, "wrong_state", f"the payment is {row['status']}: refund it")
    memory.touch(row, status="canceled", next_action_url=None)
    memory.effect("void", row["reference"], row)
    return _payment(row)


def _refund(memory: Memory, request: Any) -> Row:
    order = needs(request, "reference", "payment", "amount", "currency")
    paid = memory.get("payment", order["payment"])
    left = paid["captured"] - paid["refunded"]
    if order["currency"] != paid["currency"]:
        raise refuse(422, "invalid", f"paid in {paid['currency']}", currency="is not the payment's")
    if order["amount"] > left:
        message = f"{order['amount']} is more than the {left} that are left"
        raise refuse(422, "amount_too_large", message, amount="is more than what is left")
    memory.touch(paid, refunded=paid["refunded"] + order["amount"])
    row = memory.add(
        "refund", **shown(order, "reference", "payment", "amount", "currency"), status="succeeded"
    )
    memory.effect("refund", order["reference"], row, amount=order["amount"])
    return shown(row, "id", "reference", "payment", "status", "amount", "currency")


def _set_up(memory: Memory, request: Any) -> Row:
    order = needs(request, "reference", "method")
    decline = _decline(order["method"])
    status = "failed" if decline else "succeeded"
    row = memory.add("setup", **shown(order, "reference", "method"), status=status, decline=decline)
    if decline is None and _wants_customer(order["method"]):
        url = f"{memory.base_url}/payment/approve/{row['id']}"
        memory.touch(row, status="requires_action", next_action_url=url)
    elif decline is None:
        memory.effect("setup", order["reference"], row)
    return shown(row, "id", "reference", "status", "method", "decline", "next_action_url")


PAYMENT = {
    "charge": Method(_charge),
    "capture": Method(_capture),
    "void": Method(_void),
    "refund": Method(_refund),
    "find": finder("payment", "reference", _payment),
}
PAYMENT_METHODS = {"set_up": Method(_set_up)}
