"""Calls to other systems that a workflow has written down and does not wait for: each is a process of its own, and
shows in the history of whoever started it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from contracts.connector_call import CONNECTOR_CALL_WORKFLOW, CallRef
    from contracts.names import connector_call_id
    from workflows.call_starts import attributes_of


async def start_beside(calls: Sequence[CallRef]) -> None:
    """Start the process of each call that has none; it goes on when this workflow has ended. What is lost on the way
    is started by the keeper of calls."""
    for call in calls:
        with suppress(WorkflowAlreadyStartedError):
            await workflow.start_child_workflow(
                CONNECTOR_CALL_WORKFLOW,
                call,
                id=connector_call_id(call.connection, call.method, call.key),
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                search_attributes=attributes_of(call),
                static_summary=call.summary,
                static_details=(
                    "One call to another system. What is sent and answered lies in Postgres (`masthead errors show` "
                    "for one that is parked). Ending this process loses nothing."
                ),
            )
