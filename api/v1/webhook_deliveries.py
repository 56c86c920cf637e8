"""What subscribers' webhook endpoints were told over HTTP: see what they answered, send again."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, model_validator
from sqlalchemy import Engine
from uuid_utils import uuid7

from api.paging import Paged, cut
from api.security import Caller
from api.v1.webhook_endpoints import Reader, SeenId, Writer, carried_out, found_endpoint
from contracts.names import webhook_delivery_id
from operations.audit import record_action
from operations.webhooks_out.resending import resend_failed, resend_message
from storage.database import transaction
from storage.webhook_messages import list_messages

router = APIRouter(prefix="/v1/webhook-endpoints/{endpoint_id}", tags=["webhook endpoints"])


class Resend(BaseModel):
    """One message, or all that failed of events since an instant."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"since": "2026-12-01T00:00:00Z"}}
    )

    message_id: UUID | None = None
    since: AwareDatetime | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Resend:
        if (self.message_id is None) == (self.since is None):
            raise ValueError("give either message_id or since")
        return self


class AttemptOut(BaseModel):
    """One attempt. `status` is null when there was no answer; `response` is the start of it, redacted."""

    no: int
    at: datetime
    status: int | None
    milliseconds: int
    error_kind: str | None
    response: str | None


class DeliveryOut(BaseModel):
    """A message to an endpoint, and its last ten attempts."""

    id: UUID
    kind: str
    event_at: datetime
    subject_id: UUID
    account_id: UUID | None
    status: str
    attempts: int
    error_kind: str | None
    next_attempt_at: datetime | None
    created_at: datetime
    ended_at: datetime | None
    log: list[AttemptOut]


class DeliveriesOut(BaseModel):
    """Messages, newest first. next: pass it as `after` for what follows; null at the end."""

    items: list[DeliveryOut]
    next: str | None


class Resent(BaseModel):
    """How many messages are sent again."""

    messages: int


@router.get("/deliveries", summary="What an endpoint was told, and what it answered")
async def deliveries(
    request: Request,
    _: Reader,
    endpoint_id: SeenId,
    page: Paged,
    status: Literal["pending", "delivered", "failed"] | None = None,
) -> DeliveriesOut:
    """Newest first."""
    after = page.after_id

    def read(engine: Engine) -> DeliveriesOut:
        found_endpoint(engine, endpoint_id)
        with transaction(engine) as connection:
            found = list_messages(
                connection, str(endpoint_id), status=status, after=after, limit=page.limit + 1
            )
        shown, following = cut(found, page.limit, lambda row: row["id"])
        return DeliveriesOut(items=[DeliveryOut.model_validate(each) for each in shown], next=following)

    return await carried_out(request, read)


@router.post("/resend", status_code=202, summary="Send one message, or what failed, again")
async def resend(request: Request, caller: Writer, endpoint_id: SeenId, order: Resend) -> Resent:
    """Each is sent with the id that it had, and a schedule of its own. Works while Temporal is away: it follows."""

    def act(engine: Engine) -> Resent:
        what = f"message {order.message_id}" if order.message_id else f"failed since {order.since}"
        if order.since is not None:
            count = resend_failed(engine, str(endpoint_id), order.since)
        else:
            resend_message(engine, str(endpoint_id), str(order.message_id))
            count = 1
        _audit(engine, caller, "resend", str(endpoint_id), what)
        return Resent(messages=count)

    return await carried_out(request, act)


def _audit(engine: Engine, caller: Caller, action: str, endpoint_id: str, reason: str) -> None:
    record_action(
        engine,
        key=str(uuid7()),
        actor=caller.name,
        action=f"webhooks-out.{action}",
        subject=webhook_delivery_id(endpoint_id),
        reason=reason,
    )
