"""Subscribers' webhook endpoints over HTTP: add and change them, see what they answered, send again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonDict
from sqlalchemy import Engine

from api.etags import IfGiven, IfMatch, etag, moved
from api.paging import Paged, cut
from api.problems import Problem
from api.security import Caller, require_scope
from operations.webhooks_out import endpoints
from operations.webhooks_out.kinds import MOST_KINDS, BadKinds
from operations.webhooks_out.resending import EndpointOff, UnknownMessage
from operations.webhooks_out.urls import LONGEST_URL, BadUrl
from storage import webhooks_out as rows
from storage.database import transaction
from storage.encryption import SecretKeyError

router = APIRouter(prefix="/v1/webhook-endpoints", tags=["webhook endpoints"])

Answer = TypeVar("Answer")
Reader = Annotated[Caller, Depends(require_scope("webhook-endpoints:read"))]
Writer = Annotated[Caller, Depends(require_scope("webhook-endpoints:write"))]


async def _seen(request: Request, endpoint_id: UUID) -> UUID:
    """404 for an endpoint of a mode that is not that of the caller's key. An endpoint never changes its mode."""
    mode = request.state.caller.mode
    if (
        mode is not None
        and (await carried_out(request, lambda engine: found_endpoint(engine, endpoint_id))).mode != mode
    ):
        raise Problem(404, "no_such_endpoint", f"there is no webhook endpoint {endpoint_id}")
    return endpoint_id


SeenId = Annotated[UUID, Depends(_seen)]
Url = Annotated[str, Field(max_length=LONGEST_URL)]
Kinds = Annotated[
    list[Annotated[str, Field(max_length=100)]],
    Field(min_length=1, max_length=MOST_KINDS, description="subscription.changed, invoice.* or *"),
]
Description = Annotated[str, Field(max_length=500)]
_EXAMPLE: JsonDict = {
    "url": "https://crm.example.com/masthead",
    "kinds": ["subscription.*", "invoice.posted"],
}


class NewEndpoint(BaseModel):
    """Where events shall be sent, and which."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": _EXAMPLE})

    url: Url
    kinds: Kinds
    description: Description = ""
    mode: Literal["live", "test"] = "live"


class Changes(BaseModel):
    """What shall be different; the rest stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"kinds": ["*"]}})

    url: Url | None = None
    kinds: Kinds | None = None
    description: Description | None = None


class Order(BaseModel):
    """Why somebody acts; the caller's key names who."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"reason": "the CRM is being moved"}}
    )

    reason: str = Field(min_length=1, max_length=1000)


class Rotate(Order):
    """Why a new secret is made. force: also where the one before still signs, which then ends."""

    force: bool = False


class EndpointOut(BaseModel):
    """An endpoint. `waiting` counts messages to be sent, up to 1,000; `failures` turns in a row that ended with a
    failure, since `failing_since`; until `held_until` it is left in peace."""

    id: UUID
    mode: str
    url: str
    kinds: list[str]
    description: str
    status: str
    disabled_reason: str | None
    previous_secret_until: datetime | None
    failures: int
    failing_since: datetime | None
    held_until: datetime | None
    version: int
    created_at: datetime
    waiting: int


class EndpointWithSecret(EndpointOut):
    """An endpoint with its signing secret, which is shown this once."""

    secret: str = Field(repr=False)


Shown = TypeVar("Shown", bound=EndpointOut)


class Endpoints(BaseModel):
    """Endpoints, oldest first. next: pass it as `after` for what follows; null at the end."""

    items: list[EndpointOut]
    next: str | None


@router.get("", summary="Webhook endpoints")
async def list_all(request: Request, caller: Reader, page: Paged) -> Endpoints:
    """Oldest first; deleted ones are left out."""
    after = page.after_id

    def read(engine: Engine) -> Endpoints:
        with transaction(engine) as connection:
            found = rows.list_endpoints(connection, mode=caller.mode, after=after, limit=page.limit + 1)
        shown, following = cut(found, page.limit, lambda row: row.id)
        return Endpoints(items=[_out(each) for each in shown], next=following)

    return await carried_out(request, read)


@router.post("", status_code=201, summary="Add a webhook endpoint")
async def add(request: Request, response: Response, caller: Writer, order: NewEndpoint) -> EndpointWithSecret:
    """The secret is shown in this answer and never again. One endpoint for a URL: 409 with its id when there is one."""
    if caller.mode not in (None, order.mode):
        raise Problem(422, "other_mode", f"Your key is for events of accounts in {caller.mode} mode.")

    def act(engine: Engine) -> EndpointWithSecret:
        issued = endpoints.add_endpoint(
            engine,
            request.app.state.encryption,
            url=order.url,
            kinds=order.kinds,
            description=order.description,
            mode=order.mode,
            allow_loopback=request.app.state.settings.allow_loopback,
            by=endpoints.By(caller.name, "added over the API"),
        )
        return _with_secret(issued)

    added = _tagged(response, await carried_out(request, act))
    response.headers["Location"] = f"{router.prefix}/{added.id}"
    response.headers["Cache-Control"] = "no-store"
    return added


@router.get("/{endpoint_id}", summary="One webhook endpoint")
async def show(request: Request, response: Response, _: Reader, endpoint_id: SeenId) -> EndpointOut:
    """With its ETag, which a change asks for. 404 when there is none with this id."""
    return _tagged(
        response, await carried_out(request, lambda engine: _out(found_endpoint(engine, endpoint_id)))
    )


@router.patch("/{endpoint_id}", summary="Change a webhook endpoint")
async def change(
    request: Request,
    response: Response,
    caller: Writer,
    endpoint_id: SeenId,
    expected: IfMatch,
    order: Changes,
) -> EndpointOut:
    """What waits goes to the new URL; new kinds are those of events from now on. Asks for If-Match: 428 without, 412
    where it was changed meanwhile. Answers the endpoint with its new ETag."""

    what = ", ".join(sorted(order.model_dump(exclude_none=True))) or "nothing"

    def act(engine: Engine) -> EndpointOut:
        changed = endpoints.change(
            engine,
            str(endpoint_id),
            url=order.url,
            kinds=order.kinds,
            description=order.description,
            allow_loopback=request.app.state.settings.allow_loopback,
            allowed=expected.allows,
            by=endpoints.By(caller.name, f"changed over the API: {what}"),
        )
        return _out(changed)

    return _tagged(response, await carried_out(request, act))


@router.delete("/{endpoint_id}", status_code=204, summary="Remove a webhook endpoint")
async def delete(request: Request, caller: Writer, endpoint_id: SeenId, seen: IfGiven) -> None:
    """Its secrets go at once; the log of what it was told goes with everybody's, after 30 days."""

    def act(engine: Engine) -> None:
        by = endpoints.By(caller.name, "deleted over the API")
        endpoints.delete(engine, str(endpoint_id), allowed=seen.allows, by=by)

    await carried_out(request, act)


