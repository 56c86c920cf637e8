"""Test clocks over HTTP: make one, give it accounts, let its time pass, look how far it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from typing import Annotated, Any, TypeVar
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.service import RPCError

from api.etags import IfGiven, digest, etag, moved
from api.paging import Paged, cut
from api.problems import Problem
from api.security import Caller, require_scope
from contracts.test_clock import Clock, ClockStatus
from domain.account.commands import ZoneName
from domain.account.terms import AccountTerms, TaxTerms
from domain.catalog import Currency
from operations.test_clocks.clocks import (
    ClockAccount,
    ClockRefused,
    Declines,
    DeclinesMoved,
    NoSuchClock,
    attach_accounts,
    create_clock,
    end_clock,
    list_clocks,
    read_clock,
    read_declines,
    set_declines,
)
from storage.database import transaction
from storage.test_clocks import accounts_of, episodes_of
from workflows.clock_starts import advance_clock, tell_episodes

router = APIRouter(prefix="/v1/test-clocks", tags=["test clocks"])

Answer = TypeVar("Answer")
_READS, _WRITES = require_scope("test-clocks:read"), require_scope("test-clocks:write")


def _of_test_mode(caller: Caller) -> Caller:
    if caller.mode == "live":
        raise Problem(403, "other_mode", "Test clocks are for test accounts; your key is for live ones.")
    return caller


def _reader(caller: Annotated[Caller, Depends(_READS)]) -> Caller:
    return _of_test_mode(caller)


def _writer(caller: Annotated[Caller, Depends(_WRITES)]) -> Caller:
    return _of_test_mode(caller)


Reader = Annotated[Caller, Depends(_reader)]
Writer = Annotated[Caller, Depends(_writer)]

LOOK_EVERY_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 60


class NewClock(BaseModel):
    """A clock, and what time it is on it."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"name": "renewals", "at": "2026-01-05T00:00:00Z"}}
    )

    name: str = Field(min_length=1, max_length=100, pattern=r"^[^\s].*$")
    at: AwareDatetime


class Clocks(BaseModel):
    """Test clocks, newest first. `next` is the `after` of the next page; null: there is none."""

    items: list[Clock]
    next: str | None


class AttachAccount(BaseModel):
    """An account for the clock. With a currency a test account is created; without, one that is there joins."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {"external_key": "ada", "currency": "EUR", "time_zone": "Europe/Berlin"}
        },
    )

    external_key: str = Field(min_length=1, max_length=200)
    currency: Currency | None = None
    time_zone: ZoneName = "UTC"
    locale: str = Field("en", min_length=2, max_length=35)
    bill_cycle_day: int | None = Field(None, ge=1, le=31)
    tax: TaxTerms = TaxTerms()
    auto_pay: bool = True
    payment_terms_days: int | None = Field(None, ge=0, le=365)
    rule_book: str | None = Field(None, max_length=100)

    def account(self) -> ClockAccount:
        """As the operation takes it."""
        terms = None
        if self.currency is not None:
            terms = AccountTerms(
                currency=self.currency,
                timezone=self.time_zone,
                bill_cycle_day=self.bill_cycle_day,
                tax=self.tax,
                auto_pay=self.auto_pay,
                payment_terms_days=self.payment_terms_days,
            )
        return ClockAccount(
            external_key=self.external_key, terms=terms, locale=self.locale, rule_book=self.rule_book
        )


class ClockedAccount(BaseModel):
    """An account of a clock."""

    id: UUID
    external_key: str


class ClockedAccounts(BaseModel):
    """Accounts of a clock. `next` is the `after` of the next page; null: there is none."""

    items: list[ClockedAccount]
    next: str | None


class AdvanceTo(BaseModel):
    """The instant to go on to."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"to": "2026-02-05T00:00:00Z"}})

    to: AwareDatetime


class DeclinesIn(BaseModel):
    """On which of the account's local days charges are declined, and with which of the gateway's codes."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"declines": {"2026-02-05": "insufficient_funds"}}}
    )

    declines: dict[date, Annotated[str, Field(min_length=1, max_length=100)]] = Field(max_length=1000)


class DeclinesOf(ClockedAccount):
    """On which of an account's local days charges are declined, and with which of the gateway's codes."""

    declines: dict[date, str]


@router.post("", status_code=201, summary="Make a test clock")
async def make_clock(request: Request, response: Response, _: Writer, order: NewClock) -> Clock:
    """The same again answers the same clock; 409 for a name that is another clock's."""
    clock = await _do(create_clock, request.app.state.engine, order.name, order.at)
    response.headers["Location"] = f"/v1/test-clocks/{clock.id}"
    return clock


@router.get("", summary="Test clocks")
async def show_clocks(request: Request, _: Reader, page: Paged) -> Clocks:
    """Newest first, with how far each is."""
    found = await _do(list_clocks, request.app.state.engine, after=page.after_id, limit=page.limit + 1)
    shown, following = cut(found, page.limit, lambda clock: clock.id)
    return Clocks(items=shown, next=following)


