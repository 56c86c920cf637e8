"""Charges that wait for a customer who does not come: canceled at the gateway, so that nobody pays them later beside
another charge, and failed as one that needs the customer, so that dunning goes on.

The cancel is one call under one key. Nothing is given up before the gateway has said that it is canceled; where it says
instead that the customer was faster, the charge is paid.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from contracts.connector_call import CallStatus
from operations.calls.prepare import CallOrder, prepare_call
from operations.charges.looks import is_overdue
from operations.charges.outcome import (
    NOT_CONFIRMED,
    VOID,
    Came,
    ChargeStatus,
    Told,
    call_of,
    outcome,
    told_by,
    void_key,
)
from operations.charges.paying import COMPLETE
from operations.tariffs import Tariff
from storage.calls import change_call, read_call
from storage.charges import ChargeRow, charge_key, lock_payers, read_charge
from storage.database import PgConnection
from storage.parked import resolve_parks_of_call

# What a gateway answers that takes a cancel, and tells later how it ended.
_TAKEN = "processing"


def order_cancel(connection: PgConnection, charge_id: str, now: datetime) -> str | None:
    """Write down the call that cancels an overdue charge, or find it; its id. None where the charge waits no more, is
    not overdue, or what its customer brought back from the bank is being handed in."""
    charge = read_charge(connection, charge_id)
    lock_payers(connection, [charge.account_id])
    charge = read_charge(connection, charge_id)
    if not is_overdue(charge, now) or _being_handed_in(connection, charge):
        return None
    call = call_of(connection, charge)
    known = call.answer if call is not None and isinstance(call.answer, Mapping) else None
    if charge.gateway_id is None and known is None:
        return None  # what became of it is not known yet: it is asked for, as everything in doubt
    order = CallOrder(
        connection=charge.connection,
        method=VOID,
        key=void_key(charge),
        request={"payment": charge.gateway_id or "", "known": known},
        mode=charge.mode,
        account_id=charge.account_id,
    )
    return prepare_call(connection, order).ref.call_id


def canceled(
    connection: PgConnection, tariff: Tariff, charge_id: str, call_id: str, now: datetime
) -> Came | None:
    """Write down what the cancel came to; None where it has not told yet that nothing can be paid any more."""
    charge = read_charge(connection, charge_id)
    lock_payers(connection, [charge.account_id])
    charge = read_charge(connection, charge_id)
    call = read_call(connection, call_id)
    if call.status != CallStatus.SUCCEEDED or not isinstance(call.answer, Mapping):
        return None
    if call.answer["status"] == _TAKEN and charge.gateway_id is None:
        # Where the gateway has no payment yet, only what the customer brings back to us could make it one.
        return outcome(connection, tariff, charge.id, Told(ChargeStatus.FAILED, code=NOT_CONFIRMED), now)
    told = told_by(call.answer)
    return None if told.status.open else outcome(connection, tariff, charge.id, told, now)


def not_canceled(
    connection: PgConnection,
    tariff: Tariff,
    charge_id: str,
    call_id: str,
    payment: dict[str, Any],
    now: datetime,
) -> Came:
    """The gateway refused to cancel, and was asked how the charge stands: the customer was faster, or somebody else
    canceled it. Then nobody has to decide about the cancel any more."""
    charge = read_charge(connection, charge_id)
    lock_payers(connection, [charge.account_id])
    told = told_by(payment)
    call = read_call(connection, call_id, lock=True)
    if not told.status.open and call.status == CallStatus.PARKED:
        change_call(connection, call.id, {"status": CallStatus.SKIPPED.value, "ended_at": call.now})
        resolve_parks_of_call(connection, call.id, "found")
    return outcome(connection, tariff, charge_id, told, now)


def _being_handed_in(connection: PgConnection, charge: ChargeRow) -> bool:
    row = connection.execute(
        "select exists (select from connector_call where mode = %s and connection = %s and method = %s"
        " and key like %s and status not in ('succeeded', 'failed', 'skipped'))",
        (charge.mode, charge.connection, COMPLETE, f"{charge_key(charge.account_id, charge.no)}:%"),
    ).fetchone()
    return row is not None and bool(row[0])
