"""How checkouts are started, and told of news."""

from __future__ import annotations

from temporalio.client import Client, WorkflowHandle
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import WorkflowAlreadyStartedError

from contracts.checkout import CheckoutInput, CheckoutResult
from contracts.names import ACCOUNT, TASK_QUEUE, TRACE_KEY, checkout_id
from workflows.call_starts import RPC_TIMEOUT
from workflows.checkout import CheckoutWorkflow

CheckoutHandle = WorkflowHandle[CheckoutWorkflow, CheckoutResult]


async def start_checkout(client: Client, order: CheckoutInput) -> CheckoutHandle:
    """Start the checkout, or join the one that is going on; one that has ended stays ended, for a checkout is never
    carried out twice. Raises temporalio.service.RPCError while Temporal is away."""
    own = checkout_id(order.checkout_id)
    try:
        return await client.start_workflow(
            CheckoutWorkflow.run,
            order,
            id=own,
            task_queue=TASK_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            search_attributes=TypedSearchAttributes(
                [SearchAttributePair(ACCOUNT, order.account_id), SearchAttributePair(TRACE_KEY, own)]
            ),
            static_summary="a checkout: hold the money, write the books, take the money, open access",
            static_details=(
                "Quote with tax, authorise at the gateway, account + subscriptions + final invoice in one transaction, "
                "capture, payment and access, licences and parcels, receipt. What is asked for lies in Postgres "
                "(`GET /v1/checkouts/ID`). "
                f"The payment has the reference `checkout:{order.checkout_id}` at the gateway."
            ),
            rpc_timeout=RPC_TIMEOUT,
        )
    except WorkflowAlreadyStartedError:
        return client.get_workflow_handle_for(CheckoutWorkflow.run, own)


async def confirm_checkout(client: Client, checkout: str) -> None:
    """Let the checkout ask the gateway at once. Raises RPCError, NOT_FOUND for one that has ended."""
    handle = client.get_workflow_handle_for(CheckoutWorkflow.run, checkout_id(checkout))
    await handle.signal(CheckoutWorkflow.confirm, None, rpc_timeout=RPC_TIMEOUT)


async def cancel_checkout(client: Client, checkout: str) -> None:
    """Ask the checkout to give up, which it does unless the money is taken. Raises RPCError."""
    await client.get_workflow_handle(checkout_id(checkout)).cancel(rpc_timeout=RPC_TIMEOUT)
