"""Checkouts over HTTP: start one, look at it, come back from the bank, give it up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from api.database import in_transaction
from api.idempotency import Once
from api.problems import Problem
from api.security import Caller, require_scope
from api.v1.accounts import no_such_account
from api.v1.quotes import EXAMPLE_CART, Cart
from contracts.checkout import CheckoutInput, CheckoutStatus
from operations.checkout.begin import Buyer, CannotBegin, KeyReused, MethodGiven, Order, begin
from operations.checkout.gateway import bring_back
from operations.checkout.offer import Offer
from storage.account_records import find_account
from storage.checkouts import CheckoutRow, NoSuchCheckout, read_checkout
from workflows.checkout_starts import cancel_checkout, confirm_checkout, start_checkout

router = APIRouter(prefix="/v1/checkouts", tags=["checkout"])

Writer = Annotated[Caller, Depends(require_scope("checkout:write"))]
Wait = Annotated[float, Query(ge=0, le=20, description="seconds to wait for the outcome")]

LOOK_SECONDS = 1.0  # between two looks at the row when nothing is told of it
STUCK_FOR_SECONDS = 1.0  # what the checkout decides by itself is parked for a moment, too
_STATUS = {
    CheckoutStatus.DECLINED: 402,
    CheckoutStatus.REFUSED: 422,
    CheckoutStatus.EXPIRED: 409,
    CheckoutStatus.CANCELED: 409,
}


class NewCheckout(Cart):
    """What to buy, for whom, and how it is paid. due: what you have shown as due, in minor units; when it comes to
    another amount, nothing is sold. buyer: who the new account belongs to. payment may be left out where nothing is
    due. The payment is the gateway's token, never a card number."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                **EXAMPLE_CART,
                "buyer": {"name": "Ada Reader", "email": "ada@reader.example"},
                "payment": {"method": "pm_card_visa", "return_url": "https://shop.example/back"},
            }
        },
    )

    buyer: Buyer | None = None
    payment: MethodGiven | None = None
    due: int | None = Field(None, ge=0, le=10**13)
    mode: Literal["live", "test"] = Field("live", description="of a new account")


