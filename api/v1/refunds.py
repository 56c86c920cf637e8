"""Payments and their refunds over HTTP: money that came in, and money that goes back."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, StringConstraints
from temporalio.service import RPCError

from api.database import in_transaction
from api.idempotency import Once
from api.paging import Paged, bad_cursor, cut, read_cursor
from api.problems import Problem
from api.security import Caller, require_scope
from api.v1.accounts import no_such_account
from api.v1.commanding import command_id, told
from contracts.refund import RefundInput, RefundStatus
from domain.catalog import AmountText
from operations.refunds.asking import refund_payment
from operations.refunds.by_hand import CannotDecide, Decision, credit, failed, paid, retry
from operations.tariffs import Tariffs
from storage.account_records import find_account
from storage.database import PgConnection
from storage.payment_views import find_payment, list_payments
from storage.refunds import RefundRow, find_refund, list_refunds
from workflows.refund_starts import start_refund

log = logging.getLogger("masthead.refunds")

router = APIRouter(prefix="/v1", tags=["payments and refunds"])

Reader = Annotated[Caller, Depends(require_scope("payments:read"))]
Treasurer = Annotated[Caller, Depends(require_scope("payments:write"))]
Wait = Annotated[float, Query(ge=0, le=20, description="seconds to wait for the outcome")]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
LOOK_SECONDS = (0.02, 0.05, 0.1)  # between two looks at the row; the last pause holds for all that follow


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RefundIn(_In):
    """How much goes back, in major units; left out: all that remains. The invoices that it paid are credited by as much
    first, with their tax. reason: as it stands on the credit notes, for the customer."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"amount": "5.00", "reason": "late delivery"}}
    )

    amount: AmountText | None = None
    reason: Reason = "refund"


class DecisionIn(_In):
    """What a person decides about a refund that is not paid. paid: it was paid by hand (at_gateway: the gateway's own
    page says that it paid); failed: the gateway's own page says that it did not; retry: the gateway is asked anew;
    credit: the customer keeps it as account credit."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"action": "credit", "reason": "the card is closed"}},
    )

    action: Literal["paid", "failed", "retry", "credit"]
    reason: Reason
    at_gateway: bool = False


class RefundOut(BaseModel):
    """A refund; amount in minor units. promise: what became of the money: standing (promised, not paid yet), paid,
    credited (the customer keeps it as account credit), renewed (another refund took it over). stuck: a person has to
    decide something. code: why it failed, as the gateway said."""

    id: UUID
    payment_id: UUID
    account_id: UUID
    mode: str
    status: RefundStatus
    promise: Literal["standing", "paid", "credited", "renewed"]
    stuck: bool
    currency: str
    amount: int
    reason: str
    connection: str | None
    gateway_id: str | None
    code: str | None
    created_at: datetime
    ended_at: datetime | None


class RefundsOut(BaseModel):
    """Refunds, newest first."""

    items: list[RefundOut]
    next: str | None


class AppliedOut(BaseModel):
    """What of a payment settled an invoice, minor units."""

    invoice_id: UUID
    amount: int


class PaymentOut(BaseModel):
    """A payment; amounts in minor units. refunded: asked for, confirmed or not. reference, received_on: of one that
    came in beside the gateways; returned_on: when it bounced."""

    id: UUID
    account_id: UUID
    mode: str
    no: int
    made_on: date
    currency: str
    amount: int
    status: str
    refunded: int
    code: str | None
    reference: str | None
    received_on: date | None
    returned_on: date | None
    applied: list[AppliedOut]


class PaymentsOut(BaseModel):
    """An account's payments, the latest first."""

    items: list[PaymentOut]
    next: str | None


@router.get("/accounts/{account_id}/payments", summary="Payments of an account")
async def payments(request: Request, caller: Reader, account_id: UUID, wanted: Paged) -> PaymentsOut:
    """Those that failed, too."""
    own = str(account_id)
    after = None
    if wanted.after is not None:
        (text,) = read_cursor(wanted.after, 1)
        if not text.isdecimal() or len(text) > 9:
            raise bad_cursor()
        after = int(text)

    def read(connection: PgConnection) -> list[dict[str, Any]]:
        if find_account(connection, caller.sight, own) is None:
            raise no_such_account(own)
        return list_payments(connection, caller.sight, own, after=after, limit=wanted.limit + 1)

    items, following = cut(await in_transaction(request, read), wanted.limit, lambda row: row["no"])
    return PaymentsOut(items=[PaymentOut.model_validate(each) for each in items], next=following)


@router.get("/payments/{payment_id}", summary="One payment")
async def payment(request: Request, caller: Reader, payment_id: UUID) -> PaymentOut:
    """With what it settled."""
    return PaymentOut.model_validate(await _payment(request, caller, payment_id))


@router.post(
    "/payments/{payment_id}/refunds",
    status_code=201,
    responses={202: {"model": RefundOut, "description": "It goes on, or a person has to pay it"}},
    summary="Refund a payment",
)
async def refund(
    request: Request,
    response: Response,
    caller: Treasurer,
    once: Once,
    payment_id: UUID,
    order: RefundIn,
    wait: Wait = 5.0,
) -> RefundOut:
    """Waits for the outcome for a while: 201 with how it ended (`promise` says where the money is), 202 with a
    Location while it goes on: an outcome may take days. The credit notes are written at once. More than remains of the
    payment is refused (409). The same key again is the same refund."""
    command = command_id(once)
    tariffs: Tariffs = request.app.state.tariffs
    found = await _payment(request, caller, payment_id)

    def ask(connection: PgConnection) -> RefundRow:
        with told():
            return refund_payment(
                connection,
                tariffs.current(connection),
                found["account_id"],
                found["no"],
                command,
                amount=order.amount,
                reason=order.reason,
                now=datetime.now(UTC),
            )

    row = await in_transaction(request, ask)
    row = await _outcome(request, caller, await _started(request, row), wait)
    return _answered(row, response)


