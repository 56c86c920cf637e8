"""Dunning over HTTP: which accounts are being dunned, what comes next, and holding and releasing it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from api.database import in_transaction
from api.etags import Expected, IfGiven, digest, etag, moved
from api.idempotency import Once, OneRequest, Reply
from api.paging import Paged, cut
from api.problems import Problem
from api.security import Caller, require_scope
from api.v1.commanding import command_id, told
from contracts.dunning import Hold, HoldKind, Release
from operations.accounts.commands import accepted
from operations.dunning.holding import NoSuchCase, hold, release
from storage.account_records import find_account
from storage.database import PgConnection
from storage.dunning import CaseRow, last_case, list_cases

router = APIRouter(prefix="/v1/dunning-cases", tags=["dunning"])

Reader = Annotated[Caller, Depends(require_scope("dunning:read"))]
Writer = Annotated[Caller, Depends(require_scope("dunning:write"))]

_CASE: dict[str, Any] = {
    "account_id": "01a205bd-7c1e-7000-8000-000000000001",
    "state": "suspended",
    "currency": "EUR",
    "amount": 1290,
    "invoices": 1,
    "oldest_due_on": "2026-11-15",
    "opened_at": "2026-11-16T08:00:00Z",
    "opened_by": "failed_payment",
    "next_at": "2026-12-15T08:00:00Z",
    "retry_at": None,
    "holds": {"promise": {"state": "overdue", "until": "2026-12-10", "by": "anna", "reason": "on the phone"}},
    "closed_at": None,
    "outcome": None,
}


class HoldShown(BaseModel):
    """Why dunning is held: nothing comes worse than `state` through the day `until`; null: until it is released."""

    state: str
    until: date | None
    by: str | None = None
    reason: str | None = None


class DunningCase(BaseModel):
    """The dunning of an account, over all its open invoices. state: of the dunning policy. amount: what is open, minor
    units. next_at: when dunning has something to do again; retry_at: when the payment method is tried again. holds: by
    why (promise, dispute, pause). outcome: how it ended (paid, written_off, voided)."""

    model_config = ConfigDict(json_schema_extra={"example": _CASE})

    account_id: UUID
    state: str
    currency: str
    amount: int
    invoices: int
    oldest_due_on: date | None
    opened_at: datetime
    opened_by: str
    next_at: datetime | None
    retry_at: datetime | None
    holds: dict[str, HoldShown]
    closed_at: datetime | None
    outcome: str | None


class DunningCases(BaseModel):
    """Open cases, in the order of their accounts. next: pass it as `after` for what follows; null at the end."""

    items: list[DunningCase]
    next: str | None


class HoldIn(BaseModel):
    """Why and how long. until: the last day of it; of a promise, the day by which the money comes; null: until it is
    resumed."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"reason": "on the phone", "until": "2026-12-10"}}
    )

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
    until: date | None = None


class ResumeIn(BaseModel):
    """Why dunning goes on. why: the hold that is lifted; null: all."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"reason": "the dispute is settled"}}
    )

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1000)]
    why: HoldKind | None = Field(None)


@router.get("", summary="Accounts that are being dunned")
async def list_dunning(
    request: Request,
    caller: Reader,
    page: Paged,
    state: Annotated[str | None, Query(max_length=63, description="of the dunning policy")] = None,
) -> DunningCases:
    """Live accounts alone: test accounts are dunned by their clock."""
    after = page.after_id

    def read(connection: PgConnection) -> DunningCases:
        found = [] if caller.mode == "test" else list_cases(connection, page.limit + 1, after, state)
        shown, following = cut(found, page.limit, lambda case: case.account_id)
        return DunningCases(items=[_shown(each) for each in shown], next=following)

    return await in_transaction(request, read)


@router.get("/{account_id}", summary="The dunning of an account")
async def show_dunning(request: Request, response: Response, caller: Reader, account_id: UUID) -> DunningCase:
    """The case that is open, or else the last one. 404 for an account that was never dunned."""

    def read(connection: PgConnection) -> CaseRow:
        found = None if caller.mode == "test" else last_case(connection, str(account_id))
        if found is None:
            raise _none(account_id)
        return found

    found = await in_transaction(request, read)
    response.headers["ETag"] = etag(_version(found))
    return _shown(found)


@router.post("/{account_id}/resume", response_model=DunningCase, summary="Let dunning go on")
async def resume_dunning(
    request: Request, caller: Writer, once: Once, seen: IfGiven, account_id: UUID, order: ResumeIn
) -> Response:
    """What the debts' age says is entered at once. 409 where nothing holds it."""
    wanted = Release(why=order.why, actor=caller.name, reason=order.reason, id=command_id(once))
    tariffs = request.app.state.tariffs

    def work(connection: PgConnection) -> Reply:
        own = _seen(connection, caller, account_id, seen)
        try:
            with told():
                accepted(release(connection, tariffs.current(connection), own, wanted, datetime.now(UTC)))
        except NoSuchCase:
            raise _none(account_id) from None
        return _reply(connection, own)

    return await once.answer(work)


