"""The sweep across process borders: opening the episodes of subscriptions with a date that is near."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

# The embedded server looks after some 12 to 25 new episodes a second: at 50 a second, a change that somebody waits
# for was 15 s late behind them, at 10 some 3 s. There are 35 days for it; a cluster can take more.
OPENED_PER_SECOND = 10.0


class SweepRequest(BaseModel):
    """How to sweep: so many starts a second at most, and so many in one sweep, to stay below what workers can do.

    A sweep goes on where the one before it ended; every `full_pass_hours` it begins again at the oldest date.
    """

    rate_per_second: float = Field(default=OPENED_PER_SECOND, gt=0, le=1000)
    at_most: int = Field(default=500, ge=1, le=100_000)
    full_pass_hours: float = Field(default=24, gt=0)


class SweepPosition(BaseModel):
    """The last subscription that a pass has reached, in the order of (next_due, id)."""

    due: datetime
    subscription_id: str


class SweepPageInput(BaseModel):
    """Open the next `limit` episodes after `after`, with dates until `until`. With `wake`, those that are open
    already are told to look again."""

    after: SweepPosition | None
    until: datetime
    limit: int
    rate_per_second: float
    wake: bool = False


class SweepPageOutput(BaseModel):
    """How many a page had, and its last one."""

    opened: int
    last: SweepPosition | None


class RenewalsPageInput(BaseModel):
    """Tell of the next `limit` renewals, of subscriptions behind `after` in the order of their ids."""

    after: str | None
    now: datetime
    limit: int


class RenewalsPageOutput(BaseModel):
    """How many renewals a page told of, and the subscription of the last."""

    told: int
    last: str | None


class RenewalsPass(BaseModel):
    """A daily look at all subscriptions for renewals to tell of: how far it has come, and whether it is through."""

    started_at: datetime
    after: str | None = None
    caught_up: bool = False


class SweepResult(BaseModel):
    """What a sweep did. The next one of the Schedule is given this, and goes on from `position`; `caught_up` says
    that nothing was left to open. `told`: of how many renewals, in the pass `renewals`."""

    overdue: int
    opened: int
    position: SweepPosition | None
    pass_started_at: datetime
    caught_up: bool
    renewals: RenewalsPass | None = None
    told: int = 0
