"""Subscriptions over HTTP: find them, and look at one as it stands today."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from api.database import in_transaction
from api.etags import etag
from api.paging import Paged, cut
from api.problems import Problem
from api.security import Caller, require_scope
from api.v1.accounts import no_such_account
from domain.periods import local_date
from domain.subscriptions import State, state_on
from storage.account_records import find_account
from storage.database import PgConnection
from storage.subscription_views import find_subscription, list_subscriptions

router = APIRouter(prefix="/v1/subscriptions", tags=["subscriptions"])

Reader = Annotated[Caller, Depends(require_scope("subscriptions:read"))]


class ItemOut(BaseModel):
    """A plan within a subscription, from starts_on to ends_on (exclusive; null: goes on). price_override: minor units
    a period in place of the plan's first recurring price."""

    id: UUID
    plan: str
    plan_name: str
    version: int
    quantity: str
    price_override: int | None
    starts_on: date
    ends_on: date | None


class DiscountOut(BaseModel):
    """A discount on each bill: a percentage, or an amount in minor units. Days as those of an item."""

    id: UUID
    code: str
    percent: str | None
    amount: int | None
    starts_on: date
    ends_on: date | None


class SubscriptionOut(BaseModel):
    """A subscription. status: as its dates say it on `as_of`, today in the account's time zone. charged_through: the
    first day that no bill has charged yet; next_bill_on: the day whose bill run bills it next. canceled_on: the day on
    which somebody canceled it; resumes_on: when a pause ends by itself; changes_on: when a change of interval comes;
    term_end: until when the subscriber is bound."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "01a205bd-7c1e-7000-8000-000000000002",
                "external_key": "reader-4711",
                "account_id": "01a205bd-7c1e-7000-8000-000000000001",
                "mode": "live",
                "currency": "USD",
                "status": "active",
                "as_of": "2026-12-15",
                "starts_on": "2026-12-01",
                "trial_ends_on": None,
                "ends_on": None,
                "interval_unit": "month",
                "interval_count": 1,
                "anchor_on": "2026-12-01",
                "charged_through": "2027-01-01",
                "next_bill_on": "2027-01-01",
                "term_end": None,
                "canceled_on": None,
                "resumes_on": None,
                "changes_on": None,
                "items": [
                    {
                        "id": "01a205bd-7c1e-7000-8000-000000000003",
                        "plan": "daily-digital",
                        "plan_name": "Daily Digital",
                        "version": 1,
                        "quantity": "1",
                        "price_override": None,
                        "starts_on": "2026-12-01",
                        "ends_on": None,
                    }
                ],
                "discounts": [],
                "version": 1,
                "created_at": "2026-12-01T09:30:00Z",
            }
        }
    )

    id: UUID
    external_key: str
    account_id: UUID
    mode: str
    currency: str
    status: State
    as_of: date
    starts_on: date
    trial_ends_on: date | None
    ends_on: date | None
    interval_unit: str
    interval_count: int
    anchor_on: date
    charged_through: date
    next_bill_on: date | None
    term_end: date | None
    canceled_on: date | None
    resumes_on: date | None
    changes_on: date | None
    items: list[ItemOut]
    discounts: list[DiscountOut]
    version: int = Field(description="what its ETag is made of")
    created_at: AwareDatetime


class Subscriptions(BaseModel):
    """Subscriptions, newest first. next: pass it as `after` for what follows; null at the end."""

    items: list[SubscriptionOut]
    next: str | None


@router.get("", summary="Subscriptions")
async def list_all(
    request: Request,
    caller: Reader,
    page: Paged,
    account_id: Annotated[UUID | None, Query(description="those of this account; 404 without it")] = None,
    external_key: Annotated[str | None, Query(max_length=500, description="the one with this key")] = None,
) -> Subscriptions:
    """Newest first."""
    after, account = page.after_id, str(account_id) if account_id else None

    def read(connection: PgConnection) -> list[dict[str, Any]]:
        if account and find_account(connection, caller.sight, account) is None:
            raise no_such_account(account)
        return list_subscriptions(
            connection,
            caller.sight,
            account_id=account,
            external_key=external_key,
            after=after,
            limit=page.limit + 1,
        )

    found = await in_transaction(request, read)
    shown, following = cut(found, page.limit, lambda row: row["id"])
    now = datetime.now(UTC)
    return Subscriptions(items=[subscription_out(row, now) for row in shown], next=following)


@router.get("/{subscription_id}", summary="One subscription")
async def show(
    request: Request, response: Response, caller: Reader, subscription_id: UUID
) -> SubscriptionOut:
    """With its items, those before and those to come among them, and its ETag."""
    found = await in_transaction(
        request, lambda connection: find_subscription(connection, caller.sight, str(subscription_id))
    )
    if found is None:
        raise no_such_subscription(subscription_id)
    response.headers["ETag"] = etag(found["version"])
    return subscription_out(found, datetime.now(UTC))


def no_such_subscription(subscription_id: object) -> Problem:
    """What is answered for a subscription that is not there, or not for this caller."""
    return Problem(404, "no_such_subscription", f"There is no subscription {subscription_id}.")


def subscription_out(row: dict[str, Any], now: datetime) -> SubscriptionOut:
    """A row of `storage.subscription_views` as it is shown at the instant `now`."""
    # An account on a test clock lives by that clock's time.
    today = local_date(row["clock_at"] or now, ZoneInfo(row["time_zone"]))
    return SubscriptionOut.model_validate({**row, "status": _status(row, today), "as_of": today})


def _status(row: dict[str, Any], today: date) -> State:
    recorded = State(row["recorded_status"])
    if recorded is State.PAUSED and row["resumes_on"] is not None and row["resumes_on"] <= today:
        recorded = State.ACTIVE
    found = state_on(
        recorded,
        starts_on=row["starts_on"],
        trial_ends_on=row["trial_ends_on"],
        ends_on=row["ends_on"],
        day=today,
    )
    # One that was to end by a cancel has not just run out.
    return State.CANCELED if found is State.EXPIRED and row["canceled_on"] is not None else found
