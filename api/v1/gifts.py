"""Gifts bought in checkouts, claimed by their readers."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from api.database import in_transaction
from api.problems import Problem
from api.security import Caller, require_scope
from api.v1.commanding import told
from contracts.checkout import CheckoutStatus
from domain.account.commands import ClaimGift
from operations.accounts.commands import accepted, carry_out
from operations.checkout.offer import CART
from storage.checkouts import NoSuchCheckout, read_checkout
from storage.database import PgConnection
from storage.entitlements import list_grants

router = APIRouter(prefix="/v1/checkouts", tags=["checkout"])

Writer = Annotated[Caller, Depends(require_scope("checkout:write"))]


class Claim(BaseModel):
    """Who claims the gift. reader: their key, needed where the cart named nobody. starts_on: a later first day, as far
    as the gift policy allows."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"reader": "reader-42"}})

    reader: str | None = Field(None, min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_.:-]+$")
    starts_on: date | None = None


class ClaimedGift(BaseModel):
    """What the reader may use by it, from `starts_at` until `ends_at`."""

    reader: str
    features: list[str]
    starts_at: datetime | None
    ends_at: datetime | None


@router.post("/{checkout_id}/claim", summary="Claim the gift that was bought")
async def claim(request: Request, caller: Writer, checkout_id: UUID, asked: Claim) -> ClaimedGift:
    """Access begins. Again for the same reader it changes nothing. 409 for a checkout of no gift, for one
    that is not complete, and for a gift that was claimed by somebody else, has expired or was refunded."""
    state = request.app.state
    own = str(checkout_id)

    def work(connection: PgConnection) -> ClaimedGift:
        none = Problem(404, "no_such_checkout", f"There is no checkout {own}.")
        try:
            row = read_checkout(connection, own)
        except NoSuchCheckout:
            raise none from None
        if caller.mode not in (None, row.mode) or caller.account_id not in (None, row.account_id):
            raise none
        gift = next((item.gift for item in CART.validate_python(row.cart)), None)
        if gift is None:
            raise Problem(409, "refused", "This checkout sold no gift.")
        if row.status != CheckoutStatus.COMPLETED:
            raise Problem(409, "gift_not_paid", "The gift is not paid, so it cannot be claimed yet.")
        reader = gift.recipient or asked.reader
        if reader is None or asked.reader not in (None, reader):
            raise Problem(409, "other_reader", "Name the reader whom the gift is for.")
        # A repetition is the same command.
        name = f"claim/{own}/{reader}/{asked.starts_on}"
        step = ClaimGift(
            at=row.created_at.date(), do="claim", gift=row.id, starts_on=asked.starts_on, reader=reader
        )
        with told():
            tariff = state.tariffs.current(connection)
            accepted(carry_out(connection, tariff, row.account_id, name, step, datetime.now(UTC)))
        given = [
            each.grant
            for each in list_grants(connection, row.account_id)
            if each.grant.source_kind == "gift" and each.grant.subscriber == reader
        ]
        return ClaimedGift(
            reader=reader,
            features=sorted({each.feature for each in given}),
            starts_at=min((each.starts_at for each in given), default=None),
            ends_at=max((each.ends_at for each in given if each.ends_at), default=None),
        )

    return await in_transaction(request, work)
