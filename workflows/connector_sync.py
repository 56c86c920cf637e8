"""Keeping one connection's system in step, for as long as the connection has flows.

It keeps no cursor and no record: they are rows, moved with what was written. It has one turn after the other made,
shows what came of it, and can be paused. An idle turn lasts half an hour and costs six events.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from activities.sync import SyncActivities, SyncControlActivities
    from contracts.names import STATUS
    from contracts.sync import (
        CONNECTOR_SYNC_WORKFLOW,
        LaneReport,
        SyncControl,
        SyncControlRecord,
        SyncRequest,
        SyncStatus,
        TurnInput,
        TurnOutput,
    )
    from workflows._options import BOOKS

# A turn ends by itself; the margin is for the calls that it has under way then.
MARGIN = timedelta(minutes=10)
HEARTBEAT = timedelta(seconds=10)
# The pauses come with the errors; this is for what is no error of ours.
RETRIES = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=5))


@workflow.defn(name=CONNECTOR_SYNC_WORKFLOW)
class ConnectorSyncWorkflow:
    """One connection, kept in step."""

    @workflow.init
    def __init__(self, request: SyncRequest) -> None:
        self._request = request
        self._paused = request.paused
        self._written = request.written
        self._rejected = request.rejected
        self._lanes: list[LaneReport] = []
        self._turn: asyncio.Task[TurnOutput] | None = None
        self._stopped = False
        self._controls = asyncio.Lock()
        self._status: str | None = None

    @workflow.run
    async def run(self, request: SyncRequest) -> SyncStatus:
        """Turn after turn, until the connection has nothing more to be kept in step."""
        while True:
            self._show()
            await workflow.wait_condition(lambda: self._paused is None)
            if workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(workflow.all_handlers_finished)
                self._continue()
            turn = await self._one_turn()
            if turn is not None and turn.ended:
                await workflow.wait_condition(workflow.all_handlers_finished)
                return self.status()

    async def _one_turn(self) -> TurnOutput | None:
        """A turn to its end; None when it was paused."""
        self._show()
        request = self._request
        self._stopped = False
        self._turn = asyncio.create_task(
            workflow.execute_activity_method(
                SyncActivities.turn,
                TurnInput(
                    connection=request.connection,
                    turn_seconds=request.turn_seconds,
                    report_seconds=request.report_seconds,
                ),
                task_queue=request.queue,
                start_to_close_timeout=timedelta(seconds=request.turn_seconds) + MARGIN,
                heartbeat_timeout=HEARTBEAT,
                retry_policy=RETRIES,
                # Once a pause is answered nothing more is told.
                cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
                summary="tell what has changed, as it changes",
            )
        )
        try:
            turn = await self._turn
        except (asyncio.CancelledError, ActivityError) as error:
            if not self._stopped or not is_cancelled_exception(error):
                raise
            return None
        finally:
            self._turn = None
        self._lanes = turn.lanes or self._lanes
        self._written += turn.written
        self._rejected += turn.rejected
        return turn

    @workflow.update
    async def pause(self, control: SyncControl) -> SyncStatus:
        """Stop telling, from the answer on; what changes meanwhile is told when it goes on."""
        async with self._controls:
            self._can_pause(control)
            await self._record(control, "pause")
            self._paused = f"{control.actor}: {control.reason}"
            if self._turn is not None:
                self._stopped = True
                self._turn.cancel()
                await workflow.wait_condition(lambda: self._turn is None)
            self._show()
            return self.status()

    @pause.validator
    def _can_pause(self, control: SyncControl) -> None:
        if self._paused is not None:
            raise ApplicationError(f"it is paused already, by {self._paused}", type="NotRunning")

    @workflow.update
    async def resume(self, control: SyncControl) -> SyncStatus:
        """Go on from where it stands, after a pause that is still coming about."""
        async with self._controls:
            self._can_resume(control)
            await self._record(control, "resume")
            self._paused = None
            return self.status()

    @resume.validator
    def _can_resume(self, control: SyncControl) -> None:
        if self._paused is None:
            raise ApplicationError("it is not paused", type="NotPaused")

    @workflow.query
    def status(self) -> SyncStatus:
        """How the flows stood at the end of the last turn."""
        return SyncStatus(connection=self._request.connection, paused=self._paused, lanes=self._lanes)

    async def _record(self, control: SyncControl, action: str) -> None:
        await workflow.execute_activity_method(
            SyncControlActivities.record_control,
            SyncControlRecord(**control.model_dump(), connection=self._request.connection, action=action),
            summary=f"write the {action} into the audit table",
            **BOOKS,
        )

    def _continue(self) -> None:
        workflow.continue_as_new(
            self._request.model_copy(
                update={"paused": self._paused, "written": self._written, "rejected": self._rejected}
            )
        )

    def _show(self) -> None:
        troubled = any(lane.trouble for lane in self._lanes)
        status = "paused" if self._paused else "troubled" if troubled else "running"
        if status != self._status:
            self._status = status
            workflow.upsert_search_attributes([STATUS.value_set(status)])
        rows = "\n".join(
            f"| {lane.flow} | {lane.lane} | {lane.behind:,} | {lane.written:,} | {lane.unchanged:,} | {lane.parked:,} "
            f"| {lane.trouble or ''} |"
            for lane in self._lanes
        )
        table = (
            f"\n\n| flow | lane | behind | written | unchanged | parked | trouble |\n|-|-|-|-|-|-|-|\n{rows}"
        )
        workflow.set_current_details(
            f"**{status}** · {self._written:,} written, {self._rejected:,} parked by this workflow"
            f"{table if rows else ''}\n\nUpdates `pause` and `resume` (actor, reason); `masthead flows status`."
        )
