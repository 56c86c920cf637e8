"""API keys over HTTP: made, rotated and revoked by keys that may do so."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.database import in_transaction
from api.paging import Paged, cut
from api.problems import Problem
from api.security import Caller, require_scope
from operations.api_keys import (
    LONGEST_NAME,
    LONGEST_OVERLAP,
    By,
    Issued,
    KeyOver,
    KeyRefused,
    UnknownKey,
    create_key,
    read_key,
    revoke_key,
    rotate_key,
)
from storage.api_keys import ApiKey, list_keys
from storage.database import PgConnection

router = APIRouter(prefix="/v1/api-keys", tags=["API keys"])

Answer = TypeVar("Answer")
Reader = Annotated[Caller, Depends(require_scope("keys:read"))]
Writer = Annotated[Caller, Depends(require_scope("keys:write"))]
Reason = Annotated[str, Field(min_length=1, max_length=1000)]
_EXAMPLE: dict[str, Any] = {
    "id": "01a205bd-7c1e-7000-8000-000000000008",
    "name": "web store",
    "scopes": ["catalog:read", "checkout:write"],
    "mode": "live",
    "account_id": None,
    "created_at": "2026-12-01T09:30:00Z",
    "expires_at": "2027-12-01T00:00:00Z",
    "rotated_at": None,
    "revoked_at": None,
    "last_used_at": None,
}
_MOST_SECONDS = int(LONGEST_OVERLAP.total_seconds())


class NewKey(BaseModel):
    """A key to be made. It cannot have a scope or a mode that the key lacks which asks for it."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "name": "web store",
                "scopes": ["catalog:read", "checkout:write"],
                "mode": "live",
                "expires_at": "2027-12-01T00:00:00Z",
                "reason": "the store's new server",
            }
        },
    )

    name: str = Field(min_length=1, max_length=LONGEST_NAME, description="who uses it")
    scopes: list[Annotated[str, Field(max_length=60)]] = Field(
        min_length=1, max_length=60, description="what it may do; * is everything"
    )
    mode: Literal["live", "test"] | None = Field(
        default=None, description="which accounts it sees; null: the mode of your key, or either"
    )
    account_id: UUID | None = Field(
        default=None, description="the one account it sees: as for My Account; others are 404"
    )
    expires_at: AwareDatetime | None = Field(default=None, description="null: never")
    reason: Reason


class Rotation(BaseModel):
    """How a key gets a new secret."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"overlap_seconds": 86400, "reason": "yearly rotation"}}
    )

    overlap_seconds: int = Field(
        default=86400, ge=0, le=_MOST_SECONDS, description="how long the secret before still opens"
    )
    reason: Reason


class Revocation(BaseModel):
    """Why a key ends."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"reason": "its laptop was lost"}}
    )

    reason: Reason


class KeyOut(BaseModel):
    """A key, without its secret. last_used_at: to the hour."""

    model_config = ConfigDict(json_schema_extra={"example": _EXAMPLE})

    id: UUID
    name: str
    scopes: list[str]
    mode: str | None
    account_id: UUID | None
    created_at: AwareDatetime
    expires_at: AwareDatetime | None
    rotated_at: AwareDatetime | None
    revoked_at: AwareDatetime | None
    last_used_at: AwareDatetime | None


class KeyWithSecret(KeyOut):
    """A key with its secret, which is shown this once."""

    model_config = ConfigDict(json_schema_extra={"example": {**_EXAMPLE, "secret": "mh_..."}})

    secret: str = Field(repr=False)


class Keys(BaseModel):
    """Keys, oldest first. next: pass it as `after` for what follows; null at the end."""

    items: list[KeyOut]
    next: str | None


@router.get("", summary="API keys")
async def list_all(request: Request, caller: Reader, page: Paged) -> Keys:
    """Oldest first, also those that are over."""
    after = page.after_id
    found = await in_transaction(
        request,
        lambda connection: list_keys(connection, mode=caller.mode, after=after, limit=page.limit + 1),
    )
    shown, following = cut(found, page.limit, lambda key: key.id)
    return Keys(items=[_out(key) for key in shown], next=following)


@router.get("/{key_id}", summary="One API key")
async def show(request: Request, caller: Reader, key_id: UUID) -> KeyOut:
    """404 when there is none with this id."""
    return _out(await _do(request, lambda connection: read_key(connection, str(key_id), sight=caller.sight)))


@router.post("", status_code=201, summary="Make an API key")
async def create(request: Request, response: Response, caller: Writer, order: NewKey) -> KeyWithSecret:
    """The secret is shown in this answer and never again; so a repetition makes another key."""
    if caller.mode is not None and order.mode not in (None, caller.mode):
        raise Problem(422, "other_mode", f"Your key is for {caller.mode} mode, and so are those it makes.")
    issued = await _do(
        request,
        lambda connection: create_key(
            connection,
            name=order.name,
            scopes=order.scopes,
            mode=order.mode or caller.mode,
            account_id=str(order.account_id) if order.account_id else None,
            expires_at=order.expires_at,
            now=datetime.now(UTC),
            by=_by(caller, order.reason),
        ),
    )
    response.headers["Location"] = f"{router.prefix}/{issued.key.id}"
    return _with_secret(response, issued)


@router.post("/{key_id}/rotate", summary="Give an API key a new secret")
async def rotate(
    request: Request, response: Response, caller: Writer, key_id: UUID, order: Rotation
) -> KeyWithSecret:
    """The new secret is shown in this answer and never again; the one before opens for `overlap_seconds` longer."""
    issued = await _do(
        request,
        lambda connection: rotate_key(
            connection,
            str(key_id),
            overlap=timedelta(seconds=order.overlap_seconds),
            now=datetime.now(UTC),
            by=_by(caller, order.reason),
            sight=caller.sight,
        ),
    )
    return _with_secret(response, issued)


@router.post("/{key_id}/revoke", summary="End an API key")
async def revoke(request: Request, caller: Writer, key_id: UUID, order: Revocation) -> KeyOut:
    """With all its secrets, within two seconds. Repeating it changes nothing."""
    return _out(
        await _do(
            request,
            lambda connection: revoke_key(
                connection,
                str(key_id),
                now=datetime.now(UTC),
                by=_by(caller, order.reason),
                sight=caller.sight,
            ),
        )
    )


def _by(caller: Caller, reason: str) -> By:
    return By(caller.name, reason, caller.scopes)


def _out(key: ApiKey) -> KeyOut:
    return KeyOut.model_validate(key._asdict())


def _with_secret(response: Response, issued: Issued) -> KeyWithSecret:
    response.headers["Cache-Control"] = "no-store"
    return KeyWithSecret.model_validate({**issued.key._asdict(), "secret": issued.secret})


async def _do(request: Request, work: Callable[[PgConnection], Answer]) -> Answer:
    try:
        answer = await in_transaction(request, work)
    except UnknownKey as error:
        raise Problem(404, "no_such_key", _sentence(error)) from None
    except KeyOver as error:
        raise Problem(409, "key_over", _sentence(error)) from None
    except KeyRefused as error:
        raise Problem(422, "bad_key_order", f"{error.field}: {error}.", field=error.field) from None
    request.app.state.keys.forget()
    return answer


def _sentence(error: Exception) -> str:
    words = str(error)
    return f"{words[:1].upper()}{words[1:]}."
