"""Documents of one tax engine, from posted to recorded: turn by turn until nothing is due, through outages too.

It is opened when there is something to do and ends when there is not. Which documents there are stands in Postgres;
ending this process loses nothing, since the keeper opens it again.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from contracts.connector_call import CALL_CHANGED, CallRef
    from contracts.names import CALL_QUEUE, STATUS
    from contracts.tax import (
        SETTLE_TAX_DOCUMENTS,
        TAX_DOCUMENTS_WORKFLOW,
        TaxDocumentsOrder,
        TaxTurn,
        TaxTurnDone,
    )
    from workflows._options import TAX

# While the engine is away: how long until it is asked for its health again, by how often it was; then the last.
PAUSES = tuple(timedelta(seconds=seconds) for seconds in (1, 2, 5, 15, 30, 60))


@workflow.defn(name=TAX_DOCUMENTS_WORKFLOW)
class TaxDocumentsWorkflow:
    """The documents of one connection."""

    @workflow.init
    def __init__(self, order: TaxDocumentsOrder) -> None:
        self._connection = order.connection
        self._away = order.resume_away
        self._changed: list[str] = []

    @workflow.run
    async def run(self, order: TaxDocumentsOrder) -> None:
        """Take turns until nothing is due."""
        while True:
            changed, self._changed = self._changed, []
            done = await self._turn(changed)
            if done.away:
                self._away += 1
                self._show(
                    f"**{self._connection} is away** ({done.away}) · {done.left:,} documents wait", "away"
                )
                await self._wait(
                    max(PAUSES[min(self._away, len(PAUSES)) - 1], timedelta(seconds=done.after_seconds))
                )
            elif not done.due and not self._changed:
                self._show(
                    f"**done** · {done.left:,} documents wait for a person or for their time", "completed"
                )
                return
            else:
                self._away = 0
                self._show(f"**recording** · {done.left:,} documents left", "running")
            if workflow.info().is_continue_as_new_suggested() and not self._changed:
                workflow.continue_as_new(
                    TaxDocumentsOrder(connection=self._connection, resume_away=self._away)
                )

    async def _turn(self, changed: list[str]) -> TaxTurnDone:
        done: TaxTurnDone = await workflow.execute_activity(
            SETTLE_TAX_DOCUMENTS,
            TaxTurn(connection=self._connection, careful=self._away > 0, changed=changed),
            task_queue=CALL_QUEUE,
            result_type=TaxTurnDone,
            summary=f"{self._connection}: record what is due",
            **TAX,
        )
        return done

    async def _wait(self, longest: timedelta) -> None:
        with suppress(asyncio.TimeoutError):
            await workflow.wait_condition(
                lambda: bool(self._changed), timeout=longest, timeout_summary="the engine is away"
            )

    @workflow.signal(name=CALL_CHANGED)
    def call_changed(self, ref: CallRef) -> None:
        """A person has decided about a call of ours that was parked."""
        self._changed.append(ref.call_id)

    def _show(self, said: str, status: str) -> None:
        workflow.upsert_search_attributes([STATUS.value_set(status)])
        workflow.set_current_details(
            f"{said}\n\nWhich they are: `masthead tax documents`. What is parked: `masthead errors --connection "
            f"{self._connection}`."
        )
