"""The payment run: select accounts that owe something into chunks, charge the chunks, count from the database.

The workflow carries no account and no amount: chunks are charged by reference, and the books are in Postgres.
Operators pause, resume and cancel it by update; canceling stops new chunks, and what was charged stays.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time
from typing import NoReturn

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.payment_run import PaymentRunActivities
    from contracts.bill_run import Control, FinishInput, RunStatus
    from contracts.names import STATUS
    from contracts.payment_run import (
        ChargeChunk,
        OpenPaymentRun,
        PaymentProgress,
        PaymentRunRequest,
        PaymentRunResult,
        PreviewCharges,
    )
    from workflows._chunked_run import ChunkedRun
    from workflows._options import BOOKS, CHARGES, SELECTION


@workflow.defn(name="PaymentRun")
class PaymentRunWorkflow(ChunkedRun):
    """One payment run, from selection to its final counts."""

    RECORD_CONTROL = PaymentRunActivities.record_control
    SET_STATUS = PaymentRunActivities.set_status

    @workflow.init
    def __init__(self, request: PaymentRunRequest) -> None:
        super().__init__(request)
        self._request = request
        self._charges: Counter[str] = Counter()
        self._left = 0

    @workflow.run
    async def run(self, request: PaymentRunRequest) -> PaymentRunResult:
        """Charge everything that is due, and answer what the database then says."""
        if request.preview:
            return await self._preview()
        await self._open()
        await self._go_through(range(request.resume_chunk, self._chunks), self._charge_chunk)
        return await self._finish()

    # --- the steps ---

    async def _open(self) -> None:
        opened = await workflow.execute_activity_method(
            PaymentRunActivities.open,
            OpenPaymentRun(
                as_of=self._request.as_of,
                instant=self._instant,
                scope=self._request.scope,
                mode=self._request.mode,
                execution=workflow.info().first_execution_run_id,
                chunk_size=self._request.chunk_size,
            ),
            summary="select who owes something",
            **self._watched(SELECTION),
        )
        self._run_id = opened.run_id
        self._chunks = opened.chunks
        self._selected = opened.selected
        self._done = self._request.resume_chunk
        await self._record_status(RunStatus.RUNNING)

    def _now(self) -> datetime:
        """The instant that charges and payments are dated by: not before the day as of which the run is made."""
        now = self._instant or workflow.now()
        if self._request.as_of is None:
            return now
        return max(now, datetime.combine(self._request.as_of, time(12), UTC))

    async def _charge_chunk(self, no: int) -> None:
        done = await workflow.execute_activity_method(
            PaymentRunActivities.charge,
            ChargeChunk(run_id=self._known_run(), no=no, as_of=self._request.as_of, now=self._now()),
            summary=f"chunk {no + 1} of {self._chunks}",
            **self._watched(CHARGES),
        )
        self._charges.update(done.charges)
        self._left += done.left
        self._parked += done.parked
        self._done += 1
        self._show()

    async def _finish(self) -> PaymentRunResult:
        self._ending = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        summary = await workflow.execute_activity_method(
            PaymentRunActivities.finish,
            FinishInput(run_id=self._known_run(), canceled=self._cancel_asked),
            summary="count from the database",
            **BOOKS,
        )
        self._status = summary.status
        self._parked = summary.parked
        self._charges = Counter(summary.charges)
        self._left = sum(summary.left.values())
        self._show()
        workflow.upsert_search_attributes([STATUS.value_set(self._status.value)])
        counted = summary.model_dump(exclude={"id", "workflow_id", "started_at", "ended_at"})
        return PaymentRunResult(run_id=summary.id, preview=False, **counted)

    def _go_on_as_new(self, next_chunk: int) -> NoReturn:
        workflow.continue_as_new(
            self._request.model_copy(
                update={
                    "instant": self._instant,
                    "resume_run_id": self._run_id,
                    "resume_chunk": next_chunk,
                }
            )
        )

    async def _preview(self) -> PaymentRunResult:
        """What the run would charge and leave, and its sums; nothing is written and nobody is charged."""
        request = self._request
        self._status = RunStatus.RUNNING
        result = PaymentRunResult(
            run_id=None,
            scope=request.scope,
            target=str(request.as_of or self._instant),
            mode=request.mode,
            preview=True,
            status=RunStatus.COMPLETED,
            selected=0,
        )
        after: str | None = None
        while True:
            seen = await workflow.execute_activity_method(
                PaymentRunActivities.preview,
                PreviewCharges(
                    as_of=request.as_of,
                    now=self._now(),
                    scope=request.scope,
                    mode=request.mode,
                    after=after,
                    limit=1000,
                ),
                summary="what would be charged",
                **self._watched(SELECTION),
            )
            result.selected += seen.selected
            result.parked += seen.parked
            for name in ("charges", "left", "in_flight"):
                found = Counter(getattr(result, name))
                found.update(getattr(seen, name))
                setattr(result, name, dict(found))
            result.unselected |= seen.unselected
            after = seen.behind
            if after is None:
                break
        if result.parked:
            result.status = RunStatus.COMPLETED_WITH_PARKED
        self._status = result.status
        return result

    # --- control by operators ---

    @workflow.update
    async def pause(self, order: Control) -> PaymentProgress:
        """Start no more chunks until resumed; those under way end."""
        await self._pause(order)
        return self.progress()

    @workflow.update
    async def resume(self, order: Control) -> PaymentProgress:
        """Go on after a pause."""
        await self._resume(order)
        return self.progress()

    @workflow.update
    async def cancel(self, order: Control) -> PaymentProgress:
        """Start no more chunks, and end. What was charged stays."""
        await self._cancel(order)
        return self.progress()

    @pause.validator
    def _can_pause(self, order: Control) -> None:
        self._refuse_unless(RunStatus.RUNNING)

    @resume.validator
    def _can_resume(self, order: Control) -> None:
        self._refuse_unless(RunStatus.PAUSED)

    @cancel.validator
    def _can_cancel(self, order: Control) -> None:
        self._refuse_unless(RunStatus.RUNNING, RunStatus.PAUSED)

    @workflow.query
    def progress(self) -> PaymentProgress:
        """Where the run is."""
        return PaymentProgress(
            run_id=self._run_id,
            status=self._status,
            selected=self._selected,
            chunks=self._chunks,
            chunks_done=self._done,
            charges=dict(self._charges),
            left=self._left,
            parked=self._parked,
        )

    # --- what people see ---

    def _show(self) -> None:
        counts = " · ".join(f"{count:,} {status}" for status, count in sorted(self._charges.items()))
        workflow.set_current_details(
            f"**{self._status.value}** · chunk {self._done:,} of {self._chunks:,} · "
            f"{self._selected:,} accounts\n\n"
            f"Charges: {counts or 'none yet'}. Left uncharged: {self._left:,}. Parked: {self._parked:,}.\n\n"
            "Updates: `pause`, `resume`, `cancel`, each with `actor` and `reason`. "
            "Account by account: `GET /v1/payment-runs/{id}/items`."
        )
