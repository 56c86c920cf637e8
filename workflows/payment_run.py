"""The payment run: select accounts that owe something into chunks, charge the chunks, count from the database.

The workflow carries no account and no amount: chunks are charged by reference, and the books are in Postgres.
Operators pause, resume and cancel it by update; canceling stops new chunks, and what was charged stays.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, time, timedelta
from typing import NoReturn

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.payment_run import PaymentRunActivities
    from contracts.bill_run import Control, ControlRecord, FinishInput, RunStatus, StatusInput
    from contracts.names import BILLING_DATE, STATUS
    from contracts.payment_run import (
        ChargeChunk,
        OpenPaymentRun,
        PaymentProgress,
        PaymentRunRequest,
        PaymentRunResult,
        PreviewCharges,
    )
    from workflows._options import BOOKS, CHARGES, SELECTION, Options


@workflow.defn(name="PaymentRun")
class PaymentRunWorkflow:
    """One payment run, from selection to its final counts."""

    @workflow.init
    def __init__(self, request: PaymentRunRequest) -> None:
        self._request = request
        self._run_id = request.resume_run_id
        self._status = RunStatus.SELECTING
        self._charges: Counter[str] = Counter()
        self._left = 0
        self._parked = 0
        self._selected = 0
        self._chunks = 0
        self._done = 0
        self._pause_asked = False
        self._cancel_asked = False
        self._ending = False
        self._status_lock = asyncio.Lock()
        self._instant: datetime | None = None if request.as_of else (request.instant or workflow.now())

    @workflow.run
    async def run(self, request: PaymentRunRequest) -> PaymentRunResult:
        """Charge everything that is due, and answer what the database then says."""
        if request.preview:
            return await self._preview()
        await self._open()
        await self._charge_chunks()
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

    async def _charge_chunks(self) -> None:
        """Keep `concurrency` chunks going until all are done, a cancel stops new ones, or history is long."""
        waiting = list(reversed(range(self._request.resume_chunk, self._chunks)))
        going: set[asyncio.Task[None]] = set()
        while waiting or going:
            if not going:
                await workflow.wait_condition(lambda: not self._pause_asked or self._cancel_asked)
            while waiting and len(going) < self._request.concurrency and not self._held_back():
                going.add(asyncio.create_task(self._charge_chunk(waiting.pop())))
            if going:
                finished, still_going = await workflow.wait(going, return_when=asyncio.FIRST_COMPLETED)
                for task in finished:
                    task.result()
                going = set(still_going)
            if self._cancel_asked and not going:
                return
            if waiting and not going and workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(workflow.all_handlers_finished)
                # A new execution knows nothing of a pause or cancel that came meanwhile: those are seen to here.
                if not self._pause_asked and not self._cancel_asked:
                    self._go_on_as_new(waiting[-1])

    def _held_back(self) -> bool:
        return self._pause_asked or self._cancel_asked or workflow.info().is_continue_as_new_suggested()

    def _watched(self, preset: Options) -> Options:
        return {**preset, "heartbeat_timeout": timedelta(seconds=self._request.heartbeat_seconds)}

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
        await self._control("pause", order)
        self._pause_asked = True
        await self._record_status(RunStatus.PAUSED)
        return self.progress()

    @workflow.update
    async def resume(self, order: Control) -> PaymentProgress:
        """Go on after a pause."""
        await self._control("resume", order)
        self._pause_asked = False
        await self._record_status(RunStatus.RUNNING)
        return self.progress()

    @workflow.update
    async def cancel(self, order: Control) -> PaymentProgress:
        """Start no more chunks, and end. What was charged stays."""
        await self._control("cancel", order)
        self._cancel_asked = True
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

    def _refuse_unless(self, *allowed: RunStatus) -> None:
        if self._request.preview:
            raise ApplicationError("a preview writes nothing; to end it early, cancel its workflow")
        if self._ending:
            raise ApplicationError("all chunks are done and the run is ending; there is nothing left to stop")
        if self._cancel_asked:
            raise ApplicationError("the run is being canceled already")
        if self._status not in allowed:
            needed = " or ".join(status.value for status in allowed)
            raise ApplicationError(f"the run is {self._status.value}; this needs it to be {needed}")

    async def _control(self, action: str, order: Control) -> None:
        await workflow.execute_activity_method(
            PaymentRunActivities.record_control,
            ControlRecord(run_id=self._known_run(), action=action, actor=order.actor, reason=order.reason),
            summary=f"{action}, asked by an operator",
            **BOOKS,
        )

    # --- what people see ---

    async def _record_status(self, status: RunStatus) -> None:
        # Two operators at once must not leave the row saying one thing and the workflow another.
        async with self._status_lock:
            self._status = status
            await workflow.execute_activity_method(
                PaymentRunActivities.set_status,
                StatusInput(run_id=self._known_run(), status=status),
                summary=status.value,
                **BOOKS,
            )
        target = str(self._request.as_of or self._instant)
        workflow.upsert_search_attributes([STATUS.value_set(status.value), BILLING_DATE.value_set(target)])
        self._show()

    def _known_run(self) -> str:
        if self._run_id is None:
            raise ApplicationError("the run has not been opened yet")
        return self._run_id

    def _show(self) -> None:
        counts = " · ".join(f"{count:,} {status}" for status, count in sorted(self._charges.items()))
        workflow.set_current_details(
            f"**{self._status.value}** · chunk {self._done:,} of {self._chunks:,} · "
            f"{self._selected:,} accounts\n\n"
            f"Charges: {counts or 'none yet'}. Left uncharged: {self._left:,}. Parked: {self._parked:,}.\n\n"
            "Updates: `pause`, `resume`, `cancel`, each with `actor` and `reason`. "
            "Account by account: `GET /v1/payment-runs/{id}/items`."
        )
