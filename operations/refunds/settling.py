"""Where a refund stands, from whoever tells it: the gateway's answer, its webhook, a person."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from contracts.connector_call import CallRef, CallStatus
from contracts.refund import RefundStanding, RefundStatus
from domain.account import refunding
from domain.account.state import AccountState
from domain.received_payments import Application
from operations.accounts.unit import Changing, changing
from operations.calls.prepare import ref_of
from operations.refunds.promising import park_refund
from operations.tariffs import Tariff
from storage.calls import change_call, read_call
from storage.database import PgConnection
from storage.events import NewEvent, append_events
from storage.parked import resolve_parks_of_call
from storage.refunds import RefundRow, change_refund, read_refund

FAILED = (
    "Try again: masthead refund retry {id} --reason ... . Pay it another way: masthead refund paid {id} --reason ... . "
    "Let the customer keep it as account credit: masthead refund credit {id} --reason ..."
)
LATE = (
    "Look at the gateway what became of it. It is settled when its webhook comes; else: masthead refund paid {id} "
    "--at-gateway --reason ... or masthead refund failed {id} --reason ..."
)
OTHERWISE = (
    "The gateway has paid a refund that was taken for failed here: compare both, and correct by hand what the customer "
    "got twice. Then: masthead errors skip ID."
)


@dataclass(frozen=True, slots=True)
class Told:
    """What somebody tells of a refund. gateway_id: what the gateway calls it; code: why it failed, in its words.
    by_hand: a person paid it, from the bank."""

    status: RefundStatus
    gateway_id: str | None = None
    code: str | None = None
    by_hand: bool = False


def begin(connection: PgConnection, refund_id: str, now: datetime) -> RefundStanding:
    """Its process begins or goes on: where it stands, and what has to be asked of the gateway."""
    row = read_refund(connection, refund_id, lock=True)
    if row.begun_at is None:
        change_refund(connection, row.id, {"begun_at": now})
    asks = row.status == RefundStatus.PENDING and row.call_id is not None
    return standing(row, ref_of(read_call(connection, str(row.call_id))) if asks else None)


def standing(row: RefundRow, call: CallRef | None = None) -> RefundStanding:
    """The row as processes see it."""
    return RefundStanding(status=RefundStatus(row.status), promise=row.promise, call=call)


def note_answer(connection: PgConnection, tariff: Tariff, refund_id: str, now: datetime) -> RefundStanding:
    """What the call came to. A refusal for good is a refund that failed; a person's word counts as the gateway's."""
    row = read_refund(connection, refund_id)
    if row.status != RefundStatus.PENDING or row.call_id is None:
        return standing(row)
    call = read_call(connection, row.call_id)
    status = CallStatus(call.status)
    if status is CallStatus.PARKED and call.error_kind == "rejected" and call.first_sent_at is None:
        told = Told(RefundStatus.FAILED, code=call.error_code or "rejected")
    elif status is CallStatus.SUCCEEDED:
        told = _answered(call.answer)
    elif status is CallStatus.SKIPPED:
        told = Told(RefundStatus.SUCCEEDED)
    elif status is CallStatus.FAILED:
        told = Told(RefundStatus.FAILED, code=call.error_code)
    else:
        return standing(row)
    return standing(settle(connection, tariff, refund_id, told, now))


def look(connection: PgConnection, refund_id: str, *, late: bool) -> RefundStanding:
    """Where it stands. late: where the gateway has not told by now how it ended, a person is asked to look."""
    row = read_refund(connection, refund_id)
    if late and row.status == RefundStatus.PROCESSING and row.park_id is None:
        park_refund(
            connection,
            row.id,
            row.mode,
            row.account_id,
            "no_outcome",
            f"{row.connection} took {row.key} and has not told how it ended",
            LATE,
        )
    return standing(row)


def _answered(answer: Any) -> Told:
    fields: Mapping[str, Any] = answer if isinstance(answer, Mapping) else {}
    decline = fields.get("decline")
    code = decline.get("code") if isinstance(decline, Mapping) else None
    status = {"succeeded": RefundStatus.SUCCEEDED, "failed": RefundStatus.FAILED}.get(
        str(fields.get("status")), RefundStatus.PROCESSING
    )
    return Told(status, gateway_id=fields.get("id"), code=code)


def settle(connection: PgConnection, tariff: Tariff, refund_id: str, told: Told, now: datetime) -> RefundRow:
    """Write down what was told, with what follows for the books; the row then. What is known already, or was overtaken,
    changes nothing: of what has succeeded and failed, in whatever order that was told, it has failed."""
    seen = read_refund(connection, refund_id)
    if not _is_new(seen, told):
        return seen
    with changing(connection, tariff, seen.account_id, now) as unit:
        row = read_refund(connection, refund_id, lock=True)
        changes = _follow(connection, unit, row, told, now) if _is_new(row, told) else {}
    if changes:
        change_refund(connection, row.id, changes)
        if changes.get("status") in (RefundStatus.SUCCEEDED, RefundStatus.FAILED):
            _forget_the_call(connection, row, told.status)
            append_events(
                connection, [NewEvent(f"refund.{changes['status']}", row.account_id, row.id, row.no + 1)]
            )
    return read_refund(connection, refund_id)


def _is_new(row: RefundRow, told: Told) -> bool:
    if row.status == RefundStatus.FAILED:
        by_gateway = told.gateway_id is not None and told.gateway_id == row.gateway_id
        return told.status is RefundStatus.SUCCEEDED and (told.by_hand or not by_gateway)
    if row.status == RefundStatus.SUCCEEDED:
        return told.status is RefundStatus.FAILED
    if told.status is RefundStatus.PROCESSING:
        return row.status == RefundStatus.PENDING
    return told.status is not RefundStatus.PENDING


def _follow(
    connection: PgConnection, unit: Changing, row: RefundRow, told: Told, now: datetime
) -> dict[str, Any]:
    account = unit.account
    known = {} if told.gateway_id is None else {"gateway_id": told.gateway_id}
    if told.status is RefundStatus.PROCESSING:
        return {"status": RefundStatus.PROCESSING.value, **known}
    if told.status is RefundStatus.FAILED:
        if row.status == RefundStatus.SUCCEEDED:
            refunding.came_back(account, row.amount, row.key, "clearing" if row.connection else "cash")
        return {**_failed(connection, unit, row, told), "ended_at": now, **known}
    if row.promise != "standing":
        park_refund(
            connection,
            row.id,
            row.mode,
            row.account_id,
            "told_otherwise",
            f"{row.key} failed here, and the gateway has paid it",
            OTHERWISE,
        )
        return known
    refunding.paid(account, row.amount, row.key, "cash" if told.by_hand else "clearing")
    return {
        "status": RefundStatus.SUCCEEDED.value,
        "promise": "paid",
        "code": None,
        "ended_at": now,
        **known,
    }


def _failed(connection: PgConnection, unit: Changing, row: RefundRow, told: Told) -> dict[str, Any]:
    """What becomes, by policy, of a promise that the gateway could not keep."""
    changes: dict[str, Any] = {"status": RefundStatus.FAILED.value, "promise": "standing", "code": told.code}
    if unit.account.policy.refunds.failed == "account_credit":
        release(unit, row)
        return changes | {"promise": "credited"}
    park_refund(
        connection,
        row.id,
        row.mode,
        row.account_id,
        "refund_failed",
        f"{row.key} of {row.amount} minor units failed ({told.code or 'no reason given'}); it is still promised",
        FAILED,
    )
    return changes


def release(unit: Changing, row: RefundRow) -> None:
    """What was promised becomes account credit."""
    account: AccountState = unit.account
    numbers = {own: str(number) for number, own in enumerate(unit.rows.invoice_ids, 1)}
    parts = [Application(numbers[own], amount) for own, amount in row.parts]
    refunding.release(account, account.receipts[row.payment_no - 1], row.amount, parts, row.key)


def _forget_the_call(connection: PgConnection, row: RefundRow, ended: RefundStatus) -> None:
    """It is known how the refund ended: nobody has to find out what became of its call, and no try sends it again."""
    if row.call_id is None:
        return
    call = read_call(connection, row.call_id, lock=True)
    if not CallStatus(call.status).settled:
        status = CallStatus.FAILED if ended is RefundStatus.FAILED else CallStatus.SKIPPED
        change_call(connection, call.id, {"status": status.value, "ended_at": call.now})
        resolve_parks_of_call(connection, call.id, "found")
