"""Documents that a tax engine has to know of: written with the invoice, recorded at the engine afterwards.

Each has one call at a time (`operations.calls`), whose intent is written in the same transaction, so that whatever
dies in between, the engine is told once. `operations.tax.settle` goes on from there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, NamedTuple

from contracts.names import tax_documents_id
from domain.tax_documents import EngineTax
from operations.calls.prepare import CallOrder, prepare_call
from storage.calls import find_call
from storage.database import PgConnection
from storage.parked import Park, park
from storage.tax_documents import TaxDocumentRow, document_of, insert_document

TAX = "tax"  # the kind of parked work
# As which method a step is called.
METHODS = {"commit": "tax.commit", "adjust": "tax.commit", "refund": "tax.refund", "void": "tax.void"}


@dataclass(frozen=True, slots=True)
class Taxed:
    """An invoice just posted whose tax an engine gave. code: its number as people read it, INV-123."""

    invoice_id: str
    account_id: str
    mode: str
    code: str
    tax: EngineTax


class GivenBack(NamedTuple):
    """Part of a line that a credit note gives back: the number of the invoice's line, and what is given back of it as
    positive minor units: the amount that tax was on, and the tax."""

    number: str
    amount: int
    tax: int


def record_tax_documents(connection: PgConnection, invoices: Iterable[Taxed]) -> None:
    """Write the documents of invoices into the transaction that posts them: `record_tax_document` for each."""
    for invoice in invoices:
        record_tax_document(connection, invoice)


def record_tax_document(connection: PgConnection, invoice: Taxed) -> None:
    """Write the document of an invoice into the transaction that posts it, with the intent of the call that records it
    at the engine afterwards.

    Before: tax the draft by `activities.tax_quotes.TaxQuotes.quote`, and within the transaction
    `domain.tax_documents.put_tax_on` it, finish and post it; its lines stay in the order in which they were quoted.
    Raises psycopg's UniqueViolation for an invoice that has its document.
    """
    tax = invoice.tax
    call_id = call_for(
        connection,
        step="commit",
        to=tax.connection,
        key=invoice.code,
        mode=invoice.mode,
        account_id=invoice.account_id,
        request=tax.request | {"code": invoice.code, "tax_date": tax.tax_date.isoformat()},
    )
    insert_document(
        connection,
        mode=invoice.mode,
        invoice_id=invoice.invoice_id,
        credit_note_id=None,
        account_id=invoice.account_id,
        to=tax.connection,
        code=invoice.code,
        source=tax.source.value,
        currency=tax.currency,
        total=tax.total,
        untold=tax.untold,
        tax_date=tax.tax_date,
        step="commit",
        call_id=call_id,
    )


def void_tax_document(connection: PgConnection, invoice_id: str) -> bool:
    """Take the document of a voided invoice back at its engine, in the transaction that voids the invoice. Whether
    there is anything to take back: an invoice may have no document, and one that is void stays so.

    A document that is still to be recorded is recorded first, so that the engine has seen what was issued.
    """
    document = document_of(connection, invoice_id, lock=True)
    if document is None or document.status in ("voided", "left_out"):
        return False
    if document.void_requested_at is None:
        connection.execute(
            "update tax_document set void_requested_at = now(), settled_at = null, due_at = now() where id = %s",
            (document.id,),
        )
    return True


def refund_tax_document(
    connection: PgConnection,
    invoice_id: str,
    *,
    credit_note_id: str,
    code: str,
    on: date,
    lines: Sequence[GivenBack] | None = None,
) -> bool:
    """Give tax back at the engine for a credit note on an invoice, in the transaction that posts the credit note.
    code: the credit note's number. lines: what it gives back; None for the whole invoice. Whether an engine has to
    know of it.

    It waits until the invoice's document is recorded. The whole is a refund at the engine; parts are a document of
    their own with negative amounts, taxed as of the invoice's tax date. What the engine cannot be told is parked: the
    credit note stands all the same. Raises psycopg's UniqueViolation for a credit note that has its document.
    """
    document = document_of(connection, invoice_id)
    if document is None or document.status == "left_out":
        return False
    step, total = "refund", -document.total
    request: dict[str, object] = {"code": code, "of": document.code, "on": on.isoformat()}
    if lines is not None:
        step, total = "commit", -sum(line.tax for line in lines)
        sold = _sold(connection, document)
        if why := _why_not(document, sold, lines):
            _park(connection, document, code, why)
            return False
        request = _negative(sold, lines)
        request |= {"code": code, "on": on.isoformat(), "tax_date": document.tax_date.isoformat()}
    elif why := _why_not(document, {}, ()):
        _park(connection, document, code, why)
        return False
    call_id = call_for(
        connection,
        step=step,
        to=document.connection,
        key=code,
        mode=document.mode,
        account_id=document.account_id,
        request=request,
    )
    insert_document(
        connection,
        mode=document.mode,
        invoice_id=invoice_id,
        credit_note_id=credit_note_id,
        account_id=document.account_id,
        to=document.connection,
        code=code,
        source=document.source,
        currency=document.currency,
        total=total,
        tax_date=document.tax_date,
        step=step,
        call_id=call_id,
    )
    return True


def call_for(
    connection: PgConnection,
    *,
    step: str,
    to: str,
    key: str,
    mode: str,
    account_id: str,
    request: object,
) -> str:
    """Write the intent of the call of a step; answers its id. The connection's one process follows it."""
    prepared = prepare_call(
        connection,
        CallOrder(
            connection=to,
            method=METHODS[step],
            key=f"{key}/as-charged" if step == "adjust" else key,
            request=request,
            mode=mode,
            account_id=account_id,
            workflow_id=tax_documents_id(to),
        ),
    )
    return prepared.ref.call_id


