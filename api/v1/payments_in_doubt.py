"""Charges of which nobody knows whether money moved, over HTTP: look at them, and decide what a person has seen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from api.database import in_transaction
from api.paging import Paged, cut
from api.problems import Problem
from api.security import Caller, require_scope
from operations.charges.looks import CannotResolve, InDoubt, Verdict, in_doubt, resolve
from storage.charges import NoSuchCharge, read_charge
from storage.database import PgConnection

router = APIRouter(prefix="/v1/payments-in-doubt", tags=["payments in doubt"])

Reader = Annotated[Caller, Depends(require_scope("payment-runs:read"))]
Writer = Annotated[Caller, Depends(require_scope("payments:write"))]

_CHARGE: dict[str, Any] = {
    "id": "01a205bd-7c1e-7000-8000-000000000002",
    "account_id": "01a205bd-7c1e-7000-8000-000000000001",
    "account": "reader-4711",
    "connection": "cards",
    "reference": "charge:01a205bd-7c1e-7000-8000-000000000001:3",
    "currency": "EUR",
    "amount": 1290,
    "since": "2026-12-01T09:30:00Z",
    "age_seconds": 5400,
    "looks": 6,
    "next_look_at": "2026-12-01T11:20:00Z",
}


class DoubtfulCharge(BaseModel):
    """A charge that was sent and whose outcome is not known. reference: by which the gateway has it. looks: how often
    the gateway was asked; next_look_at: when it is asked again."""

    model_config = ConfigDict(json_schema_extra={"example": _CHARGE})

    id: UUID
    account_id: UUID
    account: str
    connection: str
    reference: str
    currency: str
    amount: int
    since: datetime
    age_seconds: int
    looks: int
    next_look_at: datetime | None


class DoubtfulCharges(BaseModel):
    """Charges in doubt, the oldest first. next: pass it as `after` for what follows; null at the end."""

    items: list[DoubtfulCharge]
    next: str | None


class Resolution(BaseModel):
    """What you have seen at the gateway, and why you may say so. gateway_id: what the gateway calls the payment."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"verdict": "charged", "reason": "seen in the dashboard", "gateway_id": "pi_3Pq"}
        },
    )

    verdict: Verdict
    reason: str = Field(min_length=1, max_length=1000)
    gateway_id: str | None = Field(None, min_length=1, max_length=200)


class Resolved(BaseModel):
    """Where the charge stands now. changed: this decision was news."""

    id: UUID
    status: str
    changed: bool


@router.get("", summary="Charges whose outcome is not known")
async def list_doubtful(request: Request, caller: Reader, page: Paged) -> DoubtfulCharges:
    """Nobody charges their invoices again, or duns for them, until it is."""
    after = page.after_id
    now = datetime.now(UTC)

    def read(connection: PgConnection) -> DoubtfulCharges:
        found = in_doubt(connection, page.limit + 1, mode=caller.mode, after=after)
        shown, following = cut(found, page.limit, lambda row: row.id)
        return DoubtfulCharges(items=[_shown(each, now) for each in shown], next=following)

    return await in_transaction(request, read)


@router.post("/{charge_id}/resolve", summary="Say what you have seen at the gateway")
async def resolve_doubtful(request: Request, caller: Writer, charge_id: UUID, order: Resolution) -> Resolved:
    """charged: its invoices are paid. not-charged: they may be charged again. Said again, it changes nothing. 409 for a
    charge that is not in doubt."""
    tariffs = request.app.state.tariffs

    def work(connection: PgConnection) -> Resolved:
        try:
            if caller.mode not in (None, read_charge(connection, str(charge_id)).mode):
                raise NoSuchCharge
            came = resolve(
                connection,
                tariffs.current(connection),
                str(charge_id),
                order.verdict,
                actor=caller.name,
                reason=order.reason,
                now=datetime.now(UTC),
                gateway_id=order.gateway_id,
            )
        except NoSuchCharge:
            raise Problem(404, "no_such_charge", f"There is no charge {charge_id}.") from None
        except CannotResolve as error:
            raise Problem(409, "not_in_doubt", f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
        return Resolved(id=charge_id, status=came.status.value, changed=came.changed)

    return await in_transaction(request, work)


def _shown(row: InDoubt, now: datetime) -> DoubtfulCharge:
    return DoubtfulCharge.model_validate(
        row._asdict() | {"age_seconds": max(0, int((now - row.since).total_seconds()))}
    )
