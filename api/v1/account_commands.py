"""Commands on an account over HTTP: new subscriptions, credit, corrections of invoices."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.etags import IfGiven
from api.idempotency import Once
from api.problems import Problem
from api.security import Caller, require_scope
from api.v1.commanding import CommandOut, on_account
from domain.account import commands as verbs
from domain.account.commands import Step
from domain.catalog import AmountText, Code
from storage.database import PgConnection
from storage.whole.numbering import invoice_place

router = APIRouter(prefix="/v1/accounts/{account_id}", tags=["account commands"])

Subscriber = Annotated[Caller, Depends(require_scope("subscriptions:write"))]
Treasurer = Annotated[Caller, Depends(require_scope("payments:write"))]
Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=500),
    Field(description="as it stands on the document, for the customer"),
]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SubscribeIn(_In):
    """A subscription from today on. external_key: your own name for it, unique. invoice_now: its first bill is made at
    once. It is not paid by this: a checkout does both."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"external_key": "order-4711", "plan": "reader", "invoice_now": True}},
    )

    external_key: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
    plan: Code
    version: Annotated[int, Field(gt=0, le=32_767)] | None = Field(
        None, description="default: the one sold today"
    )
    quantity: Annotated[Decimal, Field(ge=1, le=1_000_000, multiple_of=1)] = Decimal(1)
    price_override: AmountText | None = Field(
        None, description="major units, for the plan's first recurring price"
    )
    add_ons: Annotated[list[Code], Field(max_length=20)] = []
    ends_on: date | None = None
    coupons: Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(max_length=20)] = []
    invoice_now: bool = False


class CreditIn(_In):
    """Account credit for goodwill, in major units."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"amount": "5.00"}})

    amount: AmountText
    expires_on: date | None = None


class CreditNoteIn(_In):
    """A credit note on an invoice: whole, over some lines, or of an amount (major units, tax included), with its tax.
    It takes off what is open. What is over becomes account credit, or with `to: refund` goes back the way it was paid
    (`GET /v1/refunds`), as far as it was."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "invoice_id": "01a205bd-7c1e-7000-8000-000000000001",
                "amount": "2.00",
                "reason": "late delivery",
            }
        },
    )

    invoice_id: UUID
    lines: Annotated[list[Annotated[int, Field(gt=0, le=1000)]], Field(max_length=100)] = Field(
        [], description="places of charges on it, from 1; default: all"
    )
    amount: AmountText | None = None
    to: Literal["account_credit", "refund"] = "account_credit"
    reason: Reason = "credit"


class OfInvoiceIn(_In):
    """The invoice that it is about."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"invoice_id": "01a205bd-7c1e-7000-8000-000000000001", "reason": "made in error"}
        },
    )

    invoice_id: UUID
    reason: Reason


class WriteOffIn(_In):
    """What is open given up: of one invoice, or of all. amount: major units; default: all that is open."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {}})

    invoice_id: UUID | None = None
    amount: AmountText | None = None


class CycleDayIn(_In):
    """Another day of the month for billing; what is charged already stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"day": 15}})

    day: Annotated[int, Field(ge=1, le=31)]


@router.post("/subscriptions", status_code=201, summary="Subscribe", response_model=CommandOut)
async def subscribe(
    request: Request, caller: Subscriber, once: Once, seen: IfGiven, account_id: UUID, order: SubscribeIn
) -> Response:
    """Without a checkout: for orders that came in elsewhere."""
    if caller.account_id is not None:
        raise Problem(
            403,
            "not_for_account_keys",
            "A key of one account does not subscribe without paying.",
            remedy="Use a checkout: it does both.",
        )
    fields = order.model_dump(exclude={"invoice_now", "external_key"})

    def step(connection: PgConnection, today: date) -> Step:
        taken = connection.execute(
            "select 1 from subscription s join account a on a.mode = s.mode where a.id = %s and s.external_key = %s",
            (str(account_id), order.external_key),
        ).fetchone()
        if taken:
            raise Problem(
                409,
                "subscription_exists",
                "There is a subscription with this external_key.",
                remedy="Choose another.",
            )
        return verbs.Subscribe(at=today, do="subscribe", name=order.external_key, **fields)

    return await on_account(
        request, caller, once, seen, account_id, step, invoice_now=order.invoice_now, status=201
    )


@router.post("/credit", summary="Grant account credit", response_model=CommandOut)
async def grant(
    request: Request, caller: Treasurer, once: Once, seen: IfGiven, account_id: UUID, order: CreditIn
) -> Response:
    """For goodwill; used by the next invoices."""
    return await on_account(
        request,
        caller,
        once,
        seen,
        account_id,
        lambda connection, today: verbs.GrantCredit(
            at=today, do="grant_credit", amount=order.amount, expires_on=order.expires_on
        ),
    )


@router.post("/credit-notes", summary="Write a credit note", response_model=CommandOut)
async def credit_note(
    request: Request, caller: Treasurer, once: Once, seen: IfGiven, account_id: UUID, order: CreditNoteIn
) -> Response:
    """A finalised invoice never changes: this corrects it."""

    def step(connection: PgConnection, today: date) -> Step:
        return verbs.WriteCreditNote(
            at=today,
            do="credit_note",
            invoice=_invoice(connection, account_id, order.invoice_id) or 0,
            lines=tuple(order.lines),
            amount=order.amount,
            to=order.to,
            reason=order.reason,
        )

    return await on_account(request, caller, once, seen, account_id, step)


@router.post("/voids", summary="Take an open invoice back whole", response_model=CommandOut)
async def void(
    request: Request, caller: Treasurer, once: Once, seen: IfGiven, account_id: UUID, order: OfInvoiceIn
) -> Response:
    """What it charged last can be billed again; nothing may be paid on it."""

    def step(connection: PgConnection, today: date) -> Step:
        place = _invoice(connection, account_id, order.invoice_id) or 0
        return verbs.VoidInvoice(at=today, do="void", invoice=place, reason=order.reason)

    return await on_account(request, caller, once, seen, account_id, step)


@router.post("/write-offs", summary="Write off what is open", response_model=CommandOut)
async def write_off(
    request: Request, caller: Treasurer, once: Once, seen: IfGiven, account_id: UUID, order: WriteOffIn
) -> Response:
    """As uncollectible."""

    def step(connection: PgConnection, today: date) -> Step:
        place = _invoice(connection, account_id, order.invoice_id)
        return verbs.WriteOff(at=today, do="write_off", invoice=place, amount=order.amount)

    return await on_account(request, caller, once, seen, account_id, step)


@router.post("/bill-cycle-day", summary="Move the day of billing", response_model=CommandOut)
async def bill_cycle_day(
    request: Request, caller: Subscriber, once: Once, seen: IfGiven, account_id: UUID, order: CycleDayIn
) -> Response:
    """A stub leads to the first new day."""
    return await on_account(
        request,
        caller,
        once,
        seen,
        account_id,
        lambda connection, today: verbs.SetBillCycleDay(at=today, do="set_bill_cycle_day", day=order.day),
    )


def _invoice(connection: PgConnection, account_id: UUID, invoice_id: UUID | None) -> int | None:
    if invoice_id is None:
        return None
    place = invoice_place(connection, str(account_id), str(invoice_id))
    if place is None:
        raise Problem(404, "no_such_invoice", f"The account has no invoice {invoice_id}.")
    return place
