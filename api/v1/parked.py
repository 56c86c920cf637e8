"""Parked work over HTTP: look at it, and retry, edit, skip or fail it."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from temporalio.service import RPCError

from api.database import in_transaction
from api.paging import DEFAULT_LIMIT, MOST, Page, bad_cursor, cut, read_cursor
from api.problems import Problem
from api.security import Caller, require_scope
from connectors.sdk.methods import method
from connectors.sdk.redaction import MAIL, PERSONAL, SECRET, redact_value
from contracts.parked import Action, Decided
from operations.parked.decide import CannotDecide, Decision, NoSuchPark, decide
from storage.database import PgConnection
from storage.parked import grouped_parks, one_park, open_parks, read_park
from workflows.call_starts import tell

router = APIRouter(prefix="/v1/parked", tags=["parked work"])
log = logging.getLogger("masthead.api")

Reader = Annotated[Caller, Depends(require_scope("parked:read"))]
Writer = Annotated[Caller, Depends(require_scope("parked:write"))]

MASKS = (SECRET, PERSONAL, MAIL)
_PARKED: dict[str, Any] = {
    "id": "01a205bd-7c1e-7000-8000-000000000006",
    "kind": "call",
    "mode": "live",
    "connection": "delivery",
    "method": "shipping.request",
    "account": "reader-4711",
    "trace_key": "subscription/01a205bd-7c1e-7000-8000-000000000002",
    "error_kind": "invalid",
    "error_code": "postal_code",
    "message": "the postal code does not fit the country",
    "remedy": "correct the address, and edit or retry it",
    "fields": {"to.postal_code": "has five digits in Germany"},
    "times": 1,
    "opened_at": "2026-12-01T09:30:00Z",
    "last_seen_at": "2026-12-01T09:30:00Z",
    "call_id": "01a205bd-7c1e-7000-8000-000000000007",
    "workflow_id": None,
}
_STATUS = {"bad_payload": 422, "masked": 422}


class Order(BaseModel):
    """Why an operator acts; the caller's key names who. not_applied: you have seen at the other system that nothing
    was done there, so that it may be sent anew."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"reason": "the address is corrected"}}
    )

    reason: str = Field(min_length=1, max_length=1000)
    not_applied: bool = False


class Edit(Order):
    """What to change before it is sent again.

    payload: the fields to change, as a merge patch: what is left out stays, null takes a field away, lists are given
    whole. A masked value that is given back as it was shown stays as it is.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"reason": "the address is corrected", "payload": {"to": {"postal_code": "10115"}}}
        },
    )

    payload: dict[str, Any] | list[Any]


class ParkedWork(BaseModel):
    """Something that could not go on. remedy: what to do. times: how often it has come to this."""

    model_config = ConfigDict(json_schema_extra={"example": _PARKED})

    id: UUID
    kind: str
    mode: str
    connection: str | None
    method: str | None
    account: str | None
    trace_key: str
    error_kind: str
    error_code: str | None
    message: str
    remedy: str
    fields: dict[str, str] | None
    times: int
    opened_at: datetime
    last_seen_at: datetime
    call_id: UUID | None
    workflow_id: str | None


class ParkedDetail(ParkedWork):
    """One of them. payload: what was sent, with what is about a person masked. in_doubt: a send may have been done
    there. resolution: what was decided, once it was."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                **_PARKED,
                "payload": {"to": {"postal_code": "1011"}, "name": "***"},
                "in_doubt": False,
                "attempts": 1,
                "resolution": None,
                "resolved_at": None,
            }
        }
    )

    payload: Any
    in_doubt: bool
    attempts: int | None
    resolution: str | None
    resolved_at: datetime | None


class ParkedList(BaseModel):
    """Parked work, oldest first. next: pass it as `after` for what follows; null at the end."""

    items: list[ParkedWork]
    next: str | None


class Group(BaseModel):
    """Parked work with the same cause. traces: how many different things it is about; sample: the oldest."""

    count: int
    traces: int
    kind: str
    connection: str | None
    method: str | None
    error_kind: str
    code: str | None
    since: datetime
    message: str
    sample: UUID


class Groups(BaseModel):
    """Causes, the largest first. next: pass it as `after` for what follows; null at the end."""

    items: list[Group]
    next: str | None


class Outcome(BaseModel):
    """What stands now. repeated: it had been decided so before. told: whoever goes on with it knows already; else they
    look by themselves within some minutes."""

    id: UUID
    action: Action
    repeated: bool
    told: bool


