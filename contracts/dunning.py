"""Dunning across process borders. Instants are UTC, amounts minor units, days local days of the account."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, Field

DUNNING_WORKFLOW = "Dunning"
LOOK_AGAIN = "look_again"
HOLD, RELEASE = "hold", "release"

# A case on which nothing is dated within this time has no open workflow; its row stays, and the keeper opens it again.
HORIZON = timedelta(days=35)


class HoldKind(StrEnum):
    """Why an account is not dunned for a while: the customer promised to pay, or denies the debt, or we wait."""

    PROMISE = "promise"
    DISPUTE = "dispute"
    PAUSE = "pause"


class DunningRequest(BaseModel):
    """Dun one account until it has paid, or nothing more is dated. `looks` goes on counting through continue-as-new."""

    account_id: str
    looks: int = 0


class DunInput(BaseModel):
    """Do what dunning has for the account at `now`, the business time of whoever asks."""

    account_id: str
    now: datetime


class Hold(BaseModel):
    """Dun no further: through the day `until`, or (not for a promise) until it is released. `id` names this one order:
    the same again is the same."""

    why: HoldKind
    until: date | None = None
    actor: str = Field(min_length=1, max_length=200)
    reason: str = Field(min_length=1, max_length=1000)
    id: str = Field(min_length=1, max_length=100)


class Release(BaseModel):
    """Go on dunning: lift the hold `why`, by default all of them. `id` as in Hold."""

    why: HoldKind | None = None
    actor: str = Field(min_length=1, max_length=200)
    reason: str = Field(min_length=1, max_length=1000)
    id: str = Field(min_length=1, max_length=100)


class HoldInput(BaseModel):
    """A hold for an account, at `now`."""

    account_id: str
    now: datetime
    hold: Hold


class ReleaseInput(BaseModel):
    """A release for an account, at `now`."""

    account_id: str
    now: datetime
    release: Release


class CaseStanding(BaseModel):
    """Where an account's case stands; without `open` it has none any more, and `outcome` says how the last one ended.
    holds: why it is not dunned further, each through its day, or without end. in_flight: invoices in a charge whose
    end is not known, which nobody is dunned for meanwhile."""

    open: bool
    state: str
    amount: int = 0
    currency: str = ""
    invoices: int = 0
    in_flight: int = 0
    next_at: datetime | None = None
    retry_at: datetime | None = None
    holds: dict[str, date | None] = {}
    outcome: str | None = None
    changed: bool = False


class DunningResult(BaseModel):
    """How a workflow ended: `open` is a case on which nothing more is dated."""

    account_id: str
    open: bool
    state: str
    outcome: str | None
    looks: int


class DunningSweepRequest(BaseModel):
    """Open cases of live accounts with invoices past due: so many in one transaction, and so many in one sweep."""

    batch: int = Field(default=500, ge=1, le=10_000)
    at_most: int = Field(default=10_000, ge=1, le=1_000_000)


class DunningSweepInput(BaseModel):
    """Open the next `limit` cases, of what is past due at `as_of` by each account's own local day."""

    as_of: datetime
    limit: int


class DunningSweepOutput(BaseModel):
    """How many were opened; `more`: there may be others."""

    opened: int
    more: bool


class DunningSweepResult(BaseModel):
    """What a sweep did; `caught_up`: nothing was left to open."""

    opened: int
    caught_up: bool
