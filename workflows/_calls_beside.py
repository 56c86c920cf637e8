"""Calls to other systems that a workflow has written down and does not wait for: each is a process of its own, and
shows in the history of whoever started it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from temporalio import workflow
from temporalio.common import SearchAttributePair, TypedSearchAttributes, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from contracts.connector_call import CONNECTOR_CALL_WORKFLOW, CallRef
    from contracts.names import ACCOUNT, CONNECTOR, TRACE_KEY, connector_call_id


async def start_beside(calls: Sequence[CallRef], account_id: str | None = None) -> None:
    """Start the process of each call that has none; it goes on when this workflow has ended. What is lost on the way
    is started by the keeper of calls."""
    for call in calls:
        attributes = [
            SearchAttributePair(CONNECTOR, call.connection),
            SearchAttributePair(TRACE_KEY, call.trace_key or call.key),
        ]
        if account_id is not None:
            attributes.append(SearchAttributePair(ACCOUNT, account_id))
        with suppress(WorkflowAlreadyStartedError):
            await workflow.start_child_workflow(
                CONNECTOR_CALL_WORKFLOW,
                call,
                id=connector_call_id(call.connection, call.method, call.key),
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                search_attributes=TypedSearchAttributes(attributes),
                static_summary=f"{call.method} of {call.connection}: {call.key}"[:200],
                static_details=(
                    "One call to another system. What is sent and answered lies in Postgres (`masthead errors show` "
                    "for one that is parked). Ending this process loses nothing."
                ),
            )
