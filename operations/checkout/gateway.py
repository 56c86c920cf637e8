"""The calls of a checkout to its payment gateway: written down before, noted after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from contracts.checkout import CheckoutStatus, GatewayStep, Noted, Standing, StepMade
from contracts.connector_call import CallOutcome, CallRef, CallStatus
from contracts.names import checkout_id as workflow_id
from operations.calls.outcome import outcome_of
from operations.calls.prepare import CallOrder, prepare_call
from operations.checkout.told_standing import (
    COMPLETE,
    ReadTold,
    completion_key,
    known_payment,
    told_standing,
)
from storage.calls import change_call, read_call
from storage.checkouts import CheckoutRow, change_checkout, read_checkout
from storage.database import PgConnection
from storage.parked import resolve_parks_of_call

Request = Mapping[str, Any]
STATUS_OF_STEP = {
    GatewayStep.AUTHORISE: CheckoutStatus.AUTHORISING,
    GatewayStep.SET_UP: CheckoutStatus.AUTHORISING,
}
METHODS = {
    GatewayStep.AUTHORISE: "payment.charge",
    GatewayStep.CHARGE: "payment.charge",
    GatewayStep.CAPTURE: "payment.capture",
    GatewayStep.VOID: "payment.void",
    GatewayStep.FIND: "payment.find",
    GatewayStep.REFUND: "payment.refund",
    GatewayStep.SET_UP: "payment_methods.set_up",
    GatewayStep.FIND_SETUP: "payment_setups.find_setup",
}
STANDINGS = {
    "succeeded": Standing.TAKEN,
    "authorized": Standing.HELD,
    "requires_action": Standing.REQUIRES_ACTION,
    "processing": Standing.PROCESSING,
    "failed": Standing.DECLINED,
    "canceled": Standing.GONE,
}
# A refund that is on its way is given back as well: the bank has it.
REFUND_STANDINGS = {
    "succeeded": Standing.GONE,
    "pending": Standing.GONE,
    "failed": Standing.TAKEN,
}
_SETUPS = frozenset((GatewayStep.SET_UP, GatewayStep.FIND_SETUP))


def reference_of(checkout_id: str) -> str:
    """What the gateway has a checkout's payment under."""
    return f"checkout:{checkout_id}"


def order_step(
    connection: PgConnection,
    checkout_id: str,
    step: GatewayStep,
    number: int,
    told_by: Callable[[str], ReadTold | None] = lambda _: None,
) -> StepMade:
    """Write the intent of a call, or find the one that was written before; no call where there is nothing to call
    about, as a payment to void that the gateway never had. `told_by`: reads what the gateway of a connection tells,
    where it cannot be asked; instead of asking it, what it told is answered."""
    row = read_checkout(connection, checkout_id, lock=True)
    request = _REQUESTS[step](row)
    if not request or row.connection is None:
        return StepMade()
    read = told_by(row.connection)
    if read is not None and step is GatewayStep.FIND:
        return _told(connection, row, read)
    if read is not None and step in (GatewayStep.CAPTURE, GatewayStep.VOID):
        request = {**request, "known": known_payment(connection, row)}
    status = STATUS_OF_STEP.get(step)
    if status is not None and row.status == CheckoutStatus.QUOTING:
        change_checkout(connection, row.id, {"status": status.value})
    return StepMade(call=_prepared(connection, row, step, number, request))


def _prepared(
    connection: PgConnection, row: CheckoutRow, step: GatewayStep, number: int, request: Any
) -> CallRef:
    return _call(connection, row, METHODS[step], _key(row, step, number), request)


def call_of_step(row: CheckoutRow, step: GatewayStep, number: int = 1) -> CallOrder | None:
    """The call that `step` of a checkout is; None where there is nothing to call about."""
    request = _REQUESTS[step](row)
    if not request or row.connection is None:
        return None
    return _order(row, METHODS[step], _key(row, step, number), request)


def _key(row: CheckoutRow, step: GatewayStep, number: int) -> str:
    suffix = f":{number}" if number > 1 or step in (GatewayStep.FIND, GatewayStep.FIND_SETUP) else ""
    return f"checkout:{row.id}:{step.value}{suffix}"


def _call(connection: PgConnection, row: CheckoutRow, method: str, key: str, request: Any) -> CallRef:
    return prepare_call(connection, _order(row, method, key, request)).ref


def _order(row: CheckoutRow, method: str, key: str, request: Any) -> CallOrder:
    return CallOrder(
        connection=row.connection or "",
        method=method,
        key=key,
        request=request,
        mode=row.mode,
        # One that is opened is not there yet.
        account_id=None if row.opens_account else row.account_id,
        workflow_id=workflow_id(row.id),
    )


