"""Beginning a checkout: what is asked for is written down once under the client's key."""

from __future__ import annotations

import json
from hashlib import sha256
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator
from uuid_utils import uuid7

from contracts.checkout import CheckoutStatus
from domain.account.buying import CartItem
from domain.account.commands import ZoneName
from domain.catalog import Currency
from domain.tax import Treatment
from operations.account_records import AccountRefused, check_region, check_zone
from operations.checkout.words import WORDS
from storage.checkouts import CheckoutRow, Person, find_checkout, insert_checkout, insert_person
from storage.database import PgConnection

MOST_ITEMS = 50


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class OpenedAccount(_Strict):
    """The terms of an account that the checkout opens. `external_key`: what the shop calls it, unique; default: its
    id. Nothing here is about a person."""

    external_key: str | None = Field(None, min_length=1, max_length=200)
    currency: Currency
    time_zone: ZoneName = "UTC"
    locale: str = Field("en", pattern=r"^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$")
    tax_region: str | None = Field(None, max_length=100, description="of the catalog's tax_rates")
    tax_inclusive: bool = False
    tax_treatment: Treatment = Treatment.TAXABLE


class Buyer(_Strict):
    """Who opens the account."""

    name: str | None = Field(None, max_length=300, pattern=r"^[^\x00-\x1f\x7f]*$")
    email: str | None = Field(None, max_length=320, pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$")
    address: dict[str, str] | None = Field(None, description="line1, city, postal_code, region, country")


class MethodGiven(_Strict):
    """How it is paid: the gateway's tokens, never a card. `charge`: `authorise` holds the amount and takes it once the
    invoice is final; `last` charges only then, for methods that cannot be held, such as direct debit."""

    method: str = Field(
        min_length=1, max_length=200, pattern=r"^[A-Za-z0-9_.:-]+$", description="token of the method"
    )
    customer: str | None = Field(None, max_length=200, pattern=r"^[A-Za-z0-9_.:-]+$")
    charge: Literal["authorise", "last"] = "authorise"
    return_url: str = Field(
        max_length=2000, pattern=r"^https?://", description="where the customer comes back to after an action"
    )

    @model_validator(mode="after")
    def _no_card(self) -> MethodGiven:
        for token in (self.method, self.customer or ""):
            digits = token.replace("-", "")
            if digits.isdigit() and 12 <= len(digits) <= 19:
                raise ValueError("a card number stands where the gateway's token belongs")
        return self


class Order(_Strict):
    """A whole checkout as asked for: for the account `account_id`, or one that `opens`."""

    items: tuple[CartItem, ...] = Field(min_length=1, max_length=MOST_ITEMS)
    account_id: str | None = None
    opens: OpenedAccount | None = None
    buyer: Buyer | None = None
    mode: Literal["live", "test"] = "live"
    payment: MethodGiven | None = None
    expected_due: int | None = Field(None, ge=0)


class KeyReused(ValueError):
    """The key stands for another checkout."""


class CannotBegin(ValueError):
    """What is asked for cannot be. `kind` is for machines, the message safe for the public."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def begin(connection: PgConnection, order: Order, key: str) -> tuple[CheckoutRow, bool]:
    """The checkout of `key`, and whether it is new. Raises KeyReused when the key was used with another order,
    CannotBegin for an account that is not there, or whose key another one has already (one that takes it in the
    meantime is found out when the sale is written into the books)."""
    mode = order.mode if order.account_id is None else _mode_of(connection, order.account_id)
    fingerprint = _fingerprint(order)
    known = find_checkout(connection, mode, key)
    if known is None:
        if order.opens is not None:
            check_terms(connection, order.opens)
            _check_key(connection, mode, order.opens)
        own = str(uuid7())
        new = insert_checkout(
            connection,
            {
                "id": own,
                "mode": mode,
                "key": key,
                "fingerprint": fingerprint,
                "status": CheckoutStatus.QUOTING.value,
                "account_id": order.account_id or str(uuid7()),
                "opens_account": order.account_id is None,
                "cart": [item.model_dump(mode="json") for item in order.items],
                "terms": order.opens and order.opens.model_dump(mode="json"),
                "payment": order.payment and order.payment.model_dump(mode="json"),
                "expected_due": order.expected_due,
            },
        )
        if new and order.buyer is not None:
            buyer = order.buyer
            insert_person(connection, own, Person(buyer.name, buyer.email, buyer.address))
        known = find_checkout(connection, mode, key)
        if known is None:
            raise RuntimeError("the checkout just written cannot be read")
        if new:
            return known, True
    if bytes(known.fingerprint) != fingerprint:
        raise KeyReused("this Idempotency-Key was used for another checkout; a new checkout needs a new key")
    return known, False


def check_terms(connection: PgConnection, terms: OpenedAccount) -> None:
    """Raises CannotBegin for an account that could not be opened: an unknown time zone or tax region."""
    try:
        check_zone(connection, terms.time_zone)
        check_region(connection, terms.tax_region)
    except AccountRefused as refused:
        raise CannotBegin(refused.kind, str(refused)) from None


def _check_key(connection: PgConnection, mode: str, terms: OpenedAccount) -> None:
    taken = connection.execute(
        "select 1 from account where mode = %s and external_key = %s", (mode, terms.external_key)
    ).fetchone()
    if taken is not None:
        raise CannotBegin("account_exists", WORDS["account_exists"])


def _mode_of(connection: PgConnection, account_id: str) -> str:
    row = connection.execute("select mode from account where id = %s", (account_id,)).fetchone()
    if row is None:
        raise CannotBegin("no_such_account", f"there is no account {account_id}")
    return str(row[0])


def _fingerprint(order: Order) -> bytes:
    asked: Any = order.model_dump(mode="json")
    for item in asked["items"]:
        # Carts were fingerprinted before there were gifts.
        if item["gift"] is None:
            del item["gift"]
    return sha256(json.dumps(asked, sort_keys=True).encode()).digest()
