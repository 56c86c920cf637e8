"""How refunds are started."""

from __future__ import annotations

from temporalio.client import Client, WorkflowHandle
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError

from contracts.names import ACCOUNT, TASK_QUEUE, TRACE_KEY, refund_id
from contracts.refund import RefundInput, RefundResult
from workflows.call_starts import RPC_TIMEOUT
from workflows.refund import RefundWorkflow

RefundHandle = WorkflowHandle[RefundWorkflow, RefundResult]


async def start_refund(client: Client, order: RefundInput) -> RefundHandle:
    """Start the refund, or join the one that is going on; one that has ended stays ended. Raises
    temporalio.service.RPCError while Temporal is away: the keeper starts it later."""
    own = refund_id(order.refund_id)
    try:
        return await client.start_workflow(
            RefundWorkflow.run,
            order,
            id=own,
            task_queue=TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            search_attributes=TypedSearchAttributes(
                [SearchAttributePair(ACCOUNT, order.account_id), SearchAttributePair(TRACE_KEY, own)]
            ),
            static_summary="a refund: asked of the gateway under one key, followed to its end",
            static_details=(
                "Credit notes and the promise were written before. What the gateway is asked lies in Postgres "
                "(`GET /v1/refunds/ID`)."
            ),
            rpc_timeout=RPC_TIMEOUT,
        )
    except WorkflowAlreadyStartedError:
        return client.get_workflow_handle_for(RefundWorkflow.run, own)
