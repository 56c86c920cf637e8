"""The calls of a checkout to its payment gateway: written down before, noted after."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from contracts.checkout import CheckoutStatus, GatewayStep, Noted, Standing
from contracts.connector_call import CallOutcome, CallRef, CallStatus
from contracts.names import checkout_id as workflow_id
from operations.calls.outcome import outcome_of
from operations.calls.prepare import CallOrder, prepare_call
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
_SETUPS = frozenset((GatewayStep.SET_UP, GatewayStep.FIND_SETUP))


def reference_of(checkout_id: str) -> str:
    """What the gateway has a checkout's payment under."""
    return f"checkout:{checkout_id}"


def order_step(connection: PgConnection, checkout_id: str, step: GatewayStep, number: int) -> CallRef | None:
    """Write the intent of a call, or find the one that was written before; None where there is nothing to call about,
    as a payment to void that the gateway never had."""
    row = read_checkout(connection, checkout_id, lock=True)
    order = call_of_step(row, step, number)
    if order is None:
        return None
    status = STATUS_OF_STEP.get(step)
    if status is not None and row.status == CheckoutStatus.QUOTING:
        change_checkout(connection, row.id, {"status": status.value})
    return prepare_call(connection, order).ref


def call_of_step(row: CheckoutRow, step: GatewayStep, number: int = 1) -> CallOrder | None:
    """The call that `step` of a checkout is; None where there is nothing to call about."""
    request = _REQUESTS[step](row)
    if request is None or row.connection is None:
        return None
    suffix = f":{number}" if number > 1 or step in (GatewayStep.FIND, GatewayStep.FIND_SETUP) else ""
    return CallOrder(
        connection=row.connection,
        method=METHODS[step],
        key=f"checkout:{row.id}:{step.value}{suffix}",
        request=request,
        mode=row.mode,
        # One that is opened is not there yet.
        account_id=None if row.opens_account else row.account_id,
        workflow_id=workflow_id(row.id),
    )


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
    GatewayStep.FIND: lambda row: reference_of(row.id),
    GatewayStep.SET_UP: _set_up,
    GatewayStep.FIND_SETUP: lambda row: row.gateway_id,
}


def note(connection: PgConnection, checkout_id: str, step: GatewayStep, call_id: str) -> Noted:
    """Write down where the payment stands by the answer of a call. A call without an answer says nothing."""
    row = read_checkout(connection, checkout_id, lock=True)
    call = read_call(connection, call_id)
    answer = call.answer if isinstance(call.answer, Mapping) else None
    if answer is None:
        return Noted(standing=Standing.NOTHING)
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
