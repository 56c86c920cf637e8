"""Access over HTTP: what paywalls ask, what readers use of a metered feature, what an account's readers may."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict

from api.database import in_snapshot
from api.paging import Paged, bad_cursor, cut, read_cursor
from api.security import Caller, require_scope
from api.v1.access import (
    ACCESS_EXAMPLE,
    EXAMPLE_ACCOUNT,
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
from api.v1.accounts import no_such_account
from domain.catalog import FeatureAllowance
from domain.entitlements import Because
from operations.entitlements.paywall import Reader
from storage.account_records import find_account
from storage.database import PgConnection
from storage.entitlements import StoredGrant, page_of_grants

router = APIRouter(prefix="/v1/entitlements", tags=["entitlements"])

ReadingKey = Annotated[Caller, Depends(require_scope("entitlements:read"))]
Writer = Annotated[Caller, Depends(require_scope("entitlements:write"))]


class Use(AskedReader):
    """Who reads what. `subscriber` is a reader who is logged in, `visitor` one who is not (any stable id)."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "subscriber": EXAMPLE_ACCOUNT,
                "feature": "archive",
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
        json_schema_extra={"example": {"visitor": "b7f0c1", "subscriber": EXAMPLE_ACCOUNT}},
    )

    visitor: Key
    subscriber: SubscriberKey
    feature: FeatureCode | None = None
    mode: Mode | None = None


class UseOut(AccessOut):
    """The same after the use; `counted` says whether this one took one of the allowance."""

    model_config = ConfigDict(json_schema_extra={"example": {**ACCESS_EXAMPLE, "counted": True}})

    counted: bool


class Merged(BaseModel):
    """How the subscriber stands after it, by feature; what is not metered is not named."""

    allowances: dict[str, AllowanceOut]


class GrantOut(BaseModel):
    """A grant: `subscriber` may use `feature` from `starts_at` until `ends_at`, within `allowance`."""

    id: UUID
    account_id: UUID
    subscriber: str
    feature: str
    source: Source
    starts_at: datetime
    ends_at: datetime | None
    because: Because | None
    allowance: FeatureAllowance | None
    version: int


class Grants(BaseModel):
    """Grants. next: pass it as `after` for what follows; null at the end."""

    items: list[GrantOut]
    next: str | None


@router.post("/use", summary="Let a reader use a resource, and count it where use is metered")
async def use_feature(request: Request, caller: Writer, use: Use) -> UseOut:
    """Again for a resource that counts already is free, so it may be sent again. An allowance is never oversold."""
    with paywall_of(request) as paywall:
        answer = await paywall.use(use.reader(caller), use.feature, use.resource, datetime.now(UTC))
    return UseOut.model_validate({**access(answer), "counted": answer.counted})


@router.post("/merge", summary="At login: what the visitor has read counts with the subscriber's own")
async def merge_readings(request: Request, caller: Writer, merge: Merge) -> Merged:
    """An article that both read counts once. May be sent again."""
    with paywall_of(request) as paywall:
        found = await paywall.merge(
            merge.visitor,
            Reader(merge.subscriber, merge.mode, sight=caller.sight),
            merge.feature,
            datetime.now(UTC),
        )
    return Merged(
        allowances={feature: AllowanceOut.model_validate(allowance(left)) for feature, left in found.items()}
    )


@router.get("", summary="What readers may use")
async def list_entitlements(
    request: Request,
    caller: ReadingKey,
    page: Paged,
    account_id: Annotated[
        UUID | None, Query(description="of the readers of this account; 404 without it")
    ] = None,
) -> Grants:
    """Grants, those that are over among them, by account."""
    account = None if account_id is None else str(account_id)
    after = None if page.after is None else _after(page.after)

    def read(connection: PgConnection) -> list[StoredGrant]:
        if account is not None and find_account(connection, caller.sight, account) is None:
            raise no_such_account(account)
        return page_of_grants(connection, caller.sight, account_id=account, after=after, limit=page.limit + 1)

    found = await in_snapshot(request, read)
    shown, following = cut(found, page.limit, lambda each: f"{each.account_id},{each.id}")
    return Grants(items=[_out(each) for each in shown], next=following)


def _after(cursor: str) -> tuple[str, str]:
    account, grant = read_cursor(cursor, 2)
    try:
        return str(UUID(account)), str(UUID(grant))
    except ValueError:
        raise bad_cursor() from None


def _out(stored: StoredGrant) -> GrantOut:
    grant = stored.grant
    return GrantOut(
        id=UUID(stored.id),
        account_id=UUID(stored.account_id),
        subscriber=grant.subscriber,
        feature=grant.feature,
        source=Source(kind=grant.source_kind, id=UUID(grant.source_id)),
        starts_at=grant.starts_at.astimezone(UTC),
        ends_at=None if grant.ends_at is None else grant.ends_at.astimezone(UTC),
        because=grant.because,
        allowance=grant.allowance,
        version=stored.version,
    )
