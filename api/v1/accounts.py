"""Accounts over HTTP: open one, find it, look at it, change it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from api.database import in_transaction
from api.etags import IfMatch, etag, moved
from api.idempotency import Once, Reply
from api.paging import Paged, cut
from api.problems import Problem
from api.security import Caller, require_scope
from domain.account_fields import email_address, locale_tag, time_zone
from domain.catalog import Currency
from operations.account_records import (
    AccountChanges,
    AccountExists,
    AccountRefused,
    AccountTerms,
    UnknownAccount,
    VersionMoved,
    amend_account,
    open_account,
)
from storage.account_records import find_account, list_accounts
from storage.database import PgConnection

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])

Reader = Annotated[Caller, Depends(require_scope("accounts:read"))]
Writer = Annotated[Caller, Depends(require_scope("accounts:write"))]


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds a line break or a control character; remove it")
    return text


def _zone_name(text: str) -> str:
    return time_zone(text).key


Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), AfterValidator(_printable)
]
Email = Annotated[Line, AfterValidator(email_address)]
Locale = Annotated[str, Field(max_length=35), AfterValidator(locale_tag)]
TermsDays = Annotated[int, Field(ge=0, le=365, description="days from an invoice's day to its due day")]
_ADDRESS = {
    "line1": "1 Main Street",
    "city": "Springfield",
    "region": "IL",
    "postal_code": "62701",
    "country": "US",
}
_PERSON: dict[str, Any] = {"name": "Ada Reader", "email": "ada@example.com", "address": _ADDRESS}


class Address(BaseModel):
    """A postal address."""

    model_config = ConfigDict(extra="forbid")

    line1: Line | None = None
    line2: Line | None = None
    city: Line | None = None
    region: Line | None = None
    postal_code: Line | None = None
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166, two letters")] | None = None


class Person(BaseModel):
    """Who the account is. In a change, what is left out stays, null erases, and an address is replaced as a whole."""

    model_config = ConfigDict(extra="forbid")

    name: Line | None = None
    email: Email | None = None
    address: Address | None = None


class NewAccount(BaseModel):
    """An account to be opened."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "external_key": "reader-4711",
                "currency": "USD",
                "time_zone": "America/Chicago",
                "locale": "en-US",
                "person": _PERSON,
            }
        },
    )

    external_key: Annotated[Line, Field(max_length=200, description="your own id of it; unique in its mode")]
    currency: Annotated[Currency, Field(min_length=3, max_length=3, description="ISO 4217; it never changes")]
    time_zone: Annotated[
        str,
        Field(max_length=64, description="whose days it is billed by, as Europe/Berlin"),
        AfterValidator(_zone_name),
    ]
    locale: Locale = "en"
    mode: Literal["live", "test"] | None = Field(
        default=None,
        description="the mode of your key by default, live where that has none; it never changes",
    )
    bill_cycle_day: int | None = Field(default=None, ge=1, le=31)
    tax_region: Line | None = Field(default=None, description="a region of the catalog's tax table")
    tax_exempt: bool = False
    payment_terms_days: TermsDays = 0
    person: Person = Person()


class AccountPatch(BaseModel):
    """What shall be different; what is left out stays. A key of one account may change its person and locale only."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"person": {"email": "ada@example.org"}, "locale": "de"}},
    )

    locale: Locale | None = None
    tax_region: Line | None = Field(default=None, description="null: not taxed")
    tax_exempt: bool | None = None
    payment_terms_days: TermsDays | None = None
    person: Person | None = None


class AddressOut(BaseModel):
    """A postal address."""

    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    region: str | None = None
    postal_code: str | None = None
    country: str | None = None


class PersonOut(BaseModel):
    """Who the account is; all of it may be missing or erased."""

    name: str | None
    email: str | None
    address: AddressOut | None


class AccountOut(BaseModel):
    """An account: who pays. `version` is what its ETag is made of."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "01a205bd-7c1e-7000-8000-000000000001",
                "external_key": "reader-4711",
                "mode": "live",
                "currency": "USD",
                "time_zone": "America/Chicago",
                "locale": "en-US",
                "bill_cycle_day": None,
                "tax_region": None,
                "tax_exempt": False,
                "payment_terms_days": 0,
                "person": _PERSON,
                "version": 1,
                "created_at": "2026-12-01T09:30:00Z",
            }
        }
    )

    id: UUID
    external_key: str
    mode: str
    currency: str
    time_zone: str
    locale: str
    bill_cycle_day: int | None
    tax_region: str | None
    tax_exempt: bool
    payment_terms_days: int
    person: PersonOut
    version: int
    created_at: AwareDatetime