class BroughtBack(BaseModel):
    """What the customer came back with. result: the parameter `redirectResult` of the address they came back to, where
    the gateway adds one (Adyen does)."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"result": "X6XtfGC3Y9"}})

    result: str | None = Field(None, min_length=1, max_length=10_000, pattern=r"^[\x21-\x7e]+$")


NOTHING = BroughtBack()


class CheckoutProblem(BaseModel):
    """Why it did not complete: a stable kind, and words that may be shown."""

    kind: str
    detail: str


class CheckoutOut(BaseModel):
    """A checkout. stuck: a person has to decide something before it goes on; it does by itself then. next_action_url:
    where the customer has to go; call `confirm` when they are back."""

    id: UUID
    status: CheckoutStatus
    stuck: bool
    mode: str
    account_id: UUID
    subscription_ids: list[UUID]
    invoice_id: UUID | None
    currency: str | None
    total: int | None
    due: int | None
    next_action_url: str | None
    offer: Offer | None
    problem: CheckoutProblem | None
    created_at: datetime
    ended_at: datetime | None


@router.post(
    "",
    status_code=201,
    responses={202: {"model": CheckoutOut, "description": "It goes on, or the customer has to act"}},
    summary="Buy what is in a cart",
)
async def start(
    request: Request,
    response: Response,
    caller: Writer,
    once: Once,
    order: NewCheckout,
    wait: Wait = 8.0,
) -> CheckoutOut:
    """Waits for the outcome for a while: 201 when it is complete; 202 with a Location when it goes on, or when the
    customer has to act; 402 when the payment is declined. The same key again is the same checkout, never a second
    sale; with another content it is refused (422)."""
    await _check(request, caller, order)
    asked = Order(
        items=tuple(order.items),
        account_id=order.account_id and str(order.account_id),
        opens=order.account,
        buyer=order.buyer,
        mode=order.mode,
        payment=order.payment,
        expected_due=order.due,
    )
    try:
        row, _new = await in_transaction(
            request, lambda connection: begin(connection, asked, f"{caller.key_id}/{once.asked.key}")
        )
    except KeyReused as error:
        raise Problem(422, "idempotency_key_reused", str(error)) from None
    except CannotBegin as error:
        raise Problem(422 if error.kind == "account_exists" else 404, error.kind, str(error)) from None
    response.headers["Location"] = f"/v1/checkouts/{row.id}"
    if not CheckoutStatus(row.status).ended:
        client: Client = request.app.state.temporal
        try:
            await start_checkout(client, CheckoutInput(checkout_id=row.id, account_id=row.account_id))
        except (RPCError, RuntimeError) as error:  # the latter where there was no connection yet
            raise _away() from error
        row = await _outcome(request, row.id, wait)
    return _answered(row, response, done=201)


@router.get("/{checkout_id}", summary="One checkout")
async def show(request: Request, caller: Writer, checkout_id: UUID) -> CheckoutOut:
    """Whatever became of it; 404 when there is none."""
    return _out(await _find(request, caller, checkout_id))


@router.post(
    "/{checkout_id}/confirm",
    responses={202: {"model": CheckoutOut, "description": "It goes on"}},
    summary="The customer is back from the bank",
)
async def confirm(
    request: Request,
    response: Response,
    caller: Writer,
    checkout_id: UUID,
    brought: BroughtBack = NOTHING,
    wait: Wait = 8.0,
) -> CheckoutOut:
    """The gateway is asked how the payment stands. Calling it early or twice does no harm. 200 when the checkout is
    complete, 202 when it goes on, 402 when the payment is declined."""
    row = await _find(request, caller, checkout_id)
    if not CheckoutStatus(row.status).ended:
        if (result := brought.result) is not None:
            await in_transaction(request, lambda connection: bring_back(connection, row.id, result))
        await _tell(request, row, confirm_checkout)
        row = await _outcome(request, row.id, wait, beyond=CheckoutStatus(row.status))
    return _answered(row, response, done=200)


@router.post(
    "/{checkout_id}/cancel",
    responses={202: {"model": CheckoutOut, "description": "It is being given up, or cannot be any more"}},
    summary="Give a checkout up",
)
async def cancel(
    request: Request, response: Response, caller: Writer, checkout_id: UUID, wait: Wait = 8.0
) -> CheckoutOut:
    """What is held is given back. A checkout whose money is taken completes all the same. 200 with the outcome."""
    row = await _find(request, caller, checkout_id)
    if not CheckoutStatus(row.status).ended:
        await _tell(request, row, cancel_checkout)
        row = await _outcome(request, row.id, wait, beyond=CheckoutStatus(row.status))
    if not CheckoutStatus(row.status).ended:
        response.status_code = 202
    return _out(row)


async def _tell(request: Request, row: CheckoutRow, how: Callable[[Client, str], Any]) -> None:
    try:
        await how(request.app.state.temporal, row.id)
    except (RPCError, RuntimeError) as error:
        if not (isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND):
            raise _away() from error


async def _outcome(
    request: Request, checkout_id: str, wait: float, beyond: CheckoutStatus | None = None
) -> CheckoutRow:
    """The row once it has ended, waits for the customer or for a person, or when the time is over. beyond: that state
    is none to answer with yet."""
    until = time.monotonic() + wait
    free = time.monotonic()
    with request.app.state.checkout_news.of(checkout_id) as news:
        while True:
            news.clear()
            row = await in_transaction(request, lambda connection: read_checkout(connection, checkout_id))
            status, now = CheckoutStatus(row.status), time.monotonic()
            if row.park_id is None:
                free = now
            settled = status.ended or status is CheckoutStatus.REQUIRES_ACTION
            if (settled and status is not beyond) or now >= until or now - free > STUCK_FOR_SECONDS:
                return row
            with suppress(TimeoutError):
                async with asyncio.timeout(min(LOOK_SECONDS, until - now)):
                    await news.wait()


def _answered(row: CheckoutRow, response: Response, *, done: int) -> CheckoutOut:
    status = CheckoutStatus(row.status)
    if status in _STATUS:
        raise Problem(
            _STATUS[status],
            row.problem_kind or status.value,
            row.problem or "The checkout did not complete.",
            checkout_id=row.id,
        )
    response.status_code = done if status is CheckoutStatus.COMPLETED else 202
    response.headers["Location"] = f"/v1/checkouts/{row.id}"
    if response.status_code == 202:
        response.headers["Retry-After"] = "1"
    return _out(row)


def _out(row: CheckoutRow) -> CheckoutOut:
    problem = CheckoutProblem(kind=row.problem_kind, detail=row.problem or "") if row.problem_kind else None
    return CheckoutOut(
        id=UUID(row.id),
        status=CheckoutStatus(row.status),
        stuck=row.park_id is not None,
        mode=row.mode,
        account_id=UUID(row.account_id),
        subscription_ids=[UUID(each) for each in row.subscription_ids],
        invoice_id=row.invoice_id and UUID(row.invoice_id),
        currency=row.currency,
        total=row.total,
        due=row.due,
        next_action_url=row.next_action_url,
        offer=None if row.quote is None else Offer.model_validate(row.quote),
        problem=problem,
        created_at=row.created_at,
        ended_at=row.ended_at,
    )


async def _check(request: Request, caller: Caller, order: NewCheckout) -> None:
    """Refuse an account that the caller may not see, and the opening of one by a key that is for others."""
    if order.account_id is not None:
        own = str(order.account_id)
        if (
            await in_transaction(request, lambda connection: find_account(connection, caller.sight, own))
            is None
        ):
            raise no_such_account(own)
    elif caller.account_id is not None:
        raise Problem(403, "not_for_account_keys", "A key of one account cannot open another.")
    elif caller.mode not in (None, order.mode):
        raise Problem(422, "other_mode", f"Your key is for accounts in {caller.mode} mode.")


async def _find(request: Request, caller: Caller, checkout_id: UUID) -> CheckoutRow:
    none = Problem(404, "no_such_checkout", f"There is no checkout {checkout_id}.")
    try:
        row = await in_transaction(request, lambda connection: read_checkout(connection, str(checkout_id)))
    except NoSuchCheckout:
        raise none from None
    if caller.mode not in (None, row.mode) or caller.account_id not in (None, row.account_id):
        raise none
    return row


def _away() -> Problem:
    return Problem(
        503, "temporal_away", "Temporal does not answer at the moment; try again with the same key."
    )
