"""Quotes: what a cart comes to, with discounts and tax, without writing anything."""

from __future__ import annotations

import asyncio
from copy import deepcopy
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, model_validator

from api.problems import Problem
from api.security import Caller, require_scope
from api.v1.accounts import no_such_account
from domain.account.buying import CartItem
from domain.account.state import AccountState
from domain.tax_documents import address_for_tax
from operations.checkout.begin import MOST_ITEMS, OpenedAccount
from operations.checkout.offer import Offer, account_for, draft_of, offer
from operations.tariffs import Tariff
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
    address: dict[str, str] | None = Field(
        None,
        description="where the new account's buyer lives, by which a tax engine taxes: line1, city, postal_code, "
        "region, country; nothing of it is kept",
    )

    @model_validator(mode="after")
    def _one_account(self) -> Cart:
        if (self.account_id is None) == (self.account is None):
            raise ValueError("give account_id, or the terms of a new account, one of the two")
        if self.address is not None and self.account is None:
            raise ValueError("an account that is there is taxed by its own address; leave address out")
        return self


class Quote(Offer):
    """What a cart comes to now. Amounts in minor units of the currency; `due` is what a checkout would charge now.
    tax_by: `engine` where the connected engine said the tax, `table` where the built-in table is the tax of invoices;
    `estimate` where an engine is connected and did not say it (`estimated_because`): a checkout asks it again, and its
    tax, and so what is due, may be another then. Do not send an estimated `due` with a checkout."""

    tax_by: Literal["engine", "table", "estimate"]
    estimated_because: str | None = Field(
        description="why it is an estimate: engine_away, engine_slow (it has two seconds), or what it refused, as "
        "no_tax_address"
    )


@router.post("", summary="What a cart comes to, with tax")
async def quote(request: Request, caller: Buyer, cart: Cart) -> Quote:
    """Nothing is written. Tax is what the connected engine says within two seconds, and else that of the built-in
    table; `tax_by` says which, and whether it is an estimate. 404 for an unknown account, 422 for what cannot be
    sold."""
    state = request.app.state
    own = None if cart.account_id is None else str(cart.account_id)
    now = datetime.now(UTC)

    def read() -> tuple[AccountState, Tariff]:
        tariff = state.tariffs.current()
        with transaction(state.engine, read_only_snapshot=True) as connection:
            if own is not None and find_account(connection, caller.sight, own) is None:
                raise no_such_account(own)
            return account_for(connection, tariff, own, cart.account, now), tariff

    try:
        account, tariff = await asyncio.to_thread(read)
        tax, because = None, None
        if account.mode in state.engine_taxed:
            draft = await asyncio.to_thread(draft_of, deepcopy(account), cart.items, "quote")
            if draft is not None:
                place = None
                if cart.account is not None:
                    place = address_for_tax(cart.address, cart.account.tax_region)
                tax, because = await state.tax_now.ask(draft, tariff.taxes, place)
        offered = await asyncio.to_thread(offer, account, cart.items, "quote", tax)
        tax_by = "engine" if tax is not None else "estimate" if because is not None else "table"
        return Quote.model_validate({**offered.model_dump(), "tax_by": tax_by, "estimated_because": because})
    except LookupError as error:
        raise Problem(404, "no_such_account", str(error)) from None
    except ValueError as error:
        raise Problem(422, "not_for_sale", str(error)) from None