def _sold(connection: PgConnection, document: TaxDocumentRow) -> dict[str, Any] | None:
    """The order that the invoice was taxed by; None once it has been erased."""
    call = find_call(
        connection,
        mode=document.mode,
        to=document.connection,
        method=METHODS["commit"],
        key=document.code,
    )
    return None if call is None or call.request is None else dict(call.request)


def _why_not(document: TaxDocumentRow, sold: dict[str, Any] | None, lines: Sequence[GivenBack]) -> str | None:
    """What keeps the engine from being told of a credit note."""
    if document.status == "voided" or document.void_requested_at is not None:
        return (
            f"the tax of {document.code} was taken back when it was voided, and nothing is left to give back"
        )
    if sold is None:
        return f"where {document.code} was taxed has been erased"
    known = {line["number"] for line in sold.get("lines", ())}
    if unknown := [line.number for line in lines if line.number not in known]:
        return f"{document.connection} was not told of line {', '.join(unknown)} of {document.code}"
    return None


def _negative(sold: dict[str, Any] | None, lines: Sequence[GivenBack]) -> dict[str, object]:
    """The order with the lines given back, as negative amounts."""
    order = sold or {}
    known = {line["number"]: line for line in order["lines"]}
    back = [
        known[line.number] | {"amount": -line.amount, "charged": -line.tax, "inclusive": False}
        for line in lines
    ]
    return order | {"lines": back}


def _park(connection: PgConnection, document: TaxDocumentRow, code: str, why: str) -> None:
    park(
        connection,
        Park(
            kind=TAX,
            trace_key=f"{document.connection}/{code}",
            error_kind="tax_not_given_back",
            message=f"{document.connection} cannot be told of the credit note {code}: {why}",
            remedy=f"See whether its tax has to be given back at {document.connection}, and do it there by hand. Then: "
            "masthead errors skip ID.",
            mode=document.mode,
            account_id=document.account_id,
            connection=document.connection,
            method=METHODS["refund"],
        ),
    )
