"""The payment run across process borders. Amounts are minor units by currency; dates are local days of the accounts."""

from __future__ import annotations

from datetime import date, datetime

from pydantic import BaseModel, Field

from contracts.bill_run import RunStatus


class PaymentRunRequest(BaseModel):
    """What to charge. `as_of` means each account's own local date; without it, `instant` gives each account's date,
    and without both the run charges what is due at the workflow's own start (which is what a Schedule does)."""

    as_of: date | None = None
    instant: datetime | None = None
    scope: str = "all"
    mode: str = "live"
    preview: bool = False
    concurrency: int = Field(default=3, ge=1, le=64)
    chunk_size: int = Field(default=200, ge=1, le=1000, description="accounts a chunk")
    heartbeat_seconds: float = Field(
        default=10, gt=0, le=600, description="a chunk whose worker is silent for so long is given to another"
    )
    resume_run_id: str | None = None
    resume_chunk: int = 0


class PaymentCounts(BaseModel):
    """What became of the accounts that a run selected, counted from the database; each of them once. unselected: where
    it selected nobody, how many accounts were kept out by what (on_test_clock, outside_scope, nothing_open, not_due,
    no_auto_pay).

    charges: by status, of each account's last charge. left: by reason. parked: could not be read. canceled: the run was
    canceled before. paid, in_flight, declined: minor units by currency.
    """

    charges: dict[str, int] = {}
    left: dict[str, int] = {}
    parked: int = 0
    canceled: int = 0
    pending: int = 0
    paid: dict[str, int] = {}
    in_flight: dict[str, int] = {}
    declined: dict[str, int] = {}
    unselected: dict[str, int] = {}


class PaymentRunResult(PaymentCounts):
    """How a run ended. In a preview `charges` has only `intent`: what would be charged, with its sum in `in_flight`."""

    run_id: str | None
    scope: str
    target: str
    mode: str
    preview: bool
    status: RunStatus
    selected: int


class PaymentRunSummary(PaymentCounts):
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


class OpenPaymentRun(BaseModel):
    """Create a run and select its chunks. `execution` is the first run id of the workflow's chain: the same run is
    opened once, however often this is tried or continued."""

    as_of: date | None
    instant: datetime | None
    scope: str
    mode: str
    execution: str
    chunk_size: int


class PaymentRunOpened(BaseModel):
    """The run's id and size."""

    run_id: str
    chunks: int
    selected: int


class ChargeChunk(BaseModel):
    """Charge the accounts of one chunk, by reference. now: the instant that charges and payments are dated by."""

    run_id: str
    no: int
    as_of: date | None
    now: datetime


class ChunkCharged(BaseModel):
    """What a chunk's activity did this time; for display, not for the books."""

    charges: dict[str, int] = {}
    left: int = 0
    parked: int = 0


class PreviewCharges(BaseModel):
    """Preview the accounts behind the id `after` (None: from the first), `limit` of them at most."""

    as_of: date | None
    now: datetime
    scope: str
    mode: str
    after: str | None
    limit: int


class ChargesPreviewed(PaymentCounts):
    """What a run would do for them; `behind` is the last of them, None when there are no more."""

    selected: int = 0
    behind: str | None = None


class PaymentProgress(BaseModel):
    """A run as its workflow sees it right now."""

    run_id: str | None
    status: RunStatus
    selected: int
    chunks: int
    chunks_done: int
    charges: dict[str, int]
    left: int
    parked: int
