"""Refunds that the rules promised, written down with the credit notes that promise them, before anything is sent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from uuid_utils import uuid7

from contracts.names import refund_id as workflow_id
from contracts.refund import RefundStatus
from domain.account.state import Promise
from operations.calls.prepare import CallOrder, prepare_call
from storage.database import PgConnection
from storage.events import NewEvent, append_events
from storage.parked import Park, park
from storage.refunds import NewRefund, Origin, insert_refund, origin_of, refund_key

REFUND = "refund"  # the kind of parked work
BY_HAND = "Pay it back by hand, then: masthead refund paid {id} --reason ... . It is not retried by itself."


def write_promises(
    connection: PgConnection,
    account_id: str,
    mode: str,
    currency: str,
    promises: Iterable[Promise],
    invoice_ids: Sequence[str],
    command: str | None,
    now: datetime,
) -> list[str]:
    """One refund for each payment among `promises`, with the intent of its call to the gateway, or parked for a person
    where the payment came through none; their ids. `invoice_ids` are the account's, in their order."""
    by_receipt: dict[int, list[Promise]] = {}
    for each in promises:
        by_receipt.setdefault(each.receipt, []).append(each)
    made = []
    for receipt, group in by_receipt.items():
        parts: dict[str, int] = {}
        for promise in group:
            for invoice, amount in promise.parts:
                own = invoice_ids[int(invoice) - 1]
                parts[own] = parts.get(own, 0) + amount
        origin = origin_of(connection, account_id, receipt)
        made.append(
            write_refund(
                connection,
                origin,
                account_id,
                mode,
                currency,
                group[0].reason,
                list(parts.items()),
                command,
                paid_at=now if group[0].paid else None,
            )
        )
    return made


def write_refund(
    connection: PgConnection,
    origin: Origin,
    account_id: str,
    mode: str,
    currency: str,
    reason: str,
    parts: Sequence[tuple[str, int]],
    command: str | None,
    *,
    paid_at: datetime | None = None,
) -> str:
    """The next refund of the payment `origin`, for the invoices of `parts`; its id. The account is locked. paid_at: the
    rules have paid it, and nobody else has to."""
    own, no = str(uuid7()), origin.refunds + 1
    amount = sum(part for _, part in parts)
    call_id = None
    if origin.connection is not None and paid_at is None:
        order = CallOrder(
            connection=origin.connection,
            method="payment.refund",
            key=refund_key(origin.payment_id, no),
            request={
                "reference": refund_key(origin.payment_id, no),
                "payment": origin.gateway_id,
                "amount": amount,
                "currency": currency,
            },
            mode=mode,
            account_id=account_id,
            workflow_id=workflow_id(own),
        )
        call_id = prepare_call(connection, order).ref.call_id
    status = RefundStatus.BY_HAND if call_id is None else RefundStatus.PENDING
    if paid_at is not None:
        status = RefundStatus.SUCCEEDED
    insert_refund(
        connection,
        NewRefund(
            own,
            mode,
            account_id,
            origin.payment_id,
            no,
            currency,
            amount,
            reason,
            status.value,
            parts,
            origin.connection,
            origin.gateway_id,
            call_id,
            command,
            "standing" if paid_at is None else "paid",
            paid_at,
        ),
    )
    if status is RefundStatus.BY_HAND:
        park_refund(
            connection,
            own,
            mode,
            account_id,
            "by_hand",
            f"{amount} minor units of {currency} are owed to the customer, and the payment came through no gateway",
            BY_HAND,
        )
    kind = "refund.promised" if paid_at is None else "refund.succeeded"
    append_events(connection, [NewEvent(kind, account_id, own, 1)])
    return own


def park_refund(
    connection: PgConnection, own: str, mode: str, account_id: str, kind: str, message: str, remedy: str
) -> None:
    """Let a person decide about a refund. `remedy` may name its {id}."""
    park(
        connection,
        Park(
            kind=REFUND,
            trace_key=workflow_id(own),
            error_kind=kind,
            message=message,
            remedy=remedy.format(id=own),
            mode=mode,
            account_id=account_id,
        ),
    )
