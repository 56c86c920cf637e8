"""From what came of a document's call to what is to be done next: each is one short transaction.

commit ──> committed                     the engine recorded what was charged
   └─────> adjust ──> committed          it recorded another tax, and takes the one that was charged
              └─────> mismatch           it does not: parked, with both totals
refund ──> committed                     for a credit note
then, where the invoice was voided: void ──> voided
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from contracts.connector_call import CallRef, CallStatus
from domain.money import format_minor
from domain.tax_documents import charged_as
from operations.calls.prepare import ref_of
from operations.tax.documents import METHODS, TAX, call_for
from storage.calls import CallRow, change_call, read_call
from storage.database import PgConnection
from storage.parked import Park, park
from storage.tax_documents import (
    TaxDocumentRow,
    change_document,
    document_of,
    lock_document,
    postpone,
    resolve_tax_park,
    taxes_by_line,
)

# How soon a document is looked at again that waits for a person, or for another document.
SOON, LATE = timedelta(minutes=1), timedelta(minutes=30)


def advance(connection: PgConnection, document_id: str, *, records_charged: bool) -> CallRef | None:
    """Take in what came of the document's call. Answers the call to make now; None when there is none: it is settled,
    or waits, and is looked at again at its time.

    records_charged: whether the engine records the tax that was charged in place of its own.
    """
    document = lock_document(connection, document_id)
    if document.settled_at is not None:
        return None
    call = read_call(connection, document.call_id, lock=True)
    status = CallStatus(call.status)
    if status is CallStatus.PARKED:
        _wait(connection, document)
        return None
    if not status.settled:
        return _when_possible(connection, document, call)
    if status is not CallStatus.SUCCEEDED:
        # A person goes on without it. A void that was given up leaves the document as it was recorded.
        _settle(connection, document, document.status if document.step == "void" else "left_out")
        return None
    if document.step == "void":
        _settle(connection, document, "voided")
        return None
    document = document._replace(recorded_total=int(call.answer["total"]))
    adjustable = document.step == "commit" and document.credit_note_id is None and records_charged
    if document.recorded_total != document.total and adjustable:
        adjusted = _adjusted(connection, document, call)
        if adjusted is not None:
            return adjusted
    state = "committed" if document.recorded_total == document.total else "mismatch"
    if document.void_requested_at is not None:
        return _voided(connection, document, state)
    if state == "mismatch":
        _park_mismatch(connection, document)
    _settle(connection, document, state)
    return None


def _when_possible(connection: PgConnection, document: TaxDocumentRow, call: CallRow) -> CallRef | None:
    """The call, unless it refunds a document that is not recorded yet, or never will be."""
    if document.credit_note_id is None:
        return ref_of(call)
    refunded = document_of(connection, document.invoice_id)
    if refunded is None or refunded.status in ("left_out", "voided"):
        change_call(connection, call.id, {"status": CallStatus.SKIPPED.value, "ended_at": call.now})
        _settle(connection, document, "left_out")
        return None
    if refunded.status == "pending":
        _wait(connection, document)
        return None
    return ref_of(call)


def _adjusted(connection: PgConnection, document: TaxDocumentRow, call: CallRow) -> CallRef | None:
    """The call that has the tax recorded as it was charged; None where what was sent has been erased."""
    if call.request is None:
        return None
    taxes = taxes_by_line(connection, document.invoice_id)
    return _next(connection, document, "adjust", charged_as(call.request, taxes), status="pending")


def _voided(connection: PgConnection, document: TaxDocumentRow, state: str) -> CallRef:
    return _next(connection, document, "void", {"code": document.code, "reason": "voided"}, status=state)


def _next(
    connection: PgConnection, document: TaxDocumentRow, step: str, request: object, *, status: str
) -> CallRef:
    call_id = call_for(
        connection,
        step=step,
        to=document.connection,
        key=document.code,
        mode=document.mode,
        account_id=document.account_id,
        request=request,
    )
    changes = {"step": step, "call_id": call_id, "status": status, "recorded_total": document.recorded_total}
    change_document(connection, document.id, changes)
    return ref_of(read_call(connection, call_id))


def set_aside(connection: PgConnection, document_id: str, why: str) -> None:
    """Show a document that could not be worked on, and look at it again much later. why: without personal data."""
    document = lock_document(connection, document_id)
    park(
        connection,
        Park(
            kind=TAX,
            trace_key=_trace(document),
            error_kind="tax_document_failed",
            message=f"the tax document {document.code} of {document.connection} could not be worked on: {why}",
            remedy="It is tried again every half hour. If it goes on, correct the code where the message says.",
            mode=document.mode,
            account_id=document.account_id,
            connection=document.connection,
            method=METHODS[document.step],
        ),
    )
    postpone(connection, document.id, LATE)


def _trace(document: TaxDocumentRow) -> str:
    return f"{document.connection}/{document.code}"


def _settle(connection: PgConnection, document: TaxDocumentRow, status: str) -> None:
    if status != "mismatch":
        resolve_tax_park(connection, _trace(document), status)
    change_document(
        connection,
        document.id,
        {"status": status, "recorded_total": document.recorded_total, "settled_at": datetime.now(UTC)},
    )


def _wait(connection: PgConnection, document: TaxDocumentRow) -> None:
    """Look again after a minute, and ever more rarely: what a person decides is told, and this is for the lost word."""
    age = datetime.now(UTC) - document.created_at
    postpone(connection, document.id, min(max(age / 4, SOON), LATE))


def _park_mismatch(connection: PgConnection, document: TaxDocumentRow) -> None:
    charged = format_minor(document.total, document.currency)
    recorded = format_minor(document.recorded_total or 0, document.currency)
    park(
        connection,
        Park(
            kind=TAX,
            trace_key=_trace(document),
            error_kind="tax_mismatch",
            message=f"{document.code} was charged with {charged} of tax, and {document.connection} recorded {recorded}",
            remedy=(
                f"Find out why they differ, and correct {document.code} at {document.connection} by hand, or void the "
                "invoice and bill anew. Then: masthead errors skip ID."
            ),
            mode=document.mode,
            account_id=document.account_id,
            connection=document.connection,
            method="tax.commit",
            fields={"charged": charged, "recorded": recorded},
        ),
    )
