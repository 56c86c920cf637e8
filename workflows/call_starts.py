"""How calls are started as processes of their own, and how those who wait for one are told of a decision."""

from __future__ import annotations

from datetime import timedelta

from temporalio.client import Client, WorkflowHandle
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.service import RPCError, RPCStatusCode

from contracts.connector_call import CALL_CHANGED, CallOutcome, CallRef
from contracts.names import ACCOUNT, CONNECTOR, TASK_QUEUE, TRACE_KEY, connector_call_id
from contracts.parked import Action, Decided
from workflows.connector_call import ConnectorCallWorkflow

CallHandle = WorkflowHandle[ConnectorCallWorkflow, CallOutcome]

RPC_TIMEOUT = timedelta(seconds=10)


async def start_call(client: Client, ref: CallRef, *, wake: bool = True) -> CallHandle:
    """Start the process of a prepared call, or join the one that is going on and let it look at the row.

    wake: False leaves one that is going on as it is, with what it waits for.

    Raises temporalio.service.RPCError while Temporal is away.
    """
    return await client.start_workflow(
        ConnectorCallWorkflow.run,
        ref,
        id=connector_call_id(ref.connection, ref.method, ref.key),
        task_queue=TASK_QUEUE,
        # A call that goes on is joined; one that has ended finds its row settled, and ends again.
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
        start_signal=CALL_CHANGED if wake else None,
        start_signal_args=[ref] if wake else [],
        search_attributes=attributes_of(ref),
        static_summary=ref.summary,
        static_details=(
            "One call to another system. What is sent and answered lies in Postgres (`masthead errors show` for one "
            "that is parked). Ending this process loses nothing: `masthead errors retry` goes on with it."
        ),
        rpc_timeout=RPC_TIMEOUT,
    )


def attributes_of(ref: CallRef) -> TypedSearchAttributes:
    """What the process of a call is found by."""
    found = [
        SearchAttributePair(CONNECTOR, ref.connection),
        SearchAttributePair(TRACE_KEY, ref.trace_key or ref.key),
    ]
    if ref.account_id is not None:
        found.append(SearchAttributePair(ACCOUNT, ref.account_id))
    return TypedSearchAttributes(found)


async def tell(client: Client, decided: Decided) -> bool:
    """Tell the workflow that waits that a person has decided. Where it has ended and something is left to do, the call
    goes on as a process of its own. Whether anybody was told.

    Raises temporalio.service.RPCError while Temporal is away: the decision stands, and whoever waits looks by itself.
    """
    call = decided.call
    if call is None:
        return False
    own = connector_call_id(call.connection, call.method, call.key)
    if decided.workflow_id is not None and decided.workflow_id != own:
        try:
            handle = client.get_workflow_handle(decided.workflow_id)
            await handle.signal(CALL_CHANGED, call, rpc_timeout=RPC_TIMEOUT)
            return True
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
    if decided.action in (Action.RETRY, Action.EDIT) or decided.workflow_id == own:
        await start_call(client, call)
        return True
    return False
