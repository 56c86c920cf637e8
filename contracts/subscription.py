"""A subscription's episode across process borders. Instants are UTC; ids are opaque."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from pydantic import BaseModel

from contracts.connector_call import CallRef

SUBSCRIPTION_WORKFLOW = "Subscription"
LOOK_AGAIN = "look_again"
TICK = "tick"

# How far ahead a dated change opens an episode, and keeps one open.
HORIZON = timedelta(days=35)


class EpisodeRef(NamedTuple):
    """A subscription whose episode shall be opened or woken, and who pays for it."""

    subscription_id: str
    account_id: str


class EpisodeRequest(BaseModel):
    """Follow one subscription until it is quiet. `settled` goes on counting through continue-as-new."""

    subscription_id: str
    settled: int = 0


class EpisodeResult(BaseModel):
    """How an episode ended: where the subscription stands, and how many changes were recorded on the way."""

    subscription_id: str
    status: str
    next_due: datetime | None
    settled: int


class SubscriptionInput(BaseModel):
    """A subscription by its id, at the business time `now` of whoever asks."""

    subscription_id: str
    now: datetime | None = None


class SettleInput(BaseModel):
    """Record what is true of a subscription at `now`, the business time of whoever asks."""

    subscription_id: str
    now: datetime


class Tick(BaseModel):
    """It is `to` by the clock of the account."""

    to: datetime


class Standing(BaseModel):
    """What a workflow needs to know of a subscription's row. `changed` says whether this call wrote it.

    `follow_up_due` is when the first follow-up that is not done falls due. `clock_at` is what time it is for a test
    account that lives by a clock; None for all others. `calls` were written down for what it demands outside, and
    are to be started.
    """

    account_id: str
    status: str
    next_due: datetime | None
    version: int
    changed: bool = False
    follow_up_due: datetime | None = None
    clock_at: datetime | None = None
    calls: list[CallRef] = []

    @property
    def wakes_at(self) -> datetime | None:
        """When something is to be done next."""
        return min((each for each in (self.next_due, self.follow_up_due) if each is not None), default=None)