@router.get("/refunds", summary="Refunds")
async def refunds(
    request: Request,
    caller: Reader,
    wanted: Paged,
    status: Annotated[RefundStatus | None, Query()] = None,
    standing: Annotated[bool, Query(description="only what is promised and not paid")] = False,
    account_id: Annotated[UUID | None, Query()] = None,
    payment_id: Annotated[UUID | None, Query()] = None,
) -> RefundsOut:
    """Newest first."""
    if payment_id is not None:
        await _payment(request, caller, payment_id)

    def read(connection: PgConnection) -> list[RefundRow]:
        if account_id is not None and find_account(connection, caller.sight, str(account_id)) is None:
            raise no_such_account(account_id)
        return list_refunds(
            connection,
            caller.sight,
            status=None if status is None else status.value,
            standing=standing,
            account_id=None if account_id is None else str(account_id),
            payment_id=None if payment_id is None else str(payment_id),
            after=wanted.after_id,
            limit=wanted.limit + 1,
        )

    rows = await in_transaction(request, read)
    items, following = cut(rows, wanted.limit, lambda row: row.id)
    return RefundsOut(items=[_out(each) for each in items], next=following)


@router.get("/refunds/{refund_id}", summary="One refund")
async def show(request: Request, caller: Reader, refund_id: UUID) -> RefundOut:
    """As it stands now."""
    return _out(await _find(request, caller, str(refund_id)))


@router.post(
    "/refunds/{refund_id}/decision",
    responses={202: {"model": RefundOut, "description": "The gateway is being asked anew"}},
    summary="Decide about a refund that is not paid",
)
async def decide(
    request: Request,
    response: Response,
    caller: Treasurer,
    refund_id: UUID,
    order: DecisionIn,
    wait: Wait = 5.0,
) -> RefundOut:
    """Who decided and why is kept. The same decision again changes nothing; another one is refused (409). `retry`
    answers the refund that takes over; repeated, the one that was taken over."""
    row = await _find(request, caller, str(refund_id))
    decision = Decision(f"key {caller.key_id}", order.reason)
    tariffs: Tariffs = request.app.state.tariffs
    now = datetime.now(UTC)

    def act(connection: PgConnection) -> RefundRow:
        tariff = tariffs.current(connection)
        if order.action == "paid":
            return paid(connection, tariff, row.id, decision, now, at_gateway=order.at_gateway)
        return {"failed": failed, "retry": retry, "credit": credit}[order.action](
            connection, tariff, row.id, decision, now
        )

    try:
        after = await in_transaction(request, act)
    except CannotDecide as error:
        text = str(error)
        raise Problem(409, "cannot_decide", f"{text[:1].upper()}{text[1:]}.") from None
    if order.action == "retry":
        after = await _outcome(request, caller, await _started(request, after), wait)
    answered = _answered(after, response)
    response.status_code = 202 if response.status_code == 202 else 200
    return answered


async def _started(request: Request, row: RefundRow) -> RefundRow:
    if row.status == RefundStatus.PENDING:
        try:
            await start_refund(
                request.app.state.temporal, RefundInput(refund_id=row.id, account_id=row.account_id)
            )
        except (RPCError, RuntimeError) as error:  # the latter where there was no connection yet
            # It is promised, and the keeper begins it.
            log.warning("refund %s is begun later: %s", row.id, error)
    return row


async def _outcome(request: Request, caller: Caller, row: RefundRow, wait: float) -> RefundRow:
    """The row once the gateway has answered, or when the time is over."""
    until = time.monotonic() + wait
    looks = 0
    while row.status == RefundStatus.PENDING and row.park_id is None and time.monotonic() < until:
        await asyncio.sleep(LOOK_SECONDS[min(looks, len(LOOK_SECONDS) - 1)])
        looks += 1
        row = await _find(request, caller, row.id)
    return row


async def _find(request: Request, caller: Caller, refund_id: str) -> RefundRow:
    row = await in_transaction(request, lambda connection: find_refund(connection, caller.sight, refund_id))
    if row is None:
        raise Problem(404, "no_such_refund", f"There is no refund {refund_id}.")
    return row


async def _payment(request: Request, caller: Caller, payment_id: UUID) -> dict[str, Any]:
    found = await in_transaction(
        request, lambda connection: find_payment(connection, caller.sight, str(payment_id))
    )
    if found is None:
        raise Problem(404, "no_such_payment", f"There is no payment {payment_id}.")
    return found


def _answered(row: RefundRow, response: Response) -> RefundOut:
    response.headers["Location"] = f"/v1/refunds/{row.id}"
    if not RefundStatus(row.status).ended:
        response.status_code = 202
        response.headers["Retry-After"] = "1"
    return _out(row)


def _out(row: RefundRow) -> RefundOut:
    fields = row._asdict() | {"stuck": row.park_id is not None}
    return RefundOut.model_validate({name: fields[name] for name in RefundOut.model_fields})
