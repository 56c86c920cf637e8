"""Disputes over HTTP: what payers have taken back through their banks."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, StringConstraints

from api.database import in_transaction
from api.idempotency import Once, Reply
from api.paging import Paged, cut
from api.problems import Problem
from api.security import Caller, require_scope
from api.v1.accounts import no_such_account
from operations.refunds.disputes import note
from storage.account_records import find_account
from storage.database import PgConnection
from storage.disputes import DisputeRow, find_dispute, list_disputes

router = APIRouter(prefix="/v1/disputes", tags=["payments and refunds"])

Reader = Annotated[Caller, Depends(require_scope("payments:read"))]
Treasurer = Annotated[Caller, Depends(require_scope("payments:write"))]


class NoteIn(BaseModel):
    """What speaks for us: kept with the dispute, for whoever answers it at the gateway."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"text": "read 41 articles since the charge"}}
    )

    text: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=2000)]


class NoteOut(BaseModel):
    """A note, with who wrote it."""

    at: datetime
    by: str
    text: str


class DisputeOut(BaseModel):
    """A dispute; amounts in minor units. stage: announced (no money has moved), taken (the bank took it back), won,
    lost. While it is open its payment is not refunded and its invoice not dunned. lost: what the books have as lost.
    fee: what the gateway keeps for it. payment_id: null while the payment is not known here."""

    id: UUID
    mode: str
    account_id: UUID | None
    payment_id: UUID | None
    status: Literal["open", "won", "lost"]
    stage: Literal["announced", "taken", "won", "lost"]
    currency: str
    amount: int
    lost: int
    fee: int
    connection: str
    gateway_id: str
    evidence: list[NoteOut]
    opened_at: datetime
    changed_at: datetime


class DisputesOut(BaseModel):
    """Disputes, newest first."""

    items: list[DisputeOut]
    next: str | None


@router.get("", summary="Disputes")
async def disputes(
    request: Request,
    caller: Reader,
    wanted: Paged,
    status: Annotated[Literal["open", "won", "lost"] | None, Query()] = None,
    account_id: Annotated[UUID | None, Query()] = None,
) -> DisputesOut:
    """Newest first."""

    def read(connection: PgConnection) -> list[DisputeRow]:
        if account_id is not None and find_account(connection, caller.sight, str(account_id)) is None:
            raise no_such_account(account_id)
        return list_disputes(
            connection,
            caller.sight,
            status=status,
            account_id=None if account_id is None else str(account_id),
            after=wanted.after_id,
            limit=wanted.limit + 1,
        )

    rows = await in_transaction(request, read)
    items, following = cut(rows, wanted.limit, lambda row: row.id)
    return DisputesOut(items=[_out(each) for each in items], next=following)


@router.get("/{dispute_id}", summary="One dispute")
async def show(request: Request, caller: Reader, dispute_id: UUID) -> DisputeOut:
    """As it stands now."""
    row = await in_transaction(
        request, lambda connection: find_dispute(connection, caller.sight, str(dispute_id))
    )
    return _out(_there(row, dispute_id))


@router.post("/{dispute_id}/notes", summary="Note evidence", response_model=DisputeOut)
async def add_note(
    request: Request, caller: Treasurer, once: Once, dispute_id: UUID, order: NoteIn
) -> Response:
    """Kept for ever, with who wrote it."""

    def work(connection: PgConnection) -> Reply:
        row = _there(find_dispute(connection, caller.sight, str(dispute_id)), dispute_id)
        key = f"dispute/{row.id}/{once.asked.api_key_id}/{once.asked.key}"
        actor = f"key {caller.key_id}"
        after = note(connection, row.id, actor, order.text, key, datetime.now(UTC))
        return Reply(_out(after), account_id=after.account_id)

    return await once.answer(work)


def _there(row: DisputeRow | None, dispute_id: UUID) -> DisputeRow:
    if row is None:
        raise Problem(404, "no_such_dispute", f"There is no dispute {dispute_id}.")
    return row


def _out(row: DisputeRow) -> DisputeOut:
    fields = row._asdict() | {"lost": row.booked_lost}
    return DisputeOut.model_validate({name: fields[name] for name in DisputeOut.model_fields})
