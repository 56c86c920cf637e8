"""Quotes: what a cart comes to, with discounts and tax, without writing anything."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.problems import Problem
from api.security import Caller, require_scope
from api.v1.accounts import no_such_account
from domain.account.buying import CartItem
from operations.checkout.begin import MOST_ITEMS, OpenedAccount
from operations.checkout.offer import Offer, account_for, offer
from storage.account_records import find_account
from storage.database import transaction

router = APIRouter(prefix="/v1/quotes", tags=["checkout"])

Buyer = Annotated[Caller, Depends(require_scope("checkout:write"))]
EXAMPLE_ACCOUNT = {"currency": "USD", "time_zone": "America/New_York", "tax_region": "US-NY"}
EXAMPLE_CART: dict[str, Any] = {"items": [{"plan": "digital-monthly"}], "account": EXAMPLE_ACCOUNT}


class Cart(BaseModel):
    """What shall be bought, for the account `account_id` or for one that would be opened on the terms `account`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": EXAMPLE_CART})

    items: list[CartItem] = Field(min_length=1, max_length=MOST_ITEMS)
    account_id: UUID | None = None
    account: OpenedAccount | None = None

    @model_validator(mode="after")
    def _one_account(self) -> Cart:
        if (self.account_id is None) == (self.account is None):
            raise ValueError("give account_id, or the terms of a new account, one of the two")
        return self


class Quote(Offer):
    """What a cart comes to now. Amounts in minor units of the currency; `due` is what a checkout would charge now.
    tax_by: `table` where that is the tax of invoices; `estimate` where a tax engine is connected, which a quote does
    not ask and a checkout does: its tax, and so what is due, may be another then. Do not send an estimated `due` with
    a checkout."""

    tax_by: Literal["table", "estimate"]


@router.post("", summary="What a cart comes to, with tax")
async def quote(request: Request, caller: Buyer, cart: Cart) -> Quote:
    """Nothing is written. Tax is that of the built-in table; `tax_by` says whether that is an
    estimate. 404 for an unknown account, 422 for what cannot be
    sold."""
    state = request.app.state

    def run() -> Quote:
        tariff = state.tariffs.current()
        own = None if cart.account_id is None else str(cart.account_id)
        with transaction(state.engine, read_only_snapshot=True) as connection:
            if own is not None and find_account(connection, caller.sight, own) is None:
                raise no_such_account(own)
            account = account_for(connection, tariff, own, cart.account, datetime.now(UTC))
        tax_by = "estimate" if account.mode in state.engine_taxed else "table"
        return Quote.model_validate({**offer(account, cart.items, "quote").model_dump(), "tax_by": tax_by})

    try:
        return await asyncio.to_thread(run)
    except LookupError as error:
        raise Problem(404, "no_such_account", str(error)) from None
    except ValueError as error:
        raise Problem(422, "not_for_sale", str(error)) from None
