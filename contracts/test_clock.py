"""A test clock across process borders. Instants are UTC; ids are opaque."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel

TEST_CLOCK_WORKFLOW = "TestClock"
ADVANCE = "advance"

# How far one advance may go: more is a slip in the year, and would be played for hours.
FARTHEST = timedelta(days=5 * 366)


class ClockStatus(StrEnum):
    """What a clock is doing."""

    READY = "ready"
    ADVANCING = "advancing"
    FAILED = "failed"
    ENDED = "ended"


class Clock(BaseModel):
    """A test clock as it stands. `frozen_at` is what time it is; `target` what it goes to, or failed on the way to.
    `arrived` of its `accounts` have been played up to the target, or to `frozen_at` where there is none."""

    id: str
    name: str
    status: ClockStatus
    starts_at: datetime
    frozen_at: datetime
    target: datetime | None
    problem: str | None
    accounts: int
    arrived: int


class ClockRequest(BaseModel):
    """Drive one clock until it stands where it was told to go."""

    clock_id: str


class Advance(BaseModel):
    """Let the clock go on to `to`."""

    to: datetime


class AdvanceInput(BaseModel):
    """Let the clock `clock_id` go on to `to`."""

    clock_id: str
    to: datetime


class ClockProblem(BaseModel):
    """Why a clock cannot go on."""

    clock_id: str
    problem: str


class ClockResult(BaseModel):
    """How driving a clock ended: where it stands, after so many steps of accounts."""

    clock_id: str
    status: ClockStatus
    frozen_at: datetime
    steps: int
