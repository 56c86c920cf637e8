"""A test clock while it goes on: its accounts are played up to the target, and then it stands there.

It is open while it advances and no longer. Where the clock and each of its accounts stand is in Postgres, so that
ending this loses nothing: the same order again goes on from there.
"""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.test_clock import TestClockActivities
    from contracts.names import STATUS
    from contracts.test_clock import (
        ADVANCE,
        TEST_CLOCK_WORKFLOW,
        Advance,
        AdvanceInput,
        Clock,
        ClockProblem,
        ClockRequest,
        ClockResult,
        ClockStatus,
    )
    from workflows._options import BOOKS, CHUNK


@workflow.defn(name=TEST_CLOCK_WORKFLOW)
class TestClockWorkflow:
    """One clock on its way."""

    __test__ = False

    @workflow.init
    def __init__(self, request: ClockRequest) -> None:
        self._request = request
        self._ordered = False

    @workflow.run
    async def run(self, request: ClockRequest) -> ClockResult:
        """Play the clock's accounts up to its target, and further while it is told to go on."""
        while True:
            await workflow.wait_condition(workflow.all_handlers_finished)
            self._ordered = False
            result = await self._drive()
            self._show(result)
            await workflow.wait_condition(workflow.all_handlers_finished)
            if not self._ordered:
                return result

    @workflow.update(name=ADVANCE)
    async def advance(self, order: Advance) -> Clock:
        """Go on to `to`. Answers at once, with the clock as it stands then."""
        try:
            clock = await workflow.execute_activity_method(
                TestClockActivities.order,
                AdvanceInput(clock_id=self._request.clock_id, to=order.to),
                summary=f"go on to {order.to:%Y-%m-%d %H:%M} UTC",
                **BOOKS,
            )
        except ActivityError as error:
            raise ApplicationError(_told(error), type="ClockRefused") from error
        self._ordered = True
        workflow.upsert_search_attributes([STATUS.value_set(clock.status.value)])
        workflow.set_current_details(
            f"**{clock.status.value}** · {clock.name} · from {clock.frozen_at:%Y-%m-%d %H:%M} UTC"
            f" to {order.to:%Y-%m-%d %H:%M} UTC · {clock.accounts} accounts\n\n"
            "How far it is: `masthead clock show`, and the heartbeat of the pending activity."
        )
        return clock

    async def _drive(self) -> ClockResult:
        try:
            return await workflow.execute_activity_method(
                TestClockActivities.drive,
                ClockRequest(clock_id=self._request.clock_id),
                summary="play its accounts",
                **CHUNK,
            )
        except ActivityError as error:
            return await workflow.execute_activity_method(
                TestClockActivities.fail,
                ClockProblem(clock_id=self._request.clock_id, problem=_told(error)),
                summary="it cannot go on",
                **BOOKS,
            )

    def _show(self, result: ClockResult) -> None:
        workflow.upsert_search_attributes([STATUS.value_set(result.status.value)])
        failed = result.status is ClockStatus.FAILED
        act = "\n\nWhy: `masthead clock show`. Advanced again, it goes on from there." if failed else ""
        workflow.set_current_details(
            f"**{result.status.value}** · at {result.frozen_at:%Y-%m-%d %H:%M} UTC · {result.steps} steps{act}"
        )


def _told(error: ActivityError) -> str:
    """What went wrong, in the words of whoever said it first."""
    cause = error.cause
    return cause.message if isinstance(cause, ApplicationError) else str(cause or error)
