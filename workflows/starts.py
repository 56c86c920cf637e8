"""How workflows are started: id, queue and policies, said once for the command line, the API and the benches."""

from __future__ import annotations

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from contracts.bill_run import BillRunRequest, BillRunResult
from contracts.names import TASK_QUEUE, bill_run_id, payment_run_id
from contracts.payment_run import PaymentRunRequest, PaymentRunResult
from workflows.bill_run import BillRunWorkflow
from workflows.payment_run import PaymentRunWorkflow

RunHandle = WorkflowHandle[BillRunWorkflow, BillRunResult]
PaymentRunHandle = WorkflowHandle[PaymentRunWorkflow, PaymentRunResult]


def workflow_id(request: BillRunRequest) -> str:
    """The id of the workflow that `request` starts or joins. Raises ValueError for a request with neither date nor
    instant."""
    target = request.as_of or request.instant
    if target is None:
        raise ValueError("a run that is started by hand needs a date or an instant")
    scope = f"preview:{request.scope}" if request.preview else request.scope
    return bill_run_id(scope if request.mode == "live" else f"{request.mode}:{scope}", str(target))


async def start_bill_run(client: Client, request: BillRunRequest) -> RunHandle:
    """Start the run, or join the one that is going on for the same scope and target.

    Raises ValueError for a request with neither date nor instant, and temporalio.service.RPCError while Temporal is
    away.
    """
    target = request.as_of or request.instant
    verb = "Preview of a bill run" if request.preview else "Bill run"
    return await client.start_workflow(
        BillRunWorkflow.run,
        request,
        id=workflow_id(request),
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


def payment_workflow_id(request: PaymentRunRequest) -> str:
    """The id of the workflow that `request` starts or joins. Raises ValueError for a request with neither date nor
    instant."""
    target = request.as_of or request.instant
    if target is None:
        raise ValueError("a run that is started by hand needs a date or an instant")
    scope = f"preview:{request.scope}" if request.preview else request.scope
    return payment_run_id(scope if request.mode == "live" else f"{request.mode}:{scope}", str(target))


async def start_payment_run(client: Client, request: PaymentRunRequest) -> PaymentRunHandle:
    """Start the run, or join the one that is going on for the same scope and target.

    Raises ValueError for a request with neither date nor instant, and temporalio.service.RPCError while Temporal is
    away.
    """
    verb = "Preview of a payment run" if request.preview else "Payment run"
    return await client.start_workflow(
        PaymentRunWorkflow.run,
        request,
        id=payment_workflow_id(request),
        task_queue=TASK_QUEUE,
        # A run that goes on is joined; one that has ended may be followed by another, which finds less to do.
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        static_summary=f"{verb}: {request.scope} as of {request.as_of or request.instant}",
        static_details=(
            "Selects accounts that pay by themselves and owe something, then charges them in chunks, each through its "
            "gateway. The totals are counted from the database at the end. Control it with the updates pause, resume "
            "and cancel (actor, reason)."
        ),
    )