class Filter(BaseModel):
    """Which parked work to list."""

    model_config = ConfigDict(extra="forbid")

    connection: str | None = None
    kind: str | None = None
    error_kind: str | None = None
    code: str | None = None
    method: str | None = None
    account: str | None = None
    trace_key: str | None = None
    limit: int = Field(default=DEFAULT_LIMIT, ge=1, le=MOST, description="how many at most")
    after: str | None = Field(default=None, max_length=200, description="`next` of the page before")

    def conditions(self, caller: Caller) -> dict[str, str]:
        """What is asked for, by name, within the mode of the caller's key."""
        asked: dict[str, str] = self.model_dump(exclude={"limit", "after"}, exclude_none=True)
        return asked if caller.mode is None else {**asked, "mode": caller.mode}


@router.get("", summary="Parked work that is still open")
async def list_parked(request: Request, caller: Reader, wanted: Annotated[Filter, Query()]) -> ParkedList:
    """Oldest first, filtered by what is given."""
    after = Page(wanted.limit, wanted.after).after_id

    def read(connection: PgConnection) -> list[dict[str, Any]]:
        return open_parks(connection, wanted.limit + 1, wanted.conditions(caller), after)

    shown, following = cut(await in_transaction(request, read), wanted.limit, lambda row: row["id"])
    return ParkedList(items=[ParkedWork.model_validate(each) for each in shown], next=following)


@router.get("/groups", summary="Parked work by its cause")
async def group_parked(request: Request, caller: Reader, wanted: Annotated[Filter, Query()]) -> Groups:
    """By connection, method, kind and code; the largest group first. A group that grows or shrinks while you turn the
    pages may move between them."""
    after = None if wanted.after is None else _place(wanted.after)

    def read(connection: PgConnection) -> list[dict[str, Any]]:
        return grouped_parks(connection, wanted.limit + 1, wanted.conditions(caller), after)

    shown, following = cut(
        await in_transaction(request, read), wanted.limit, lambda row: f"{row['count']},{row['sample']}"
    )
    return Groups(items=[Group.model_validate(each) for each in shown], next=following)


@router.get("/{park_id}", summary="One piece of parked work")
async def show_parked(request: Request, caller: Reader, park_id: UUID) -> ParkedDetail:
    """404 when there is none with this id."""
    found = await in_transaction(request, lambda connection: one_park(connection, str(park_id)))
    if found is None or caller.mode not in (None, found["mode"]):
        raise _none(park_id)
    return ParkedDetail.model_validate(
        found | {"payload": redact_value(found["payload"]), "in_doubt": found["first_sent_at"] is not None}
    )


@router.post("/{park_id}/edit", summary="Change what is sent, and try again")
async def edit_parked(request: Request, caller: Writer, park_id: UUID, order: Edit) -> Outcome:
    """422 naming the fields where the payload cannot be sent; 409 where it may have been done already."""
    return await _decide(request, caller, park_id, Action.EDIT, order, order.payload)


@router.post("/{park_id}/{action}", summary="Try it again, go on without it, or let it fail")
async def decide_parked(
    request: Request, caller: Writer, park_id: UUID, action: Literal["retry", "skip", "fail"], order: Order
) -> Outcome:
    """409 where something else was decided before, or it is not decided here."""
    return await _decide(request, caller, park_id, Action(action), order)


async def _decide(
    request: Request, caller: Caller, park_id: UUID, action: Action, order: Order, changes: Any = None
) -> Outcome:
    decision = Decision(action, caller.name, order.reason, changes, order.not_applied)

    def commit(connection: PgConnection) -> Decided:
        if caller.mode is not None:
            row = read_park(connection, str(park_id))
            if row is None or row.mode != caller.mode:
                raise _none(park_id)
        return decide(
            connection,
            str(park_id),
            decision,
            check=lambda name, payload: method(name).problems(payload),
            masks=MASKS,
        )

    try:
        decided = await in_transaction(request, commit)
    except NoSuchPark as error:
        raise _none(park_id) from error
    except CannotDecide as error:
        more: dict[str, Any] = {"fields": error.fields} if error.fields else {}
        raise Problem(_STATUS.get(error.kind, 409), error.kind, _sentence(str(error)), **more) from error
    return Outcome(id=park_id, action=action, repeated=decided.repeated, told=await _told(request, decided))


async def _told(request: Request, decided: Decided) -> bool:
    try:
        return await tell(request.app.state.temporal, decided)
    except (RPCError, RuntimeError) as error:  # the latter where there was no connection yet
        # The decision is committed; whoever waits for it looks at the row by itself.
        log.warning("nobody could be told of a decision: Temporal does not answer (%s)", type(error).__name__)
        return False


def _place(cursor: str) -> tuple[int, str]:
    count, sample = read_cursor(cursor, 2)
    try:
        return int(count[:18]), str(UUID(sample))
    except ValueError:
        raise bad_cursor() from None


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:]


def _none(park_id: UUID) -> Problem:
    return Problem(404, "no_such_parked_work", f"There is no parked work {park_id}.")