@router.post("/{account_id}/promise", response_model=DunningCase, summary="Note a promise to pay")
async def promise(
    request: Request, caller: Writer, once: Once, seen: IfGiven, account_id: UUID, order: HoldIn
) -> Response:
    """Nothing comes worse until its day has passed. 409 without a day, and where nothing is owed."""
    return await _hold(request, caller, once, seen, account_id, HoldKind.PROMISE, order)


@router.post("/{account_id}/dispute", response_model=DunningCase, summary="Note that the debt is denied")
async def dispute(
    request: Request, caller: Writer, once: Once, seen: IfGiven, account_id: UUID, order: HoldIn
) -> Response:
    """Nothing comes worse until it is settled. 409 where nothing is owed."""
    return await _hold(request, caller, once, seen, account_id, HoldKind.DISPUTE, order)


@router.post("/{account_id}/pause", response_model=DunningCase, summary="Pause dunning")
async def pause(
    request: Request, caller: Writer, once: Once, seen: IfGiven, account_id: UUID, order: HoldIn
) -> Response:
    """Nobody is reminded, nothing comes worse, and what failed is not tried again. 409 where nothing is owed."""
    return await _hold(request, caller, once, seen, account_id, HoldKind.PAUSE, order)


async def _hold(
    request: Request,
    caller: Caller,
    once: OneRequest,
    seen: Expected,
    account_id: UUID,
    why: HoldKind,
    order: HoldIn,
) -> Response:
    wanted = Hold(why=why, until=order.until, actor=caller.name, reason=order.reason, id=command_id(once))
    tariffs = request.app.state.tariffs

    def work(connection: PgConnection) -> Reply:
        own = _seen(connection, caller, account_id, seen)
        try:
            with told():
                accepted(hold(connection, tariffs.current(connection), own, wanted, datetime.now(UTC)))
        except NoSuchCase:
            raise _none(account_id) from None
        return _reply(connection, own)

    return await once.answer(work)


def _seen(connection: PgConnection, caller: Caller, account_id: UUID, seen: Expected) -> str:
    own = str(account_id)
    if caller.mode == "test":
        raise _none(account_id)
    if seen.versions is not None and find_account(connection, caller.sight, own, lock=True) is not None:
        case = last_case(connection, own)
        if case is not None and not seen.allows(_version(case)):
            raise moved(_version(case))
    return own


def _version(case: CaseRow) -> int:
    """Of the case and of which case it is: an account's next one begins with the same numbers."""
    return digest(case.id, case.version)


def _reply(connection: PgConnection, account_id: str) -> Reply:
    case = last_case(connection, account_id)
    if case is None:
        raise RuntimeError("the case just held cannot be read")
    return Reply(_shown(case), headers={"ETag": etag(_version(case))}, account_id=account_id)


def _shown(case: CaseRow) -> DunningCase:
    return DunningCase.model_validate(case._asdict())


def _none(account_id: UUID) -> Problem:
    return Problem(404, "no_such_case", f"The account {account_id} is not being dunned.")