def _told(connection: PgConnection, row: CheckoutRow, read: ReadTold) -> StepMade:
    """How the payment stands by what the gateway told. What the customer has brought back is handed in first, once."""
    key = completion_key(row)
    if key is not None and row.next_action_url is not None:
        request = {
            "result": row.payment["result"],
            "known": known_payment(connection, row),
            "capture": row.payment["charge"] == "last",
        }
        ref = _call(connection, row, COMPLETE, key, request)
        if not CallStatus(read_call(connection, ref.call_id).status).settled:
            return StepMade(call=ref, refusable=True)
    return StepMade(told=told_standing(connection, row, read, STANDINGS))


def _charge(row: CheckoutRow, *, capture: bool) -> Request:
    return {
        "reference": reference_of(row.id),
        "amount": row.due,
        "currency": row.currency,
        "method": row.payment["method"],
        "customer": row.payment["customer"],
        "capture": capture,
        "off_session": False,
        "return_url": row.payment["return_url"],
    }


def _capture(row: CheckoutRow) -> Request | None:
    return row.gateway_id and {"payment": row.gateway_id}  # type: ignore[return-value]


def _refund(row: CheckoutRow) -> Request | None:
    return row.gateway_id and {  # type: ignore[return-value]
        "reference": f"{reference_of(row.id)}:refund",
        "payment": row.gateway_id,
        "amount": row.due,
        "currency": row.currency,
        "reason": "the sale did not complete",
    }


def _set_up(row: CheckoutRow) -> Request:
    return {
        "reference": reference_of(row.id),
        "method": row.payment["method"],
        "customer": row.payment["customer"],
        "return_url": row.payment["return_url"],
    }


_REQUESTS: dict[GatewayStep, Callable[[CheckoutRow], Any]] = {
    GatewayStep.AUTHORISE: lambda row: _charge(row, capture=False),
    GatewayStep.CHARGE: lambda row: _charge(row, capture=True),
    GatewayStep.CAPTURE: _capture,
    GatewayStep.VOID: _capture,
    GatewayStep.REFUND: _refund,
    GatewayStep.FIND: lambda row: reference_of(row.id),
    GatewayStep.SET_UP: _set_up,
    GatewayStep.FIND_SETUP: lambda row: row.gateway_id,
}


def bring_back(connection: PgConnection, checkout_id: str, result: str) -> None:
    """Keep what the customer has brought back from the bank, to be handed in with the next look; the last counts."""
    row = read_checkout(connection, checkout_id, lock=True)
    if row.payment is not None and not CheckoutStatus(row.status).ended:
        change_checkout(connection, row.id, {"payment": {**row.payment, "result": result}})


def note(connection: PgConnection, checkout_id: str, step: GatewayStep, call_id: str) -> Noted:
    """Write down where the payment stands by the answer of a call. A call without an answer says nothing."""
    row = read_checkout(connection, checkout_id, lock=True)
    call = read_call(connection, call_id)
    answer = call.answer if isinstance(call.answer, Mapping) else None
    if answer is None:
        return Noted(standing=Standing.NOTHING)
    if step is GatewayStep.REFUND:
        return Noted(standing=REFUND_STANDINGS[answer["status"]])
    standing = STANDINGS[answer["status"]]
    if step in _SETUPS and standing is Standing.TAKEN:
        standing = Standing.READY
    waits = standing is Standing.REQUIRES_ACTION
    changes: dict[str, Any] = {
        "gateway_id": answer["id"],
        "next_action_url": answer.get("next_action_url") if waits else None,
    }
    before_books = row.status in (CheckoutStatus.AUTHORISING, CheckoutStatus.REQUIRES_ACTION)
    if before_books:
        status = CheckoutStatus.REQUIRES_ACTION if waits else CheckoutStatus.AUTHORISING
        changes["status"] = status.value
    if any(getattr(row, name) != value for name, value in changes.items()):
        change_checkout(connection, row.id, changes)
    decline = answer.get("decline")
    code = decline.get("code") if isinstance(decline, Mapping) else None
    return Noted(standing=standing, decline=code)


def withdraw(connection: PgConnection, call_id: str, *, found: bool = False) -> CallOutcome:
    """Give a call up that nobody waits for any more, if surely nothing of it was applied: it fails, and no try that is
    still under way sends it. One in doubt stays as it is, unless it was `found` what became of it: then it is skipped,
    for nobody has to decide about it. The answer tells how it stands."""
    row = read_call(connection, call_id, lock=True)
    status = None
    if found and row.status == CallStatus.PARKED:
        status = CallStatus.SKIPPED
    elif row.first_sent_at is None and CallStatus(row.status) in (CallStatus.INTENT, CallStatus.PARKED):
        status = CallStatus.FAILED
    if status is not None:
        change_call(connection, row.id, {"status": status.value, "ended_at": row.now})
        resolve_parks_of_call(connection, row.id, "found" if found else "withdrawn")
    return outcome_of(connection, read_call(connection, call_id))
