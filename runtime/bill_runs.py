"""Starting bill runs and waiting for them: what the command line, the API and the benches share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlalchemy import Engine
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from contracts.bill_run import BillRunRequest, BillRunResult
from contracts.names import TASK_QUEUE, bill_run_id
from storage.bill_runs import run_by_workflow, run_summary
from storage.database import transaction
from workflows.bill_run import BillRunWorkflow

LOOK_SECONDS = 0.25

RunHandle = WorkflowHandle[BillRunWorkflow, BillRunResult]


class BillRunFailed(Exception):
    """The workflow of a run failed; the message is the innermost cause."""


async def start_bill_run(client: Client, request: BillRunRequest) -> RunHandle:
    """Start the run, or join the one that is going on for the same scope and target."""
    scope = f"preview:{request.scope}" if request.preview else request.scope
    if request.mode != "live":
        scope = f"{request.mode}:{scope}"
    target = request.as_of or request.instant
    if target is None:
        raise ValueError("a run that is started by hand needs a date or an instant")
    verb = "Preview of a bill run" if request.preview else "Bill run"
    return await client.start_workflow(
        BillRunWorkflow.run,
        request,
        id=bill_run_id(scope, str(target)),
        task_queue=TASK_QUEUE,
        # A run that goes on is joined; one that has ended may be followed by another, which finds less to do.
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        static_summary=f"{verb}: {request.scope} as of {target}",
        static_details=(
            "Selects what is due, then rates, taxes and posts it in chunks. The totals are counted from the "
            "database at the end. Control it with the updates pause, resume and cancel (actor, reason)."
        ),
    )


async def wait_for_run(
    handle: RunHandle, engine: Engine, tell: Callable[[dict[str, object]], None] | None = None
) -> BillRunResult:
    """The run's result; meanwhile `tell` gets the run's summary from the database a few times a second.

    Raises BillRunFailed with the cause when the workflow failed.
    """
    waiting = asyncio.ensure_future(handle.result())
    while tell is not None and not waiting.done():
        summary = await asyncio.to_thread(
            _look, engine, handle.first_execution_run_id or handle.result_run_id
        )
        if summary is not None:
            tell(summary)
        await asyncio.wait({waiting}, timeout=LOOK_SECONDS)
    try:
        return await waiting
    except WorkflowFailureError as error:
        raise BillRunFailed(root_cause(error)) from error


def root_cause(error: BaseException) -> str:
    """The innermost message of a workflow's failure: what really happened, not that something did."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__


def _look(engine: Engine, workflow_run_id: str | None) -> dict[str, object] | None:
    if workflow_run_id is None:
        return None
    with transaction(engine) as connection:
        run_id = run_by_workflow(connection, workflow_run_id)
        return run_summary(connection, run_id) if run_id else None
