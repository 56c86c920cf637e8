"""The bill run across process borders. Amounts are minor units by currency; dates are local billing days."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, Field

# A date farther away than this is a slip of the pen, and would bill everybody up to then.
FARTHEST = timedelta(days=5 * 366)


class RunStatus(StrEnum):
    """Where a bill run is."""

    SELECTING = "selecting"
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    COMPLETED_WITH_PARKED = "completed_with_parked"
    CANCELED = "canceled"


class StepCounts(BaseModel):
    """Accounts that went through each step so far, as the activities told; for display, not for the books."""

    rated: int = 0
    taxed: int = 0
    posted: int = 0


class BillRunRequest(BaseModel):
    """What to bill. `as_of` means each account's own local date; without it, `instant` gives each account's date,
    and without both the run bills up to the workflow's own start (which is what a Schedule does)."""

    as_of: date | None = None
    instant: datetime | None = None
    scope: str = "all"
    mode: str = "live"
    preview: bool = False
    concurrency: int = Field(default=4, ge=1, le=64)
    chunk_size: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description="accounts a chunk; 0: by the selection's size and the concurrency",
    )
    heartbeat_seconds: float = Field(
        default=10, gt=0, le=600, description="a chunk whose worker is silent for so long is given to another"
    )
    resume_run_id: str | None = None
    resume_chunk: int = 0
    resume_steps: StepCounts = StepCounts()


class BillRunResult(BaseModel):
    """How a run ended. `invoices + nothing_due + parked + canceled = selected` (law I12)."""

    run_id: str | None
    scope: str
    target: str
    mode: str
    preview: bool
    status: RunStatus
    selected: int
    invoices: int
    nothing_due: int
    parked: int
    canceled: int = 0
    totals: dict[str, int]
    steps: StepCounts


class OpenRunInput(BaseModel):
    """Create a run and select its chunks. `execution` is the first run id of the workflow's chain: the same run is
    opened once, however often this is tried or continued."""

    as_of: date | None
    instant: datetime | None
    scope: str
    mode: str
    execution: str = ""
    chunk_size: int = 0
    concurrency: int = 4


class OpenRunOutput(BaseModel):
    """The run's id and size."""

    run_id: str
    chunks: int
    selected: int


class ChunkInput(BaseModel):
    """Bill one chunk by reference. With `wait`, rows that others hold are waited for. `now`: when that is; a run dated
    ahead takes no account beyond its day of then."""

    run_id: str
    no: int
    as_of: date | None
    instant: datetime | None
    mode: str
    wait: bool = False
    now: datetime | None = None


class ChunkOutput(BaseModel):
    """What a chunk's activity did this time."""

    rated: int
    taxed: int
    billed: int
    nothing_due: int
    parked: int
    left: int


class RunInput(BaseModel):
    """A run by its id."""

    run_id: str


class UnfinishedOutput(BaseModel):
    """Chunks that still have accounts without an outcome."""

    chunks: list[int]


class StatusInput(BaseModel):
    """Record a run's status."""

    run_id: str
    status: RunStatus


class FinishInput(BaseModel):
    """End a run."""

    run_id: str
    canceled: bool = False


class RunSummary(BaseModel):
    """A run counted from the database."""

    id: str
    workflow_id: str
    scope: str
    target: str
    status: RunStatus
    mode: str
    selected: int
    started_at: datetime
    ended_at: datetime | None
    invoices: int
    nothing_due: int
    parked: int
    canceled: int
    pending: int
    totals: dict[str, int]


class PreviewRangesOutput(BaseModel):
    """The first account id of each range to preview, in order."""

    firsts: list[str]


class PreviewInput(BaseModel):
    """Preview the accounts from `first` until `until` (None: to the end), as a run at `now` would bill them."""

    as_of: date | None
    instant: datetime | None
    scope: str
    mode: str
    first: str
    until: str | None
    now: datetime | None = None


class PreviewOutput(BaseModel):
    """What a run would do for a range. `rated` accounts were rated without a refusal, `taxed` owe an invoice."""

    invoices: int
    nothing_due: int
    parked: int
    totals: dict[str, int]
    rated: int = 0
    taxed: int = 0


class Control(BaseModel):
    """An operator's action on a running process: who, and why. Both go into the audit table."""

    actor: str = Field(min_length=1, max_length=200)
    reason: str = Field(min_length=1, max_length=1000)


class ControlRecord(BaseModel):
    """An action on a run, for the audit table."""

    run_id: str
    action: str
    actor: str
    reason: str


class Progress(BaseModel):
    """A run as its workflow sees it right now."""

    run_id: str | None
    status: RunStatus
    selected: int
    chunks: int
    chunks_done: int
    steps: StepCounts
    parked: int