@router.post("/{endpoint_id}/rotate-secret", summary="Make a new secret")
async def rotate_secret(
    request: Request, response: Response, caller: Writer, endpoint_id: SeenId, seen: IfGiven, order: Rotate
) -> EndpointWithSecret:
    """Shown in this answer and never again. For 24 hours messages carry signatures of both secrets, and a further
    rotation is refused with 409 unless `force` is set."""

    def act(engine: Engine) -> EndpointWithSecret:
        encryption = request.app.state.encryption
        by, now = endpoints.By(caller.name, order.reason), datetime.now(UTC)
        issued = endpoints.rotate_secret(
            engine, encryption, str(endpoint_id), now, force=order.force, allowed=seen.allows, by=by
        )
        return _with_secret(issued)

    response.headers["Cache-Control"] = "no-store"
    return _tagged(response, await carried_out(request, act))


@router.post("/{endpoint_id}/disable", summary="Send nothing more")
async def disable(
    request: Request, response: Response, caller: Writer, endpoint_id: SeenId, seen: IfGiven, order: Order
) -> EndpointOut:
    """What waits becomes failed and can be sent again later; events that happen meanwhile are not kept for it."""

    def act(engine: Engine) -> EndpointOut:
        by = endpoints.By(caller.name, order.reason)
        return _out(endpoints.disable(engine, str(endpoint_id), order.reason, allowed=seen.allows, by=by))

    return _tagged(response, await carried_out(request, act))


@router.post("/{endpoint_id}/enable", summary="Send events again, from now on")
async def enable(
    request: Request, response: Response, caller: Writer, endpoint_id: SeenId, seen: IfGiven, order: Order
) -> EndpointOut:
    """What failed before can be had with `resend`."""

    def act(engine: Engine) -> EndpointOut:
        by = endpoints.By(caller.name, order.reason)
        return _out(endpoints.enable(engine, str(endpoint_id), allowed=seen.allows, by=by))

    return _tagged(response, await carried_out(request, act))


def _tagged(response: Response, shown: Shown) -> Shown:
    response.headers["ETag"] = etag(shown.version)
    return shown


def found_endpoint(engine: Engine, endpoint_id: UUID) -> rows.Endpoint:
    """The endpoint of that id. Raises UnknownEndpoint."""
    with transaction(engine) as connection:
        found = rows.find_endpoint(connection, str(endpoint_id))
    if found is None:
        raise endpoints.UnknownEndpoint(f"there is no webhook endpoint {endpoint_id}")
    return found


def _out(endpoint: rows.Endpoint) -> EndpointOut:
    return EndpointOut.model_validate(endpoint._asdict())


def _with_secret(issued: endpoints.Issued) -> EndpointWithSecret:
    return EndpointWithSecret.model_validate({**issued.endpoint._asdict(), "secret": issued.secret})


async def carried_out(request: Request, work: Callable[[Engine], Answer]) -> Answer:
    """`work` in a thread; what it raises for the caller becomes a problem."""
    try:
        return await asyncio.to_thread(work, request.app.state.engine)
    except Exception as error:
        problem = _problem(error)
        if problem is None:
            raise
        raise problem from None


def _problem(error: Exception) -> Problem | None:
    known: dict[type[Exception], tuple[int, str]] = {
        endpoints.UnknownEndpoint: (404, "no_such_endpoint"),
        UnknownMessage: (404, "no_such_message"),
        BadUrl: (422, "bad_url"),
        BadKinds: (422, "bad_kinds"),
        endpoints.EndpointExists: (409, "endpoint_exists"),
        endpoints.RotatedLately: (409, "rotated_lately"),
        EndpointOff: (409, "endpoint_disabled"),
    }
    if isinstance(error, endpoints.EndpointMoved):
        return moved(error.version)
    if isinstance(error, SecretKeyError):
        detail = "Secrets cannot be stored here: MASTHEAD_SECRET_KEY is missing or wrong."
        return Problem(503, "no_secret_key", detail)
    for kind, (status, name) in known.items():
        if isinstance(error, kind):
            more: dict[str, Any] = {}
            if isinstance(error, endpoints.EndpointExists):
                more["endpoint_id"] = error.endpoint_id
            return Problem(status, name, str(error), **more)
    return None
