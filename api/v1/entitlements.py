"""Access over HTTP: what paywalls ask, what readers use of a metered feature, what an account's readers may."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from api.problems import Problem
from api.security import Caller, require_scope
from domain.catalog import FeatureAllowance
from domain.entitlement_check import Reason
from domain.entitlements import Because, SourceKind
from operations.entitlements.paywall import Answer, Left, Paywall, UnknownFeature
from operations.entitlements.paywall import Reader as Who
from storage.database import transaction
from storage.entitlements import StoredGrant, list_grants
from storage.statements import DatabaseAway

router = APIRouter(prefix="/v1/entitlements", tags=["entitlements"])

Reader = Annotated[Caller, Depends(require_scope("entitlements:read"))]
Writer = Annotated[Caller, Depends(require_scope("entitlements:write"))]
Mode = Literal["live", "test"]
Key = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
FeatureCode = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9][a-z0-9-]*$")]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Use(_In):
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

    subscriber: Key | None = None
    visitor: Key | None = None
    feature: FeatureCode
    resource: Key
    mode: Mode = "live"

    @model_validator(mode="after")
    def _one_reader(self) -> Use:
        _one_of(self.subscriber, self.visitor)
        return self


class Merge(_In):
    """Whose readings are whose, now that the visitor is logged in. All features, or one."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"visitor": "b7f0c1", "subscriber": "019a0000-0000-7000-8000-000000000000"}
        },
    )

    visitor: Key
    subscriber: Key
    feature: FeatureCode | None = None
    mode: Mode = "live"


class Source(BaseModel):
    """What access comes from: a subscription, a gift or a purchase."""

    kind: SourceKind
    id: UUID


class AllowanceOut(BaseModel):
    """A metered allowance: of `count`, `used` count now; more than `left` there will be on the local day
    `next_free_on`. `warn`: few are left."""

    count: int
    used: int
    left: int
    next_free_on: date | None
    warn: bool


class AccessOut(BaseModel):
    """Whether the reader may. `until` is when the deciding grant ends, or ended (`because` says why), `from` when one
    that is to come begins; `allowance` is there where use is metered."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "allowed": True,
                "reason": "granted",
                "from": "2026-11-01T05:00:00Z",
                "until": None,
                "because": None,
                "source": {"kind": "subscription", "id": "019a0000-0000-7000-8000-000000000000"},
                "allowance": None,
            }
        },
    )

    allowed: bool
    reason: Reason
    from_: datetime | None = Field(alias="from")
    until: datetime | None
    because: Because | None
    source: Source | None
    allowance: AllowanceOut | None


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


@router.get("/check", summary="Whether a reader may use a feature", response_model=AccessOut)
async def check_access(
    request: Request,
    _: Reader,
    feature: Annotated[FeatureCode, Query(description="code of the feature")],
    subscriber: Annotated[Key | None, Query(description="a reader who is logged in")] = None,
    visitor: Annotated[Key | None, Query(description="a reader who is not")] = None,
    resource: Annotated[Key | None, Query(description="the article, of a metered feature")] = None,
    at: Annotated[AwareDatetime | None, Query(description="the instant; now, if left out")] = None,
    mode: Mode = "live",
) -> Any:
    """Counts nothing; see `use`. A reader of whom nothing is known is denied with `no_grant`; 404 for a feature that
    the catalog does not have."""
    who = _who(subscriber, visitor, mode)
    try:
        answer = await _paywall(request).check(who, feature, at or datetime.now(UTC), resource)
    except UnknownFeature as error:
        raise Problem(404, "no_such_feature", str(error)) from None
    except DatabaseAway as error:
        raise _away() from error
    return _access(answer)


@router.post("/use", summary="Let a reader use a resource, and count it where use is metered")
async def use_feature(request: Request, _: Writer, use: Use) -> UseOut:
    """Again for a resource that counts already is free, so it may be sent again. An allowance is never oversold."""
    who = _who(use.subscriber, use.visitor, use.mode)
    try:
        answer = await _paywall(request).use(who, use.feature, use.resource, datetime.now(UTC))
    except UnknownFeature as error:
        raise Problem(404, "no_such_feature", str(error)) from None
    except DatabaseAway as error:
        raise _away() from error
    return UseOut.model_validate({**_access(answer), "counted": answer.counted})


@router.post("/merge", summary="At login: what the visitor has read counts with the subscriber's own")
async def merge_readings(request: Request, _: Writer, merge: Merge) -> Merged:
    """An article that both read counts once. May be sent again."""
    try:
        found = await _paywall(request).merge(
            merge.visitor, merge.subscriber, merge.mode, merge.feature, datetime.now(UTC)
        )
    except UnknownFeature as error:
        raise Problem(404, "no_such_feature", str(error)) from None
    except DatabaseAway as error:
        raise _away() from error
    return Merged(
        allowances={feature: AllowanceOut.model_validate(_allowance(left)) for feature, left in found.items()}
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


def _one_of(subscriber: str | None, visitor: str | None) -> None:
    if (subscriber is None) == (visitor is None):
        raise ValueError("give either subscriber or visitor")


def _who(subscriber: str | None, visitor: str | None, mode: str) -> Who:
    try:
        _one_of(subscriber, visitor)
    except ValueError as error:
        raise Problem(422, "invalid_request", f"{error}.") from None
    return Who(subscriber or visitor or "", mode, visitor is not None)


def _paywall(request: Request) -> Paywall:
    paywall: Paywall = request.app.state.paywall
    return paywall


def _away() -> Problem:
    return Problem(503, "unavailable", "The database does not answer at the moment; try again.")


def _access(answer: Answer) -> dict[str, Any]:
    grant = answer.grant
    return {
        "allowed": answer.allowed,
        "reason": answer.reason.value,
        "from": None if grant is None else grant.starts_at.astimezone(UTC),
        "until": None if grant is None or grant.ends_at is None else grant.ends_at.astimezone(UTC),
        "because": None if grant is None or grant.because is None else grant.because.value,
        "source": None if grant is None else {"kind": grant.source_kind.value, "id": grant.source_id},
        "allowance": None if answer.left is None else _allowance(answer.left),
    }


def _allowance(left: Left) -> dict[str, Any]:
    return {
        "count": left.count,
        "used": left.used,
        "left": left.left,
        "next_free_on": left.next_free_on,
        "warn": left.warn,
    }
