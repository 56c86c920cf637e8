"""The event log over HTTP: what happened, in an order in which nothing is ever passed over."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.database import in_transaction
from api.paging import bad_cursor, make_cursor, read_cursor
from api.problems import Problem
from api.security import Caller, require_scope
from operations.webhooks_out.kinds import BadKinds, checked_kinds, like_patterns
from storage.event_feed import read_feed
from storage.events import START, Cursor

router = APIRouter(prefix="/v1/events", tags=["events"])

Reader = Annotated[Caller, Depends(require_scope("events:read"))]
_LARGEST = 2**63 - 1


class EventOut(BaseModel):
    """Something that happened. subject_id: what it is about, by its kind; version: that which it has had since, so that
    an event that you know a newer version of can be left aside. Read the subject for what it is now."""

    id: str = Field(description="unique, opaque")
    kind: str
    at: AwareDatetime
    account_id: UUID | None
    subject_id: UUID
    version: int


class Events(BaseModel):
    """Events in the order of the log. next: pass it as `after` next time, also where there are none yet; more: whether
    to ask again at once."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "items": [
                    {
                        "id": "MSwxLDc1NiwxMDE",
                        "kind": "subscription.changed",
                        "at": "2026-12-01T09:30:00Z",
                        "account_id": "01a205bd-7c1e-7000-8000-000000000001",
                        "subject_id": "01a205bd-7c1e-7000-8000-000000000002",
                        "version": 2,
                    }
                ],
                "next": "MSwxLDc1NiwxMDE",
                "more": True,
            }
        }
    )

    items: list[EventOut]
    next: str
    more: bool


@router.get("", summary="What happened")
async def list_events(
    request: Request,
    caller: Reader,
    after: Annotated[
        str | None, Query(max_length=200, description="`next` of the answer before; the beginning without it")
    ] = None,
    kind: Annotated[
        list[Annotated[str, Field(max_length=100)]] | None,
        Query(max_length=50, description="only these kinds: subscription.changed, invoice.*; repeatable"),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500, description="how many at most")] = 100,
) -> Events:
    """From the oldest on. An event appears once no older transaction is running, and its place never changes: a reader
    that goes on from `next` misses none. A page may have fewer events than `limit`, or none, though there are more."""
    place = _place(after)
    try:
        kinds = like_patterns(checked_kinds(kind)) if kind else ["%"]
    except BadKinds as error:
        raise Problem(422, "bad_kinds", str(error)) from None
    feed = await in_transaction(
        request, lambda connection: read_feed(connection, caller.sight, place, limit, kinds)
    )
    return Events(
        items=[
            EventOut.model_validate({**event._asdict(), "id": make_cursor(*event.place)})
            for event in feed.events
        ],
        next=make_cursor(*feed.upto),
        more=feed.more,
    )


def _place(after: str | None) -> Cursor:
    if after is None:
        return START
    parts = read_cursor(after, 3)
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise bad_cursor()
    place = Cursor(*(int(part[:20]) for part in parts))
    if place.epoch > 2**15 - 1 or max(place) > _LARGEST:
        raise bad_cursor()
    return place
