"""Bill runs over HTTP: start one, look at them, pause, resume and cancel."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from api.database import in_transaction
from api.paging import Paged, cut
from api.problems import Problem
from api.security import Caller, require_scope
from api.v1.event_readers import EventReaders
from contracts.bill_run import FARTHEST, BillRunRequest, Control, Progress, RunStatus, RunSummary
from operations.billrun.scope import Scope, ScopeError
from storage.bill_runs import recent_runs, run_summary
from storage.database import PgConnection
from storage.events import reader_lag
from workflows.bill_run import BillRunWorkflow
from workflows.starts import start_bill_run

router = APIRouter(prefix="/v1/bill-runs", tags=["bill runs"])

Reader = Annotated[Caller, Depends(require_scope("bill-runs:read"))]
Writer = Annotated[Caller, Depends(require_scope("bill-runs:write"))]


class StartRun(BaseModel):
    """What to bill: the local date up to which, for which accounts."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"as_of": "2026-12-01", "scope": "all"}}
    )

    as_of: date
    scope: str = Field(
        default="all", max_length=200, description="all, parked, currency:EUR, plan:CODE, account:KEY"
    )


class StartedRun(BaseModel):
    """Where the run can be followed: its workflow in the Temporal UI, and this API's list."""

    workflow_id: str
    workflow_run_id: str | None


class Order(BaseModel):
    """Why an operator acts; the caller's key names who."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"reason": "prices are being checked"}}
    )

    reason: str = Field(min_length=1, max_length=1000)


class Run(BaseModel):
    """A bill run. `totals` are minor units by currency; counts are accounts."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "id": "01a205bd-7c1e-7000-8000-000000000005",
                "workflow_id": "bill-run/all/2026-12-01",
                "scope": "all",
                "target": "2026-12-01",
                "status": "completed",
                "mode": "live",
                "selected": 500,
                "invoices": 480,
                "nothing_due": 18,
                "parked": 2,
                "canceled": 0,
                "pending": 0,
                "totals": {"EUR": 512050, "USD": 301499},
                "started_at": "2026-12-01T06:00:00Z",
                "ended_at": "2026-12-01T06:00:04Z",
            }
        }
    )

    id: UUID
    workflow_id: str
    scope: str
    target: str
    status: RunStatus
    mode: str
    selected: int
    invoices: int
    nothing_due: int
    parked: int
    canceled: int
    pending: int
    totals: dict[str, int]
    started_at: datetime
    ended_at: datetime | None


class Runs(BaseModel):
    """Bill runs, newest first, and how far the readers are behind that carry on what runs have posted. next: pass it as
    `after` for what follows; null at the end."""

    items: list[Run]
    next: str | None
    event_readers: EventReaders


@router.get("", summary="The newest bill runs")
async def list_runs(request: Request, caller: Reader, page: Paged) -> Runs:
    """Newest first."""
    after = page.after_id

    def read(connection: PgConnection) -> Runs:
        ids = recent_runs(connection, page.limit + 1, mode=caller.mode, after=after)
        shown, following = cut(ids, page.limit, str)
        found = [run_summary(connection, run) for run in shown]
        return Runs(
            items=[Run.model_validate(run) for run in found if run],
            next=following,
            event_readers=EventReaders.of(reader_lag(connection)),
        )

    return await in_transaction(request, read)


@router.get("/{run_id}", summary="One bill run")
async def show_run(request: Request, caller: Reader, run_id: UUID) -> Run:
    """404 when there is none with this id."""
    return Run.model_validate((await _find(request, caller, run_id)).model_dump())


@router.post("", status_code=202, summary="Start a bill run, or join the one that is going on")
async def start_run(request: Request, response: Response, caller: Writer, order: StartRun) -> StartedRun:
    """Answers at once; the run goes on as a workflow. Started again for the same date and scope, it is the same run.
    503 while Temporal is away."""
    if caller.mode not in (None, "live"):
        raise Problem(
            422, "other_mode", "Runs that are started here bill live accounts; your key is for others."
        )
    try:
        scope = Scope.parse(order.scope).name
    except ScopeError as error:
        raise Problem(
            422, "bad_scope", str(error), remedy="Write all, parked, currency:EUR, plan:CODE or account:KEY."
        ) from None
    if order.as_of > datetime.now(UTC).date() + FARTHEST:
        raise Problem(
            422,
            "far_date",
            f"{order.as_of} is more than five years away: everybody would be billed up to then.",
            remedy="Check the year.",
        )
    client: Client = request.app.state.temporal
    try:
        handle = await start_bill_run(client, BillRunRequest(as_of=order.as_of, scope=scope))
    except (RPCError, RuntimeError) as error:  # the latter where there was no connection yet
        raise temporal_away(error) from error
    response.headers["Location"] = "/v1/bill-runs"
    return StartedRun(workflow_id=handle.id, workflow_run_id=handle.first_execution_run_id)


@router.post("/{run_id}/pause", summary="Start no more chunks until resumed")
async def pause_run(request: Request, caller: Writer, run_id: UUID, order: Order) -> Progress:
    """409 when the run is not running."""
    return await _control(request, caller, run_id, order, BillRunWorkflow.pause)


@router.post("/{run_id}/resume", summary="Go on after a pause")
async def resume_run(request: Request, caller: Writer, run_id: UUID, order: Order) -> Progress:
    """409 when the run is not paused."""
    return await _control(request, caller, run_id, order, BillRunWorkflow.resume)


@router.post("/{run_id}/cancel", summary="End the run early; what is posted stays")
async def cancel_run(request: Request, caller: Writer, run_id: UUID, order: Order) -> Progress:
    """409 when the run has ended."""
    return await _control(request, caller, run_id, order, BillRunWorkflow.cancel)


async def _control(request: Request, caller: Caller, run_id: UUID, order: Order, update: Any) -> Progress:
    run = await _find(request, caller, run_id)
    if run.ended_at is not None:
        raise Problem(409, "run_ended", f"The run is {run.status.value}.")
    handle = request.app.state.temporal.get_workflow_handle(run.workflow_id)
    try:
        progress: Progress = await handle.execute_update(
            update, Control(actor=caller.name, reason=order.reason)
        )
    except WorkflowUpdateFailedError as error:
        raise Problem(409, "not_now", str(error.cause)) from error
    except (RPCError, RuntimeError) as error:  # the latter where there was no connection yet
        raise temporal_away(error) from error
    return progress


async def _find(request: Request, caller: Caller, run_id: UUID) -> RunSummary:
    found = await in_transaction(request, lambda connection: run_summary(connection, str(run_id)))
    if found is None or caller.mode not in (None, found["mode"]):
        raise Problem(404, "no_such_run", f"There is no bill run {run_id}.")
    return RunSummary.model_validate(found)


def temporal_away(error: RPCError | RuntimeError) -> Problem:
    if isinstance(error, RPCError) and error.status is RPCStatusCode.NOT_FOUND:
        return Problem(409, "run_ended", "The run is not going on any more.")
    return Problem(
        503, "temporal_away", "Temporal does not answer at the moment.", headers={"Retry-After": "5"}
    )
