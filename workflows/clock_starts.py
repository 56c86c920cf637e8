"""How a test clock is told to go on, and what else waits by it is told that it has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta

from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from contracts.names import TASK_QUEUE, subscription_id, test_clock_id
from contracts.subscription import LOOK_AGAIN
from contracts.test_clock import ADVANCE, Advance, Clock, ClockRequest
from workflows.clocks import TestClockWorkflow

RPC_TIMEOUT = timedelta(seconds=30)


async def advance_clock(client: Client, clock_id: str, to: datetime, *, queue: str = TASK_QUEUE) -> Clock:
    """Let the clock go on to `to`; answers once the order is written down, not when it stands there.

    Raises WorkflowUpdateFailedError with the reason when the order is refused, and temporalio.service.RPCError while
    Temporal is away.
    """
    clock: Clock = await client.execute_update_with_start_workflow(
        ADVANCE,
        Advance(to=to),
        result_type=Clock,
        start_workflow_operation=WithStartWorkflowOperation(
            TestClockWorkflow.run,
            ClockRequest(clock_id=clock_id),
            id=test_clock_id(clock_id),
            task_queue=queue,
            # One that goes on hears of it; one that has ended is followed by another.
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            static_summary="a test clock goes on",
            static_details=(
                "Plays the accounts of one test clock day by day up to the target. Where they stand is in Postgres: "
                "ending this loses nothing, and the same order again goes on from there."
            ),
        ),
        rpc_timeout=RPC_TIMEOUT,
    )
    return clock


async def tell_episodes(client: Client, subscriptions: Sequence[str]) -> int:
    """Let the open episodes of `subscriptions` look at their rows again, as after the end of a clock; how many were
    open. Raises temporalio.service.RPCError while Temporal is away."""
    gate = asyncio.Semaphore(8)

    async def tell(subscription: str) -> int:
        async with gate:
            try:
                handle = client.get_workflow_handle(subscription_id(subscription))
                await handle.signal(LOOK_AGAIN, rpc_timeout=RPC_TIMEOUT)
            except RPCError as error:
                if error.status is not RPCStatusCode.NOT_FOUND:
                    raise
                return 0
            return 1

    return sum(await asyncio.gather(*map(tell, subscriptions)))