class Accounts(BaseModel):
    """Accounts, newest first. next: pass it as `after` for what follows; null at the end."""

    items: list[AccountOut]
    next: str | None


@router.post("", status_code=201, response_model=AccountOut, summary="Open an account")
async def create(caller: Writer, once: Once, order: NewAccount) -> Response:
    """409 with its id where the external key is taken. Its mode and currency are for good."""
    if caller.account_id is not None:
        raise Problem(403, "not_for_account_keys", "A key of one account cannot open another.")
    if caller.mode is not None and order.mode not in (None, caller.mode):
        raise Problem(422, "other_mode", f"Your key is for accounts in {caller.mode} mode.")
    terms = AccountTerms(
        external_key=order.external_key,
        mode=order.mode or caller.mode or "live",
        currency=order.currency,
        time_zone=order.time_zone,
        locale=order.locale,
        bill_cycle_day=order.bill_cycle_day,
        tax_region=order.tax_region,
        tax_exempt=order.tax_exempt,
        payment_terms_days=order.payment_terms_days,
    )

    def act(connection: PgConnection) -> Reply:
        account = _told(lambda: open_account(connection, terms, _person(order.person), actor=caller.name))
        headers = {"ETag": etag(account["version"]), "Location": f"{router.prefix}/{account['id']}"}
        return Reply(AccountOut.model_validate(account), 201, headers, account["id"])

    return await once.answer(act)


@router.get("", summary="Accounts")
async def list_all(
    request: Request,
    caller: Reader,
    page: Paged,
    external_key: Annotated[str | None, Query(max_length=200, description="the one with this key")] = None,
) -> Accounts:
    """Newest first."""
    after = page.after_id
    found = await in_transaction(
        request,
        lambda connection: list_accounts(
            connection, caller.sight, external_key=external_key, after=after, limit=page.limit + 1
        ),
    )
    shown, following = cut(found, page.limit, lambda row: row["id"])
    return Accounts(items=[AccountOut.model_validate(row) for row in shown], next=following)


@router.get("/{account_id}", summary="One account")
async def show(request: Request, response: Response, caller: Reader, account_id: UUID) -> AccountOut:
    """With its ETag, which a change asks for."""
    found = await in_transaction(
        request, lambda connection: find_account(connection, caller.sight, str(account_id))
    )
    if found is None:
        raise no_such_account(account_id)
    response.headers["ETag"] = etag(found["version"])
    return AccountOut.model_validate(found)


@router.patch("/{account_id}", summary="Change an account")
async def change(
    request: Request,
    response: Response,
    caller: Writer,
    account_id: UUID,
    expected: IfMatch,
    order: AccountPatch,
) -> AccountOut:
    """Asks for If-Match: 428 without, 412 where it was changed meanwhile. Answers the account with its new ETag."""
    account = order.model_dump(exclude_unset=True, exclude={"person"})
    for name in ("locale", "tax_exempt", "payment_terms_days"):
        if name in account and account[name] is None:
            raise Problem(
                422, "not_erasable", f"{name} cannot be null.", remedy="Leave it out, and it stays."
            )
    changes = AccountChanges(account, _person(order.person))

    def act(connection: PgConnection) -> dict[str, Any]:
        return _told(
            lambda: amend_account(
                connection,
                caller.sight,
                str(account_id),
                changes,
                allowed=expected.allows,
                now=datetime.now(UTC),
                actor=caller.name,
            )
        )

    changed = await in_transaction(request, act)
    response.headers["ETag"] = etag(changed["version"])
    return AccountOut.model_validate(changed)


def no_such_account(account_id: object) -> Problem:
    """What is answered for an account that is not there, or not for this caller."""
    return Problem(404, "no_such_account", f"There is no account {account_id}.")


def _person(person: Person | None) -> dict[str, Any]:
    """The columns that were given; an address without anything in it is none."""
    if person is None:
        return {}
    given = person.model_dump(exclude_unset=True)
    if person.address is not None:
        given["address"] = person.address.model_dump(exclude_none=True) or None
    return given


def _told(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """`work`; what it refuses becomes a problem."""
    try:
        return work()
    except UnknownAccount as error:
        raise Problem(404, "no_such_account", f"{str(error).capitalize()}.") from None
    except AccountExists as error:
        raise Problem(
            409,
            "account_exists",
            "There is an account with this external key already.",
            remedy="Use that one (account_id), or give this one another external key.",
            account_id=error.account_id,
        ) from None
    except VersionMoved as error:
        raise moved(error.version) from None
    except AccountRefused as error:
        status = 403 if error.kind == "not_for_account_keys" else 422
        raise Problem(status, error.kind, f"{str(error).capitalize()}.") from None
