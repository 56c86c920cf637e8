"""Invoices and credit notes as documents to be read and kept: HTML and PDF."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import HTMLResponse

from api.database import in_transaction
from api.problems import Problem
from api.security import Caller, require_scope
from documents.invoice_page import InvoicePages, file_name
from documents.shelf import TemplateError
from domain.invoice_document import DocumentDoesNotAdd, InvoiceDocument
from storage.database import PgConnection
from storage.invoice_documents import read_credit_note, read_invoice
from storage.sight import Sight

router = APIRouter(prefix="/v1", tags=["documents"])

T = TypeVar("T")

Reader = Annotated[Caller, Depends(require_scope("invoices:read"))]
Read = Callable[[PgConnection, str, Sight], InvoiceDocument | None]

_PDF: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/pdf": {}}, "description": "The document as PDF/A-2"}
}
# The page brings its own style, and nothing of it may call anything else.
_ALONE = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox"}


@router.get(
    "/invoices/{invoice_id}/document.html", response_class=HTMLResponse, summary="An invoice to be read"
)
async def invoice_page(request: Request, caller: Reader, invoice_id: UUID) -> HTMLResponse:
    """One HTML page in the account's language. 404 when there is no such invoice."""
    return await _page(request, caller, read_invoice, invoice_id)


@router.get("/invoices/{invoice_id}/document.pdf", responses=_PDF, summary="An invoice to be kept")
async def invoice_pdf(request: Request, caller: Reader, invoice_id: UUID) -> Response:
    """In the account's language. 404 when there is no such invoice."""
    return await _pdf(request, caller, read_invoice, invoice_id)


@router.get(
    "/credit-notes/{note_id}/document.html", response_class=HTMLResponse, summary="A credit note to be read"
)
async def credit_note_page(request: Request, caller: Reader, note_id: UUID) -> HTMLResponse:
    """One HTML page in the account's language. 404 when there is no such credit note."""
    return await _page(request, caller, read_credit_note, note_id)


@router.get("/credit-notes/{note_id}/document.pdf", responses=_PDF, summary="A credit note to be kept")
async def credit_note_pdf(request: Request, caller: Reader, note_id: UUID) -> Response:
    """In the account's language. 404 when there is no such credit note."""
    return await _pdf(request, caller, read_credit_note, note_id)


async def _page(request: Request, caller: Caller, read: Read, own: UUID) -> HTMLResponse:
    document = await _read(request, caller, read, own)
    pages: InvoicePages = request.app.state.invoice_pages
    return HTMLResponse(await _made(pages.html, document), headers=_ALONE)


async def _pdf(request: Request, caller: Caller, read: Read, own: UUID) -> Response:
    document = await _read(request, caller, read, own)
    pages: InvoicePages = request.app.state.invoice_pages
    named = {"Content-Disposition": f'inline; filename="{file_name(document, "pdf")}"'}
    return Response(await _made(pages.pdf, document), media_type="application/pdf", headers=named)


async def _read(request: Request, caller: Caller, read: Read, own: UUID) -> InvoiceDocument:
    try:
        found = await in_transaction(request, lambda connection: read(connection, str(own), caller.sight))
    except DocumentDoesNotAdd as error:
        raise Problem(500, "document_does_not_add", str(error)) from None
    if found is None:
        raise Problem(404, "no_such_document", f"There is no such document: {own}.")
    return found


async def _made(render: Callable[[InvoiceDocument], T], document: InvoiceDocument) -> T:
    try:
        return await asyncio.to_thread(render, document)
    except TemplateError as error:
        raise Problem(500, "template_fails", str(error)) from None
