"""What the routes of access share: who is asked for, and how an answer looks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from api.problems import Problem
from api.security import Caller
from domain.entitlement_check import Reason
from domain.entitlements import Because, SourceKind
from operations.entitlements.paywall import Answer, Left, Paywall, Reader, UnknownFeature, UnknownReader
from storage.allowances import VISITOR
from storage.statements import DatabaseAway


def _no_visitor(key: str) -> str:
    if key.startswith(VISITOR):
        raise ValueError(f"a subscriber's key does not begin with {VISITOR!r}; give a visitor's as visitor")
    return key


EXAMPLE_ACCOUNT = "01a205bd-7c1e-7000-8000-000000000001"
Mode = Literal["live", "test"]
Key = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]
SubscriberKey = Annotated[Key, AfterValidator(_no_visitor)]
FeatureCode = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9][a-z0-9-]*$")]


class AskedReader(BaseModel):
    """`subscriber` is a reader who is logged in, `visitor` one who is not (any stable id): one of them."""

    model_config = ConfigDict(extra="forbid")

    subscriber: SubscriberKey | None = Field(default=None, description="a reader who is logged in")
    visitor: Key | None = Field(default=None, description="a reader who is not")
    mode: Mode | None = Field(default=None, description="live, unless the key is of the other mode")

    @model_validator(mode="after")
    def _one_reader(self) -> AskedReader:
        if (self.subscriber is None) == (self.visitor is None):
            raise ValueError("give either subscriber or visitor")
        return self

    def reader(self, caller: Caller) -> Reader:
        """Who is meant, as far as `caller` may see. Raises Problem (403) for a visitor, who is of no account, where
        the key is of one."""
        if self.visitor is not None and caller.account_id is not None:
            raise Problem(403, "not_for_account_keys", "A key of one account cannot ask for visitors.")
        return Reader(
            self.subscriber or self.visitor or "",
            self.mode,
            visitor=self.visitor is not None,
            sight=caller.sight,
        )


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


ACCESS_EXAMPLE: dict[str, Any] = {
    "allowed": True,
    "reason": "granted",
    "from": "2026-11-01T05:00:00Z",
    "until": None,
    "because": None,
    "source": {"kind": "subscription", "id": "01a205bd-7c1e-7000-8000-000000000002"},
    "allowance": None,
}


class AccessOut(BaseModel):
    """Whether the reader may. `until` is when the deciding grant ends, or ended (`because` says why), `from` when one
    that is to come begins; `allowance` is there where use is metered."""

    model_config = ConfigDict(json_schema_extra={"example": ACCESS_EXAMPLE})

    allowed: bool
    reason: Reason
    from_: datetime | None = Field(alias="from")
    until: datetime | None
    because: Because | None
    source: Source | None
    allowance: AllowanceOut | None


@contextmanager
def paywall_of(request: Request) -> Iterator[Paywall]:
    """The application's paywall, its errors made problems: 404 for an unknown feature or a subscriber that is not for
    this caller, 503 without the database."""
    try:
        yield request.app.state.paywall
    except UnknownFeature as error:
        raise Problem(404, "no_such_feature", f"{error}.") from None
    except UnknownReader as error:
        raise Problem(404, "no_such_subscriber", f"{error}.") from None
    except DatabaseAway as error:
        raise Problem(
            503,
            "database_away",
            "The database does not answer at the moment, or was too busy.",
            headers={"Retry-After": "5"},
        ) from error


def access(answer: Answer) -> dict[str, Any]:
    """`answer` as AccessOut says it, ready for JSON."""
    grant = answer.grant
    return {
        "allowed": answer.allowed,
        "reason": answer.reason.value,
        "from": None if grant is None else _instant(grant.starts_at),
        "until": None if grant is None or grant.ends_at is None else _instant(grant.ends_at),
        "because": None if grant is None or grant.because is None else grant.because.value,
        "source": None if grant is None else {"kind": grant.source_kind.value, "id": grant.source_id},
        "allowance": None if answer.left is None else allowance(answer.left),
    }


def allowance(left: Left) -> dict[str, Any]:
    """`left` as AllowanceOut says it, ready for JSON."""
    return {
        "count": left.count,
        "used": left.used,
        "left": left.left,
        "next_free_on": None if left.next_free_on is None else left.next_free_on.isoformat(),
        "warn": left.warn,
    }


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")
