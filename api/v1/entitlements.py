"""Access over HTTP: what paywalls ask, what readers use of a metered feature, what an account's readers may."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict

from api.problems import Problem
from api.security import Caller, require_scope
from api.v1.access import (
    AccessOut,
    AllowanceOut,
    AskedReader,
    FeatureCode,
    Key,
    Mode,
    Source,
    SubscriberKey,
    access,
    allowance,
    paywall_of,
)
from domain.catalog import FeatureAllowance
from domain.entitlements import Because
from storage.database import transaction
from storage.entitlements import StoredGrant, list_grants

router = APIRouter(prefix="/v1/entitlements", tags=["entitlements"])

Reader = Annotated[Caller, Depends(require_scope("entitlements:read"))]
Writer = Annotated[Caller, Depends(require_scope("entitlements:write"))]


class Use(AskedReader):
    """Who reads what. `subscriber` is a reader who is logged in, `visitor` one who is not (any stable id)."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "subscriber": "019a0000-0000-7000-8000-000000000000",
                "feature": "news",
                "resource": "article-1911",
            }
        },
    )

    feature: FeatureCode
    resource: Key


class Merge(BaseModel):
    """Whose readings are whose, now that the visitor is logged in. All features, or one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"visitor": "b7f0c1", "subscriber": "019a0000-0000-7000-8000-000000000000"}
        },
    )

    visitor: Key
    subscriber: SubscriberKey
    feature: FeatureCode | None = None
    mode: Mode = "live"


class UseOut(AccessOut):
    """The same after the use; `counted` says whether this one took one of the allowance."""

    counted: bool


class Merged(BaseModel):
    """How the subscriber stands after it, by feature; what is not metered is not named."""

    allowances: dict[str, AllowanceOut]


class GrantOut(BaseModel):
    """A grant: `subscriber` may use `feature` from `starts_at` until `ends_at`, within `allowance`."""

    id: UUID
    subscriber: str
    feature: str
    source: Source
    starts_at: datetime
    ends_at: datetime | None
    because: Because | None
    allowance: FeatureAllowance | None
    version: int


class Grants(BaseModel):
    """All grants of an account, those that are over among them, by reader and feature in order of time."""

    items: list[GrantOut]


@router.post("/use", summary="Let a reader use a resource, and count it where use is metered")
async def use_feature(request: Request, _: Writer, use: Use) -> UseOut:
    """Again for a resource that counts already is free, so it may be sent again. An allowance is never oversold."""
    with paywall_of(request) as paywall:
        answer = await paywall.use(use.reader, use.feature, use.resource, datetime.now(UTC))
    return UseOut.model_validate({**access(answer), "counted": answer.counted})


@router.post("/merge", summary="At login: what the visitor has read counts with the subscriber's own")
async def merge_readings(request: Request, _: Writer, merge: Merge) -> Merged:
    """An article that both read counts once. May be sent again."""
    with paywall_of(request) as paywall:
        found = await paywall.merge(
            merge.visitor, merge.subscriber, merge.mode, merge.feature, datetime.now(UTC)
        )
    return Merged(
        allowances={feature: AllowanceOut.model_validate(allowance(left)) for feature, left in found.items()}
    )


@router.get("", summary="What the readers of an account may use")
async def list_entitlements(request: Request, _: Reader, account: UUID) -> Grants:
    """404 when there is no account with this id."""

    def read() -> list[StoredGrant] | None:
        with transaction(request.app.state.engine) as connection:
            known = connection.execute("select from account where id = %s", (account,)).fetchone()
            return None if known is None else list_grants(connection, str(account))

    found = await asyncio.to_thread(read)
    if found is None:
        raise Problem(404, "no_such_account", f"There is no account {account}.")
    return Grants(
        items=[
            GrantOut(
                id=UUID(stored.id),
                subscriber=stored.grant.subscriber,
                feature=stored.grant.feature,
                source=Source(kind=stored.grant.source_kind, id=UUID(stored.grant.source_id)),
                starts_at=stored.grant.starts_at.astimezone(UTC),
                ends_at=None if stored.grant.ends_at is None else stored.grant.ends_at.astimezone(UTC),
                because=stored.grant.because,
                allowance=stored.grant.allowance,
                version=stored.version,
            )
            for stored in found
        ]
    )
