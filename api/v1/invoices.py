"""Invoices over HTTP: find them, and look at one with its lines and taxes."""

from __future__ import annotations

from collections import defaultdict
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.database import in_snapshot
from api.paging import Paged, cut
from api.problems import Problem
from api.security import Caller, require_scope
from api.v1.accounts import no_such_account
from storage.account_records import find_account
from storage.database import PgConnection
from storage.invoice_views import find_invoice, list_invoices

router = APIRouter(prefix="/v1/invoices", tags=["invoices"])

Reader = Annotated[Caller, Depends(require_scope("invoices:read"))]
_HEAD: dict[str, Any] = {
    "id": "01a205bd-7c1e-7000-8000-000000000004",
    "reference": "INV-17",
    "mode": "live",
    "account_id": "01a205bd-7c1e-7000-8000-000000000001",
    "currency": "USD",
    "issued_on": "2026-12-01",
    "due_on": "2026-12-01",
    "status": "open",
    "subtotal": 1290,
    "tax": 106,
    "total": 1396,
    "balance": 1396,
    "bill_run_id": None,
    "posted_at": "2026-12-01T09:30:00Z",
}


class InvoiceHead(BaseModel):
    """An invoice; amounts are minor units of its currency. reference: series and number. balance: what is still to be
    paid."""

    model_config = ConfigDict(json_schema_extra={"example": _HEAD})

    id: UUID
    reference: str
    mode: str
    account_id: UUID
    currency: str
    issued_on: date
    due_on: date
    status: Literal["open", "paid", "void", "uncollectible"]
    subtotal: int
    tax: int
    total: int
    balance: int
    bill_run_id: UUID | None
    posted_at: AwareDatetime


class TaxOut(BaseModel):
    """A tax on a line. rate: a fraction, as 0.0825."""

    no: int
    jurisdiction: str | None
    rate: str | None
    amount: int


class LineOut(BaseModel):
    """A line, with its taxes; the period is from period_start to period_end (exclusive). parent_no: the line that a
    discount is on; reference: what a credit or discount refers to."""

    no: int
    kind: str
    parent_no: int | None
    subscription_id: UUID | None
    item_id: UUID | None
    plan: str | None
    plan_name: str | None
    price: str | None
    part: str | None
    period_start: date | None
    period_end: date | None
    quantity: str
    amount: int
    reference: str | None
    voided_at: AwareDatetime | None
    taxes: list[TaxOut]


class TaxSum(BaseModel):
    """What the invoice has of one tax. rate: a fraction, as 0.0825."""

    jurisdiction: str | None
    rate: str | None
    amount: int


class InvoiceOut(InvoiceHead):
    """An invoice with its lines: subtotal is the sum of their amounts, tax that of their taxes. taxes: by jurisdiction
    and rate."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **_HEAD,
                "lines": [
                    {
                        "no": 1,
                        "kind": "recurring",
                        "parent_no": None,
                        "subscription_id": "01a205bd-7c1e-7000-8000-000000000002",
                        "item_id": "01a205bd-7c1e-7000-8000-000000000003",
                        "plan": "daily-digital",
                        "plan_name": "Daily Digital",
                        "price": "base",
                        "part": None,
                        "period_start": "2026-12-01",
                        "period_end": "2027-01-01",
                        "quantity": "1",
                        "amount": 1290,
                        "reference": None,
                        "voided_at": None,
                        "taxes": [{"no": 2, "jurisdiction": "Illinois", "rate": "0.0825", "amount": 106}],
                    }
                ],
                "taxes": [{"jurisdiction": "Illinois", "rate": "0.0825", "amount": 106}],
            }
        }
    )

    lines: list[LineOut] = Field(description="in their order; taxes stand within the line that they are on")
    taxes: list[TaxSum]


class Invoices(BaseModel):
    """Invoices without their lines, newest first. next: pass it as `after` for what follows; null at the end."""

    items: list[InvoiceHead]
    next: str | None


@router.get("", summary="Invoices")
async def list_all(
    request: Request,
    caller: Reader,
    page: Paged,
    account_id: Annotated[UUID | None, Query(description="those of this account; 404 without it")] = None,
    status: Literal["open", "paid", "void", "uncollectible"] | None = None,
) -> Invoices:
    """Newest first, without lines."""
    after, account = page.after_id, str(account_id) if account_id else None

    def read(connection: PgConnection) -> list[dict[str, Any]]:
        if account and find_account(connection, caller.sight, account) is None:
            raise no_such_account(account)
        return list_invoices(
            connection, caller.sight, account_id=account, status=status, after=after, limit=page.limit + 1
        )

    found = await in_snapshot(request, read)
    shown, following = cut(found, page.limit, lambda row: row["id"])
    return Invoices(items=[InvoiceHead.model_validate(row) for row in shown], next=following)


@router.get("/{invoice_id}", summary="One invoice")
async def show(request: Request, caller: Reader, invoice_id: UUID) -> InvoiceOut:
    """With its lines and taxes."""
    found = await in_snapshot(
        request, lambda connection: find_invoice(connection, caller.sight, str(invoice_id))
    )
    if found is None:
        raise Problem(404, "no_such_invoice", f"There is no invoice {invoice_id}.")
    return _out(found)


def _out(invoice: dict[str, Any]) -> InvoiceOut:
    taxes: dict[int | None, list[dict[str, Any]]] = defaultdict(list)
    sums: dict[tuple[str | None, str | None], int] = defaultdict(int)
    for line in invoice["lines"]:
        if line["kind"] == "tax":
            name, rate = line["reference"], line["rate"]
            taxes[line["parent_no"]].append({**line, "jurisdiction": name, "rate": rate})
            sums[name, rate] += line["amount"]
    lines = [{**line, "taxes": taxes[line["no"]]} for line in invoice["lines"] if line["kind"] != "tax"]
    ordered = sorted(sums.items(), key=lambda tax: (tax[0][0] or "", Decimal(tax[0][1] or 0)))
    return InvoiceOut.model_validate(
        {
            **invoice,
            "lines": lines,
            "taxes": [
                {"jurisdiction": name, "rate": rate, "amount": amount} for (name, rate), amount in ordered
            ],
        }
    )