@router.get("/{clock_id}", summary="One test clock")
async def show_clock(request: Request, _: Reader, clock_id: UUID) -> Clock:
    """`arrived` of its `accounts` stand at its target. 404 when there is none with this id."""
    return await _do(read_clock, request.app.state.engine, str(clock_id))


@router.get("/{clock_id}/accounts", summary="The accounts of a test clock")
async def show_accounts(request: Request, _: Reader, clock_id: UUID, page: Paged) -> ClockedAccounts:
    """Oldest first."""
    after = page.after_id

    def read() -> list[tuple[str, str]]:
        read_clock(request.app.state.engine, str(clock_id))
        with transaction(request.app.state.engine) as connection:
            return list(accounts_of(connection, str(clock_id), after=after, limit=page.limit + 1))

    shown, following = cut(await _do(read), page.limit, lambda row: row[0])
    items = [ClockedAccount(id=UUID(own), external_key=key) for own, key in shown]
    return ClockedAccounts(items=items, next=following)


@router.post("/{clock_id}/accounts", summary="Let a test account live by the clock")
async def attach_account(request: Request, _: Writer, clock_id: UUID, order: AttachAccount) -> ClockedAccount:
    """It is a test account, on this clock, for ever. 409 for an account that cannot be on it."""
    account = order.account()
    [own] = await _do(attach_accounts, request.app.state.engine, str(clock_id), [account])
    return ClockedAccount(id=UUID(own), external_key=order.external_key)


@router.put("/{clock_id}/accounts/{account}/declines", summary="Let charges of an account fail on some days")
async def decline(
    request: Request,
    response: Response,
    _: Writer,
    clock_id: UUID,
    account: str,
    seen: IfGiven,
    order: DeclinesIn,
) -> DeclinesOf:
    """These take the place of those before. `account` is its id or its external key."""
    found = await _do(
        set_declines,
        request.app.state.engine,
        str(clock_id),
        account,
        order.declines,
        allowed=lambda before: seen.allows(_version(before)),
    )
    return _declined(response, found)


@router.get("/{clock_id}/accounts/{account}/declines", summary="On which days charges of an account fail")
async def show_declines(
    request: Request, response: Response, _: Reader, clock_id: UUID, account: str
) -> DeclinesOf:
    """By the account's local days. `account` is its id or its external key."""
    return _declined(response, await _do(read_declines, request.app.state.engine, str(clock_id), account))


@router.post("/{clock_id}/advance", status_code=202, summary="Let the clock's time pass")
async def advance(
    request: Request,
    response: Response,
    _: Writer,
    clock_id: UUID,
    order: AdvanceTo,
    wait: Annotated[
        float, Query(ge=0, le=LONGEST_WAIT_SECONDS, description="seconds to wait for the end")
    ] = 0,
) -> Clock:
    """Answers when the order is written down, or with `wait` when the clock stands there or the time is over. 409 while
    it is on its way elsewhere, and for an instant that has passed; 503 while Temporal is away."""
    engine = request.app.state.engine
    await _do(read_clock, engine, str(clock_id))
    client: Client = request.app.state.temporal
    try:
        clock = await advance_clock(client, str(clock_id), order.to)
    except WorkflowUpdateFailedError as error:
        raise Problem(409, "clock_refused", str(error.cause)) from error
    except (RPCError, RuntimeError) as error:  # the latter where there was no connection yet
        raise Problem(503, "temporal_away", "Temporal does not answer at the moment; try again.") from error
    deadline = asyncio.get_running_loop().time() + wait
    while clock.status is ClockStatus.ADVANCING and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(LOOK_EVERY_SECONDS)
        clock = await _do(read_clock, engine, str(clock_id))
    response.headers["Location"] = f"/v1/test-clocks/{clock_id}"
    return clock


@router.delete("/{clock_id}", summary="End a test clock")
async def end(request: Request, _: Writer, clock_id: UUID) -> Clock:
    """Its accounts stay test accounts, at the time on which they stand. 409 while it is on its way."""
    engine = request.app.state.engine
    clock = await _do(end_clock, engine, str(clock_id))

    def read() -> list[str]:
        with transaction(engine) as connection:
            return episodes_of(connection, str(clock_id))

    # Episodes that wait by the clock end. Those that cannot be told now are told when this is called again.
    with suppress(RPCError, RuntimeError):
        await tell_episodes(request.app.state.temporal, await asyncio.to_thread(read))
    return clock


def _version(declines: Declines) -> int:
    return digest(sorted(declines.declines.items()))


def _declined(response: Response, found: Declines) -> DeclinesOf:
    response.headers["ETag"] = etag(_version(found))
    return DeclinesOf(id=UUID(found.account_id), external_key=found.external_key, declines=found.declines)


async def _do(work: Callable[..., Answer], *arguments: Any, **named: Any) -> Answer:
    try:
        return await asyncio.to_thread(work, *arguments, **named)
    except NoSuchClock as error:
        raise Problem(404, "no_such_clock", f"{str(error).capitalize()}.") from None
    except ClockRefused as error:
        raise Problem(409, "clock_refused", str(error)) from None
    except DeclinesMoved as error:
        raise moved(_version(error.found)) from None
    except LookupError as error:
        raise Problem(404, "no_such_account", str(error)) from None
