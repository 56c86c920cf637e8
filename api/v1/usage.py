"""Usage over HTTP: one record, or up to a thousand at once, each written once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from api.database import in_transaction
from api.problems import Problem
from api.security import Caller, require_scope
from operations.usage import Recorded, UsageOrder, UsageOutcome, record_usage

router = APIRouter(prefix="/v1/usage", tags=["usage"])

Writer = Annotated[Caller, Depends(require_scope("usage:write"))]
MOST_RECORDS = 1000
_STATUS = {"no_such_subscription": 404, "usage_key_reused": 409, "too_late": 409}
_EXAMPLE: dict[str, Any] = {
    "subscription_id": "01a205bd-7c1e-7000-8000-000000000002",
    "meter": "articles",
    "at": "2026-11-02T09:30:00Z",
    "quantity": "1",
    "key": "reader-4711/article-815/2026-11-02",
}


def _in_our_time(at: datetime) -> datetime:
    if not 2000 <= at.year <= 9998:
        raise ValueError("is no instant of our time")
    return at.astimezone(UTC)


class NewRecord(BaseModel):
    """What was used, at which instant. key: your own name of this record, unique for the subscription: the same record
    sent again under it is taken once."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": _EXAMPLE})

    subscription_id: UUID
    meter: str = Field(min_length=1, max_length=63)
    at: Annotated[AwareDatetime, AfterValidator(_in_our_time)]
    quantity: Decimal = Field(gt=0, le=10**9, max_digits=22, decimal_places=10)
    key: str = Field(min_length=1, max_length=200)


class NewBatch(BaseModel):
    """Up to 1,000 records; each is decided alone."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"records": [_EXAMPLE]}})

    records: list[NewRecord] = Field(min_length=1, max_length=MOST_RECORDS)


class RecordOut(BaseModel):
    """A record that is there, and the item of the subscription that is charged for it."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "key": "reader-4711/article-815/2026-11-02",
                "result": "recorded",
                "item_id": "01a205bd-7c1e-7000-8000-000000000003",
            }
        }
    )

    key: str
    result: Recorded
    item_id: UUID


class OutcomeOut(BaseModel):
    """What became of a record. Where it is refused, kind, message and remedy say why and what to do; what is not named
    refused need not be sent again."""

    key: str
    result: Recorded
    item_id: UUID | None
    kind: str | None
    message: str | None
    remedy: str | None


class BatchOut(BaseModel):
    """What became of each record, in the order in which they were sent; and how many came out how."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "recorded": 1,
                "repeated": 0,
                "refused": 0,
                "records": [
                    {
                        "key": "reader-4711/article-815/2026-11-02",
                        "result": "recorded",
                        "item_id": "01a205bd-7c1e-7000-8000-000000000003",
                        "kind": None,
                        "message": None,
                        "remedy": None,
                    }
                ],
            }
        }
    )

    recorded: int
    repeated: int
    refused: int
    records: list[OutcomeOut]


@router.post("", status_code=201, responses={200: {"model": RecordOut}}, summary="Record usage")
async def record(request: Request, response: Response, caller: Writer, order: NewRecord) -> RecordOut:
    """201 when it was written, 200 when it was there already; 409 when its key names another record, or when the
    subscription has had its last bill."""
    (outcome,) = await _record(request, caller, [order])
    if outcome.item_id is None:
        raise Problem(
            _STATUS.get(outcome.kind or "", 422),
            outcome.kind or "refused",
            outcome.message or "",
            remedy=outcome.remedy,
        )
    if outcome.result is Recorded.REPEATED:
        response.status_code = 200
    return RecordOut(key=order.key, result=outcome.result, item_id=UUID(outcome.item_id))


@router.post("/batch", summary="Record usage, many at once")
async def record_batch(request: Request, caller: Writer, order: NewBatch) -> BatchOut:
    """200 with an outcome for each record: one that is refused holds up none of the others. Send the batch again as it
    is when no answer came."""
    outcomes = await _record(request, caller, order.records)
    results = [outcome.result for outcome in outcomes]
    return BatchOut(
        recorded=results.count(Recorded.RECORDED),
        repeated=results.count(Recorded.REPEATED),
        refused=results.count(Recorded.REFUSED),
        records=[
            OutcomeOut.model_validate({"key": record.key, **vars(outcome)})
            for record, outcome in zip(order.records, outcomes, strict=True)
        ],
    )


async def _record(request: Request, caller: Caller, records: list[NewRecord]) -> list[UsageOutcome]:
    orders = [
        UsageOrder(str(each.subscription_id), each.meter, each.at, each.quantity, each.key)
        for each in records
    ]
    tariff = await asyncio.to_thread(request.app.state.tariffs.current)
    return await in_transaction(
        request,
        lambda connection: record_usage(connection, tariff.book, caller.sight, orders, datetime.now(UTC)),
    )
