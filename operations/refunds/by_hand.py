"""What a person decides about a refund that no gateway pays: paid otherwise, tried again, or kept as account credit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from contracts.names import refund_id as workflow_id
from contracts.refund import RefundStatus
from operations.accounts.unit import Changing, changing
from operations.audit import append_action
from operations.refunds.promising import REFUND, write_refund
from operations.refunds.settling import Told, release, settle
from operations.tariffs import Tariff
from storage.database import PgConnection
from storage.events import NewEvent, append_events
from storage.refunds import RefundRow, change_refund, origin_of, read_refund


class CannotDecide(ValueError):
    """The refund is not in a state in which that can be decided; the message says in which it is."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Who decides, and why."""

    actor: str
    reason: str


def paid(
    connection: PgConnection,
    tariff: Tariff,
    refund_id: str,
    decision: Decision,
    now: datetime,
    *,
    at_gateway: bool = False,
) -> RefundRow:
    """A person has paid it back: from the bank, or seen that the gateway did (at_gateway). Once. Raises CannotDecide,
    NoSuchRefund."""
    row = read_refund(connection, refund_id)
    if row.promise == "paid":
        return row
    waits = row.status in (RefundStatus.BY_HAND, RefundStatus.FAILED)
    if row.promise != "standing" or not (waits or (at_gateway and row.status == RefundStatus.PROCESSING)):
        raise CannotDecide(_stands(row, "paid by hand"))
    told = Told(RefundStatus.SUCCEEDED, by_hand=not at_gateway)
    after = settle(connection, tariff, row.id, told, now)
    _decided(connection, row, "paid", decision)
    return after


def failed(
    connection: PgConnection, tariff: Tariff, refund_id: str, decision: Decision, now: datetime
) -> RefundRow:
    """A person has seen at the gateway that it did not pay. What follows is by policy. Raises CannotDecide."""
    row = read_refund(connection, refund_id)
    if row.status == RefundStatus.FAILED:
        return row
    if row.status != RefundStatus.PROCESSING:
        raise CannotDecide(_stands(row, "called failed"))
    append_action(
        connection,
        key=f"refund/{row.id}/failed",
        actor=decision.actor,
        action="refund.failed",
        subject=row.id,
        reason=decision.reason,
    )
    _resolve(connection, row, "failed")
    return settle(connection, tariff, row.id, Told(RefundStatus.FAILED, code="seen_by_a_person"), now)


def credit(
    connection: PgConnection, tariff: Tariff, refund_id: str, decision: Decision, now: datetime
) -> RefundRow:
    """The customer keeps it as account credit. Once. Raises CannotDecide."""

    def do(unit: Changing, row: RefundRow) -> None:
        release(unit, row)
        ended = {"status": RefundStatus.FAILED.value, "ended_at": now} if row.ended_at is None else {}
        change_refund(connection, row.id, {"promise": "credited", **ended})

    return _instead(connection, tariff, refund_id, decision, now, "credited", do)


def retry(
    connection: PgConnection, tariff: Tariff, refund_id: str, decision: Decision, now: datetime
) -> RefundRow:
    """The gateway is asked anew, by another refund under a key of its own, which is answered. Raises CannotDecide."""
    made: list[str] = []

    def do(unit: Changing, row: RefundRow) -> None:
        if row.connection is None:
            raise CannotDecide(
                f"payment {row.payment_no} came through no gateway, so none can pay refund {row.id}"
            )
        change_refund(connection, row.id, {"promise": "renewed"})
        origin = origin_of(connection, row.account_id, row.payment_no)
        made.append(
            write_refund(
                connection, origin, row.account_id, row.mode, row.currency, row.reason, row.parts, None
            )
        )

    row = _instead(connection, tariff, refund_id, decision, now, "renewed", do)
    return read_refund(connection, made[0]) if made else row


def _instead(
    connection: PgConnection,
    tariff: Tariff,
    refund_id: str,
    decision: Decision,
    now: datetime,
    promise: str,
    do: Callable[[Changing, RefundRow], None],
) -> RefundRow:
    seen = read_refund(connection, refund_id)
    with changing(connection, tariff, seen.account_id, now) as unit:
        row = read_refund(connection, refund_id, lock=True)
        if row.promise == promise:
            return row
        if row.promise != "standing" or row.status not in (RefundStatus.FAILED, RefundStatus.BY_HAND):
            raise CannotDecide(_stands(row, promise))
        do(unit, row)
    _decided(connection, row, promise, decision)
    return read_refund(connection, refund_id)


def _decided(connection: PgConnection, row: RefundRow, what: str, decision: Decision) -> None:
    append_action(
        connection,
        key=f"refund/{row.id}/{what}",
        actor=decision.actor,
        action=f"refund.{what}",
        subject=row.id,
        reason=decision.reason,
    )
    _resolve(connection, row, what)
    append_events(connection, [NewEvent(f"refund.{what}", row.account_id, row.id, row.no + 2)])


def _resolve(connection: PgConnection, row: RefundRow, what: str) -> None:
    connection.execute(
        "update parked set resolved_at = now(), resolution = %s"
        " where kind = %s and trace_key = %s and mode = %s and resolved_at is null",
        (what, REFUND, workflow_id(row.id), row.mode),
    )


def _stands(row: RefundRow, wanted: str) -> str:
    return (
        f"refund {row.id} cannot be {wanted}: it is {row.status}, and what it promised is {row.promise}; only what "
        "failed, or is paid by hand, and is still promised can be decided about"
    )
