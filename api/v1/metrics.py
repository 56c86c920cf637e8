"""Figures over all accounts: what became of payments that failed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict

from api.database import in_snapshot
from api.problems import Problem
from api.security import Caller, require_scope
from operations.metrics.recovery import CurrencyRecovery, Recovery, Sum, recovery
from operations.metrics.recovery_gauges import own_classes
from storage.database import PgConnection

router = APIRouter(prefix="/v1/metrics", tags=["metrics"])

Reader = Annotated[Caller, Depends(require_scope("metrics:read"))]
LONGEST_SPAN = timedelta(days=366)
DEFAULT_SPAN = timedelta(days=30)


class AttemptsOut(BaseModel):
    """Charges that ended alike. outcome: succeeded, declined (code as the gateway gave it, decline_class soft, hard or
    action), or technical, where no bank was asked. amount: minor units."""

    connection: str
    currency: str
    outcome: str
    code: str | None
    decline_class: str | None
    charges: int
    amount: int


class SumOut(BaseModel):
    """So many invoices, and their money in minor units."""

    invoices: int
    amount: int


class DaysOut(BaseModel):
    """Days from the first refusal to the payment that settled the invoice."""

    mean: float
    median: float
    ninety_percent: float


class CurrencyOut(BaseModel):
    """What became of the invoices that failed. rate: of the amount, recovered through failed; null: nothing failed.
    otherwise: void, or paid with credit."""

    currency: str
    failed: SumOut
    recovered: SumOut
    at_risk: SumOut
    lost: SumOut
    otherwise: SumOut
    rate: float | None
    days_to_recover: DaysOut | None


class DunnedOut(BaseModel):
    """Accounts in one state of dunning now, and what is open of theirs in minor units."""

    currency: str
    state: str
    accounts: int
    amount: int


class RecoveryOut(BaseModel):
    """The figures of a span of days. dunned: revenue at risk as of now, whenever it failed."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "since": "2026-11-01",
                "until": "2026-12-01",
                "attempts": [
                    {
                        "connection": "cards",
                        "currency": "EUR",
                        "outcome": "declined",
                        "code": "insufficient_funds",
                        "decline_class": "soft",
                        "charges": 42,
                        "amount": 50358,
                    }
                ],
                "currencies": [
                    {
                        "currency": "EUR",
                        "failed": {"invoices": 40, "amount": 47960},
                        "recovered": {"invoices": 31, "amount": 37169},
                        "at_risk": {"invoices": 8, "amount": 9592},
                        "lost": {"invoices": 1, "amount": 1199},
                        "otherwise": {"invoices": 0, "amount": 0},
                        "rate": 0.775,
                        "days_to_recover": {"mean": 4.2, "median": 3.0, "ninety_percent": 9.0},
                    }
                ],
                "dunned": [{"currency": "EUR", "state": "grace", "accounts": 11, "amount": 13189}],
            }
        }
    )

    since: date
    until: date
    attempts: list[AttemptsOut]
    currencies: list[CurrencyOut]
    dunned: list[DunnedOut]


@router.get("/recovery", summary="What became of payments that failed")
async def read_recovery(
    request: Request,
    caller: Reader,
    since: Annotated[date | None, Query(description="first day; 30 days before `until` without it")] = None,
    until: Annotated[
        date | None, Query(description="the day behind the last one; tomorrow (UTC) without it")
    ] = None,
) -> RecoveryOut:
    """Attempts are those of the span. Invoices are those whose first refusal was in it, counted as they stand now: a
    span of last month still changes while its invoices are dunned. Days are the accounts' own local days. Keys of test
    mode see test accounts, all others live ones."""
    end = until or datetime.now(UTC).date() + timedelta(days=1)
    try:
        begin = since or end - DEFAULT_SPAN
        span = end - begin
    except OverflowError:
        raise _bad_span() from None
    if not timedelta() < span <= LONGEST_SPAN:
        raise _bad_span()
    mode = caller.sight.mode or "live"

    def read(connection: PgConnection) -> Recovery:
        return recovery(connection, begin, end, mode=mode, classes=own_classes(connection))

    return _out(await in_snapshot(request, read))


def _bad_span() -> Problem:
    return Problem(
        422,
        "bad_span",
        f"`until` must be behind `since`, by {LONGEST_SPAN.days} days at most.",
        remedy="Ask for a year at a time.",
    )


def _out(found: Recovery) -> RecoveryOut:
    return RecoveryOut(
        since=found.since,
        until=found.until,
        attempts=[AttemptsOut.model_validate(vars(each)) for each in found.attempts],
        currencies=[_currency(each) for each in found.currencies],
        dunned=[DunnedOut.model_validate(vars(each)) for each in found.dunned],
    )


def _currency(one: CurrencyRecovery) -> CurrencyOut:
    return CurrencyOut(
        currency=one.currency,
        failed=_sum(one.failed),
        recovered=_sum(one.recovered),
        at_risk=_sum(one.at_risk),
        lost=_sum(one.lost),
        otherwise=_sum(one.otherwise),
        rate=None if one.rate is None else round(one.rate, 4),
        days_to_recover=None if one.days is None else DaysOut.model_validate(vars(one.days)),
    )


def _sum(each: Sum) -> SumOut:
    return SumOut(invoices=each.invoices, amount=each.amount)
