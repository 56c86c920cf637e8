"""Payment runs over HTTP: start one, look at them and at what they did with each account, pause, resume and cancel."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.service import RPCError

from api.database import in_transaction
from api.paging import Paged, cut
from api.problems import Problem
from api.security import Caller, require_scope
from api.v1.bill_runs import Order, StartedRun, temporal_away
from contracts.bill_run import FARTHEST, Control
from contracts.payment_run import PaymentProgress, PaymentRunRequest, PaymentRunSummary
from operations.billrun.scope import ScopeError
from operations.charges.scope import PaymentScope
from storage.database import PgConnection
from storage.payment_runs import recent_runs, run_items, run_summary
from workflows.payment_run import PaymentRunWorkflow
from workflows.starts import start_payment_run

router = APIRouter(prefix="/v1/payment-runs", tags=["payment runs"])

Reader = Annotated[Caller, Depends(require_scope("payment-runs:read"))]
Writer = Annotated[Caller, Depends(require_scope("payment-runs:write"))]


class StartPaymentRun(BaseModel):
    """What to charge: what is due on the local date, for which accounts."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"as_of": "2026-12-01", "scope": "all"}}
    )

    as_of: date
    scope: str = Field(default="all", max_length=200, description="all, retries, currency:EUR, account:KEY")


class PaymentRuns(BaseModel):
    """Payment runs, newest first. next: pass it as `after` for what follows; null at the end."""

    items: list[PaymentRunSummary]
    next: str | None


class PaymentRunItem(BaseModel):
    """What a run did with one account. status: of its last charge, or why it was not charged. amount: minor units.
    code: why a charge failed, as the gateway said."""

    account_id: UUID
    external_key: str
    status: str
    words: str
    charge_id: UUID | None
    connection: str | None
    currency: str | None
    amount: int | None
    code: str | None


class PaymentRunItems(BaseModel):
    """Accounts of a run, in the order of their ids. next: pass it as `after` for what follows; null at the end."""

    items: list[PaymentRunItem]
    next: str | None


@router.get("", summary="The newest payment runs")
async def list_payment_runs(request: Request, caller: Reader, page: Paged) -> PaymentRuns:
    """Newest first, counted from the database as it is now."""
    after = page.after_id

    def read(connection: PgConnection) -> PaymentRuns:
        ids = recent_runs(connection, page.limit + 1, mode=caller.mode, after=after)
        shown, following = cut(ids, page.limit, str)
        found = [run_summary(connection, run) for run in shown]
        return PaymentRuns(
            items=[PaymentRunSummary.model_validate(run) for run in found if run], next=following
        )

    return await in_transaction(request, read)


@router.get("/{run_id}", summary="One payment run")
async def show_payment_run(request: Request, caller: Reader, run_id: UUID) -> PaymentRunSummary:
    """404 when there is none with this id."""
    return await _find(request, caller, run_id)


@router.get("/{run_id}/items", summary="What a payment run did, account by account")
async def list_payment_run_items(
    request: Request,
    caller: Reader,
    run_id: UUID,
    page: Paged,
    status: Annotated[
        str | None, Query(max_length=40, description="of charges, or why an account was left")
    ] = None,
) -> PaymentRunItems:
    """In the order of the accounts' ids."""
    await _find(request, caller, run_id)
    after = page.after_id

    def read(connection: PgConnection) -> PaymentRunItems:
        rows = run_items(connection, str(run_id), after=after, limit=page.limit + 1, status=status)
        shown, following = cut(rows, page.limit, lambda row: row.account_id)
        return PaymentRunItems(
            items=[PaymentRunItem.model_validate(row._asdict()) for row in shown], next=following
        )

    return await in_transaction(request, read)


@router.post("", status_code=202, summary="Start a payment run, or join the one that is going on")
async def start(request: Request, response: Response, caller: Writer, order: StartPaymentRun) -> StartedRun:
    """Answers at once; the run goes on as a workflow. Started again for the same date and scope, it is the same run.
    503 while Temporal is away."""
    if caller.mode not in (None, "live"):
        raise Problem(
            422, "other_mode", "Runs that are started here charge live accounts; your key is for others."
        )
    try:
        scope = PaymentScope.parse(order.scope).name
    except ScopeError as error:
        raise Problem(
            422, "bad_scope", str(error), remedy="Write all, retries, currency:EUR or account:KEY."
        ) from None
    if order.as_of > datetime.now(UTC).date() + FARTHEST:
        raise Problem(
            422, "far_date", f"{order.as_of} is more than five years away.", remedy="Check the year."
        )
    client: Client = request.app.state.temporal
    try:
        handle = await start_payment_run(client, PaymentRunRequest(as_of=order.as_of, scope=scope))
    except (RPCError, RuntimeError) as error:  # the latter where there was no connection yet
        raise temporal_away(error) from error
    response.headers["Location"] = "/v1/payment-runs"
    return StartedRun(workflow_id=handle.id, workflow_run_id=handle.first_execution_run_id)


@router.post("/{run_id}/pause", summary="Start no more chunks of charges until resumed")
async def pause(request: Request, caller: Writer, run_id: UUID, order: Order) -> PaymentProgress:
    """409 when the run is not running."""
    return await _control(request, caller, run_id, order, PaymentRunWorkflow.pause)


@router.post("/{run_id}/resume", summary="Go on charging after a pause")
async def resume(request: Request, caller: Writer, run_id: UUID, order: Order) -> PaymentProgress:
    """409 when the run is not paused."""
    return await _control(request, caller, run_id, order, PaymentRunWorkflow.resume)


@router.post("/{run_id}/cancel", summary="End the run early; what was charged stays")
async def cancel(request: Request, caller: Writer, run_id: UUID, order: Order) -> PaymentProgress:
    """409 when the run has ended."""
    return await _control(request, caller, run_id, order, PaymentRunWorkflow.cancel)


async def _control(
    request: Request, caller: Caller, run_id: UUID, order: Order, update: Any
) -> PaymentProgress:
    run = await _find(request, caller, run_id)
    if run.ended_at is not None:
        raise Problem(409, "run_ended", f"The run is {run.status.value}.")
    handle = request.app.state.temporal.get_workflow_handle(run.workflow_id)
    try:
        progress: PaymentProgress = await handle.execute_update(
            update, Control(actor=caller.name, reason=order.reason)
        )
    except WorkflowUpdateFailedError as error:
        raise Problem(409, "not_now", str(error.cause)) from error
    except (RPCError, RuntimeError) as error:  # the latter where there was no connection yet
        raise temporal_away(error) from error
    return progress


async def _find(request: Request, caller: Caller, run_id: UUID) -> PaymentRunSummary:
    found = await in_transaction(request, lambda connection: run_summary(connection, str(run_id)))
    if found is None or caller.mode not in (None, found["mode"]):
        raise Problem(404, "no_such_run", f"There is no payment run {run_id}.")
    return PaymentRunSummary.model_validate(found)
