"""Payment methods of an account over HTTP: gateways' tokens, kept, listed and retired. No card number ever."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.database import in_transaction
from api.idempotency import Once, Reply
from api.paging import Paged, bad_cursor, cut, read_cursor
from api.problems import Problem
from api.security import Caller, require_scope
from api.v1.accounts import no_such_account
from operations.charges.methods import MethodRow, NewMethod, keep_method, methods_of, retire_method
from storage.account_records import Row, find_account
from storage.database import PgConnection

router = APIRouter(prefix="/v1/accounts/{account_id}/payment-methods", tags=["payment methods"])

Reader = Annotated[Caller, Depends(require_scope("accounts:read"))]
Writer = Annotated[Caller, Depends(require_scope("accounts:write"))]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class MethodIn(BaseModel):
    """A method that the gateway knows. connection: the payment gateway's; method, customer: its tokens of the card and
    of the payer."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "connection": "stripe",
                "method": "pm_1PqWxT2eZvKYlo2C",
                "customer": "cus_QhWx3fN2",
                "brand": "visa",
                "last4": "4242",
                "expires_on": "2029-04-01",
            }
        },
    )

    connection: Name
    method: Name
    customer: Name | None = None
    kind: Literal["card", "direct_debit", "wallet"] = "card"
    brand: Name | None = None
    last4: str | None = Field(None, pattern=r"^[0-9]{4}$", description="the last four digits of a card")
    expires_on: date | None = Field(None, description="the first day on which it is of no use any more")


class MethodOf(BaseModel):
    """Which method is meant."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"connection": "stripe", "method": "pm_1PqWxT2eZvKYlo2C"}},
    )

    connection: Name
    method: Name


class Method(BaseModel):
    """A kept method. is_default: its gateway charges this one. retired_at: it is charged no more."""

    id: UUID
    connection: str
    method: str
    customer: str | None
    kind: str
    brand: str | None
    last4: str | None
    expires_on: date | None
    is_default: bool
    added_at: datetime
    retired_at: datetime | None


class Methods(BaseModel):
    """An account's methods, the newest first. next: pass it as `after` for what follows; null at the end."""

    items: list[Method]
    next: str | None


@router.get("", summary="An account's payment methods")
async def list_methods(request: Request, caller: Reader, account_id: UUID, page: Paged) -> Methods:
    """Those that are retired too. One that is kept again is the newest from then on."""
    after = None if page.after is None else _place(page.after)

    def read(connection: PgConnection) -> Methods:
        own = _account(connection, caller, account_id)["id"]
        found = methods_of(connection, own, after=after, limit=page.limit + 1)
        shown, following = cut(found, page.limit, lambda row: f"{row.added_at.isoformat()},{row.id}")
        return Methods(items=[_shown(each) for each in shown], next=following)

    return await in_transaction(request, read)


@router.post("", status_code=201, response_model=Method, summary="Keep a payment method")
async def keep(caller: Writer, once: Once, account_id: UUID, order: MethodIn) -> Response:
    """From now on it is charged first, and the account pays by itself. What failed before is tried with it."""

    def work(connection: PgConnection) -> Reply:
        account = _account(connection, caller, account_id)
        kept = keep_method(connection, account["id"], account["mode"], NewMethod(**order.model_dump()))
        return Reply(_shown(kept), 201, account_id=account["id"])

    return await once.answer(work)


@router.post("/retire", response_model=Method, summary="Charge a payment method no more")
async def retire(caller: Writer, once: Once, account_id: UUID, order: MethodOf) -> Response:
    """404 where the account has no such method in use."""

    def work(connection: PgConnection) -> Reply:
        own = _account(connection, caller, account_id)["id"]
        gone = retire_method(connection, own, order.connection, order.method)
        if gone is None:
            raise Problem(404, "no_such_method", "The account has no such payment method in use.")
        return Reply(_shown(gone), account_id=own)

    return await once.answer(work)


def _place(cursor: str) -> tuple[datetime, str]:
    at, own = read_cursor(cursor, 2)
    try:
        return datetime.fromisoformat(at).astimezone(UTC), str(UUID(own))
    except (ValueError, OverflowError):
        raise bad_cursor() from None


def _account(connection: PgConnection, caller: Caller, account_id: UUID) -> Row:
    found = find_account(connection, caller.sight, str(account_id))
    if found is None:
        raise no_such_account(account_id)
    return found


def _shown(row: MethodRow) -> Method:
    values: dict[str, Any] = row._asdict()
    return Method.model_validate(values)
