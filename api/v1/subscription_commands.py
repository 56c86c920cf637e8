"""Commands on a subscription over HTTP. Each is answered at once from the books, also while Temporal is away; what
follows from it outside is carried out afterwards."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from api.etags import IfGiven, etag
from api.idempotency import Once, Reply
from api.v1.accounts import no_such_account
from api.v1.command_route import CommandRoute
from api.v1.commanding import CommandOut, OnSubscription, Standing, Writer, command_id, refuse_own_terms, told
from api.v1.subscriptions import no_such_subscription
from domain.account import commands as verbs
from domain.catalog import AmountText, Code
from domain.policy import Behaviour
from operations.accounts.transfers import hand_over
from operations.tariffs import Tariffs
from storage.account_records import find_account
from storage.database import PgConnection
from storage.subscription_views import find_place

router = APIRouter(
    prefix="/v1/subscriptions/{subscription_id}", tags=["subscription commands"], route_class=CommandRoute
)

Quantity = Annotated[
    Decimal, Field(ge=1, le=1_000_000, multiple_of=1, description="seats, copies: whole ones")
]


class _In(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ChangePlanIn(_In):
    """Another plan, or another version of it. behaviour: instead of the rule book's for the direction of the change.
    invoice_now: what it charges is invoiced at once, not with the next bill."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"to": "reader", "invoice_now": True}}
    )

    to: Code = Field(description="the plan to change to")
    item: Code | None = Field(None, description="the plan that is replaced, where there are several")
    version: Annotated[int, Field(gt=0, le=32_767)] | None = Field(
        None, description="default: the one sold today"
    )
    price_override: AmountText | None = Field(
        None, description="in major units, in place of the plan's first recurring price"
    )
    behaviour: Behaviour | None = None
    invoice_now: bool = False


class ChangeQuantityIn(_In):
    """The new quantity, not the difference."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"quantity": "3"}})

    quantity: Quantity
    item: Code | None = Field(None, description="its plan, where there are several")
    behaviour: Behaviour | None = None
    invoice_now: bool = False


class PauseIn(_In):
    """until: the day on which it resumes by itself."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"until": "2099-01-15"}})

    until: date | None = None


class CancelIn(_In):
    """when: at once, or when what is charged runs out. credit: instead of the rule book's."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"when": "end_of_period"}})

    when: Literal["now", "end_of_period"] = "end_of_period"
    credit: Literal["prorated", "none", "whole_period"] | None = None


class CouponIn(_In):
    """A coupon of the rule book."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"coupon": "WELCOME"}})

    coupon: Annotated[str, Field(min_length=1, max_length=100)]


class HolidayStopIn(_In):
    """No delivery from the first day until the day of delivery again."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"from": "2099-07-01", "until": "2099-07-15"}}
    )

    start: date = Field(alias="from")
    until: date


class TransferIn(_In):
    """Another account pays from the day on which what is charged runs out. external_key: of its subscription."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"to_account_id": "01a205bd-7c1e-7000-8000-000000000001"}},
    )

    to_account_id: UUID
    external_key: Annotated[str, Field(min_length=1, max_length=200)] | None = None


class TransferOut(BaseModel):
    """Both sides of a transfer."""

    account: UUID
    subscription: Standing
    to: CommandOut


@router.post("/change-plan", summary="Change the plan", response_model=CommandOut)
async def change_plan(on: OnSubscription, order: ChangePlanIn) -> Response:
    """As the rule book says for the direction of the change, or as `behaviour` does."""
    refuse_own_terms(on.caller, order, ("version", "price_override", "behaviour"))
    return await on.carry_out(
        lambda name, today: verbs.ChangePlan(
            at=today, do="change_plan", subscription=name, **order.model_dump(exclude={"invoice_now"})
        ),
        invoice_now=order.invoice_now,
    )


@router.post("/change-quantity", summary="Change the quantity", response_model=CommandOut)
async def change_quantity(on: OnSubscription, order: ChangeQuantityIn) -> Response:
    """More is an upgrade, less a downgrade."""
    refuse_own_terms(on.caller, order, ("behaviour",))
    return await on.carry_out(
        lambda name, today: verbs.ChangeQuantity(
            at=today, do="change_quantity", subscription=name, **order.model_dump(exclude={"invoice_now"})
        ),
        invoice_now=order.invoice_now,
    )


@router.post("/pause", summary="Pause", response_model=CommandOut)
async def pause(on: OnSubscription, order: PauseIn) -> Response:
    """No service and no charge from today on."""
    return await on.carry_out(
        lambda name, today: verbs.Pause(at=today, do="pause", subscription=name, until=order.until),
    )


@router.post("/resume", summary="Resume", response_model=CommandOut)
async def resume(on: OnSubscription) -> Response:
    """The end of a pause; today is served."""
    return await on.carry_out(
        lambda name, today: verbs.Resume(at=today, do="resume", subscription=name),
    )


@router.post("/cancel", summary="Cancel", response_model=CommandOut)
async def cancel(on: OnSubscription, order: CancelIn) -> Response:
    """At once the cancel day is not billed; at the end of the period all that is paid for is served."""
    refuse_own_terms(on.caller, order, ("credit",))
    return await on.carry_out(
        lambda name, today: verbs.Cancel(at=today, do="cancel", subscription=name, **order.model_dump()),
    )


@router.post("/reactivate", summary="Undo a cancel, or come back after it", response_model=CommandOut)
async def reactivate(on: OnSubscription) -> Response:
    """Before its end a cancel is taken back; after it a new period begins, without a second trial or intro."""
    return await on.carry_out(
        lambda name, today: verbs.Reactivate(at=today, do="reactivate", subscription=name),
    )


@router.post("/apply-coupon", summary="Apply a coupon", response_model=CommandOut)
async def apply_coupon(on: OnSubscription, order: CouponIn) -> Response:
    """From the next bill on."""
    return await on.carry_out(
        lambda name, today: verbs.ApplyCoupon(
            at=today, do="apply_coupon", subscription=name, coupon=order.coupon
        ),
    )


@router.post("/holiday-stop", summary="Stop delivery for some days", response_model=CommandOut)
async def holiday_stop(on: OnSubscription, order: HolidayStopIn) -> Response:
    """A credit for each missed issue comes on the next bill, where the print cut-off allows."""
    return await on.carry_out(
        lambda name, today: verbs.HolidayStop.model_validate(
            {
                "at": today,
                "do": "holiday_stop",
                "subscription": name,
                "from": order.start,
                "until": order.until,
            }
        ),
    )


@router.post("/transfer", summary="Hand over to another payer", response_model=TransferOut)
async def transfer(
    request: Request, caller: Writer, once: Once, seen: IfGiven, subscription_id: UUID, order: TransferIn
) -> Response:
    """It ends with this account when what is charged runs out, and goes on with the other from that day."""
    tariffs: Tariffs = request.app.state.tariffs
    to = str(order.to_account_id)

    def work(connection: PgConnection) -> Reply:
        found = find_place(connection, caller.sight, str(subscription_id))
        if found is None:
            raise no_such_subscription(subscription_id)
        if find_account(connection, caller.sight, to) is None:
            raise no_such_account(to)
        tariff = tariffs.current(connection)
        own, name = found
        with told():
            outcome = hand_over(
                connection,
                tariff,
                name,
                own,
                to,
                command_id(once),
                datetime.now(UTC),
                new_name=order.external_key,
                expected=seen.versions,
            )
        body = TransferOut.model_validate(outcome.answer)
        version = body.subscription.version
        return Reply(body, headers={} if version is None else {"ETag": etag(version)}, account_id=own)

    return await once.answer(work)
