"""Money that came in beside the gateways, over HTTP: recorded once for each reference, and returned by the bank."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.etags import IfGiven
from api.idempotency import Once, Reply
from api.problems import Problem
from api.security import Caller, require_scope
from api.v1.commanding import CommandOut, command_id, reply_of, seen_account, told
from domain.account import commands as verbs
from domain.catalog import AmountText
from operations.refunds.received import ReferenceUsed, give_back, receive
from operations.tariffs import Tariffs
from storage.database import PgConnection
from storage.payment_views import find_payment
from storage.whole.numbering import invoice_place

router = APIRouter(prefix="/v1", tags=["payments and refunds"])

Treasurer = Annotated[Caller, Depends(require_scope("payments:write"))]
Reference = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class PaymentIn(BaseModel):
    """Money that came in beside the gateways: a cheque, a bank transfer. For the invoices that are named, or the open
    ones, oldest due first; what is over becomes account credit, which the next invoices use first. amount: major units;
    default: all that is open. reference: the bank's or the cheque's, unique in the account. received_on: default
    today."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"amount": "12.90", "reference": "cheque 1041", "received_on": "2026-11-27"}
        },
    )

    amount: AmountText | None = None
    invoice_id: UUID | None = None
    invoice_ids: Annotated[list[UUID], Field(max_length=100)] = []
    reference: Reference | None = None
    received_on: date | None = None


class ReturnIn(BaseModel):
    """Why the bank took it back."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"reason": "cheque 1041 was not covered"}}
    )

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class ReceivedOut(CommandOut):
    """What recording a payment came to. warnings: what is to be looked at, as an invoice that a gateway is charging at
    the moment."""

    payment_id: UUID
    warnings: list[str]


@router.post(
    "/accounts/{account_id}/payments", summary="Record money that came in", response_model=ReceivedOut
)
async def pay(
    request: Request, caller: Treasurer, once: Once, seen: IfGiven, account_id: UUID, order: PaymentIn
) -> Response:
    """A cheque, a bank transfer. The same reference again is the same payment; with another content it is refused
    (409)."""
    tariffs: Tariffs = request.app.state.tariffs
    own = str(account_id)
    named = [*order.invoice_ids, *([] if order.invoice_id is None else [order.invoice_id])]

    def work(connection: PgConnection) -> Reply:
        seen_account(connection, caller, own, seen)
        now = datetime.now(UTC)
        step = verbs.Pay(
            at=now,
            do="pay",
            amount=order.amount,
            invoices=tuple(_place(connection, own, each) for each in named),
            reference=order.reference,
            received_on=order.received_on,
        )
        with told():
            try:
                received = receive(
                    connection,
                    tariffs.current(connection),
                    own,
                    command_id(once),
                    step,
                    [str(each) for each in named],
                    now,
                )
            except ReferenceUsed as error:
                text = str(error)
                raise Problem(409, "reference_used", f"{text[:1].upper()}{text[1:]}.") from None
        answer = reply_of(received.outcome, own)
        body = ReceivedOut(
            **answer.body.model_dump(), payment_id=UUID(received.payment_id), warnings=received.warnings
        )
        return answer._replace(body=body)

    return await once.answer(work)


@router.post("/payments/{payment_id}/return", summary="A payment was returned", response_model=CommandOut)
async def returned(
    request: Request, caller: Treasurer, once: Once, payment_id: UUID, order: ReturnIn
) -> Response:
    """A cheque bounced: what it settled is open again, account credit that it made is gone. For payments that came in
    by hand; what came through a gateway is told by that."""
    tariffs: Tariffs = request.app.state.tariffs

    def work(connection: PgConnection) -> Reply:
        found = find_payment(connection, caller.sight, str(payment_id))
        if found is None:
            raise Problem(404, "no_such_payment", f"There is no payment {payment_id}.")
        with told():
            outcome = give_back(
                connection,
                tariffs.current(connection),
                found["account_id"],
                found["no"],
                command_id(once),
                order.reason,
                datetime.now(UTC),
            )
        return reply_of(outcome, found["account_id"])

    return await once.answer(work)


def _place(connection: PgConnection, account_id: str, invoice_id: UUID) -> int:
    place = invoice_place(connection, account_id, str(invoice_id))
    if place is None:
        raise Problem(404, "no_such_invoice", f"The account has no invoice {invoice_id}.")
    return place
