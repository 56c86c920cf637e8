"""One call to another system as a durable process of its own: it ends when the call is settled.

The call was written down before. Ending this process loses nothing: started again, it goes on from the call's row.
"""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.connector_call import CONNECTOR_CALL_WORKFLOW, CallOutcome, CallRef
    from workflows._parking import Calls


@workflow.defn(name=CONNECTOR_CALL_WORKFLOW)
class ConnectorCallWorkflow:
    """One call."""

    @workflow.init
    def __init__(self, ref: CallRef) -> None:
        self._calls = Calls()

    @workflow.run
    async def run(self, ref: CallRef) -> CallOutcome:
        """Make the call, and wait out whatever comes between."""
        outcome = await self._calls.call(ref)
        await workflow.wait_condition(workflow.all_handlers_finished)
        return outcome
