"""The bill run: select accounts into chunks, bill the chunks, sweep what was held, count from the database.

The workflow carries no account and no amount: chunks are billed by reference, and the books are in Postgres.
Operators pause, resume and cancel it by update; canceling stops new chunks, and what is posted stays.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import NoReturn

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.bill_run import BillRunActivities
    from contracts.bill_run import (
        BillRunRequest,
        BillRunResult,
        ChunkInput,
        Control,
        FinishInput,
        OpenRunInput,
        PreviewInput,
        Progress,
        RunInput,
        RunStatus,
    )
    from contracts.names import STATUS
    from workflows._chunked_run import ChunkedRun
    from workflows._options import BOOKS, CHUNK, SELECTION

# Since then it does not ask for what it was told already: that the selection runs, and that a chunk left nothing.
TOLD_ALREADY = "told-already"


@workflow.defn(name="BillRun")
class BillRunWorkflow(ChunkedRun):
    """One bill run, from selection to its final counts."""

    RECORD_CONTROL = BillRunActivities.record_control
    SET_STATUS = BillRunActivities.set_status

    @workflow.init
    def __init__(self, request: BillRunRequest) -> None:
        super().__init__(request)
        self._request = request
        self._steps = request.resume_steps.model_copy()
        self._left = 0

    @workflow.run
    async def run(self, request: BillRunRequest) -> BillRunResult:
        """Bill everything that is due, and answer what the database then says."""
        if request.preview:
            return await self._preview()
        await self._open()
        await self._go_through(range(request.resume_chunk, self._chunks), self._bill_chunk)
        if not self._cancel_asked:
            await self._sweep()
        return await self._finish()

    # --- the steps ---

    async def _open(self) -> None:
        opened = await workflow.execute_activity_method(
            BillRunActivities.open,
            OpenRunInput(
                as_of=self._request.as_of,
                instant=self._instant,
                scope=self._request.scope,
                mode=self._request.mode,
                execution=workflow.info().first_execution_run_id,
                chunk_size=self._request.chunk_size,
                concurrency=self._request.concurrency,
            ),
            summary="select what is due",
            **self._watched(SELECTION),
        )
        self._run_id = opened.run_id
        self._chunks = opened.chunks
        self._selected = opened.selected
        self._done = self._request.resume_chunk
        # Who selects writes in the same transaction that the run goes on.
        if workflow.patched(TOLD_ALREADY):
            self._say(RunStatus.RUNNING)
        else:
            await self._record_status(RunStatus.RUNNING)

    async def _bill_chunk(self, no: int, *, wait: bool = False) -> None:
        done = await workflow.execute_activity_method(
            BillRunActivities.bill,
            ChunkInput(
                run_id=self._known_run(),
                no=no,
                as_of=self._request.as_of,
                instant=self._instant,
                mode=self._request.mode,
                wait=wait,
                now=workflow.now(),
            ),
            summary=f"chunk {no + 1} of {self._chunks}" + (" (what was held)" if wait else ""),
            **self._watched(CHUNK),
        )
        self._steps.rated += done.rated
        self._steps.taxed += done.taxed
        self._steps.posted += done.billed
        self._parked += done.parked
        self._left += done.left
        self._done += 0 if wait else 1
        self._show()

    async def _sweep(self) -> None:
        """Bill what other transactions held or changed the first time, now waiting for it."""
        if not self._left and not self._request.resume_chunk and workflow.patched(TOLD_ALREADY):
            return
        left = await workflow.execute_activity_method(
            BillRunActivities.unfinished,
            RunInput(run_id=self._known_run()),
            summary="anything left?",
            **BOOKS,
        )
        if left.chunks:
            # The sweep is short, and its chunks are no range that a next run could go on with.
            await self._go_through(left.chunks, partial(self._bill_chunk, wait=True), may_go_on=False)

    async def _finish(self) -> BillRunResult:
        self._ending = True
        await workflow.wait_condition(workflow.all_handlers_finished)
        summary = await workflow.execute_activity_method(
            BillRunActivities.finish,
            FinishInput(run_id=self._known_run(), canceled=self._cancel_asked),
            summary="count from the database",
            **BOOKS,
        )
        self._status = summary.status
        self._parked = summary.parked
        self._show()
        workflow.upsert_search_attributes([STATUS.value_set(self._status.value)])
        return BillRunResult(
            run_id=summary.id,
            scope=summary.scope,
            target=summary.target,
            mode=summary.mode,
            preview=False,
            status=summary.status,
            selected=summary.selected,
            invoices=summary.invoices,
            nothing_due=summary.nothing_due,
            parked=summary.parked,
            canceled=summary.canceled,
            totals=summary.totals,
            steps=self._steps,
        )

    def _go_on_as_new(self, next_chunk: int) -> NoReturn:
        workflow.continue_as_new(
            self._request.model_copy(
                update={
                    "instant": self._instant,
                    "resume_run_id": self._run_id,
                    "resume_chunk": next_chunk,
                    "resume_steps": self._steps,
                }
            )
        )

    async def _preview(self) -> BillRunResult:
        """Rate and tax everything that is due, write nothing, and sum what came of it."""
        request = self._request
        self._status = RunStatus.RUNNING
        cut = await workflow.execute_activity_method(
            BillRunActivities.preview_ranges,
            OpenRunInput(
                as_of=request.as_of,
                instant=self._instant,
                scope=request.scope,
                mode=request.mode,
                chunk_size=request.chunk_size,
                concurrency=request.concurrency,
            ),
            summary="what would be selected",
            **self._watched(SELECTION),
        )
        self._chunks = len(cut.firsts)
        self._show()
        result = BillRunResult(
            run_id=None,
            scope=request.scope,
            target=str(request.as_of or self._instant),
            mode=request.mode,
            preview=True,
            status=RunStatus.COMPLETED,
            selected=0,
            invoices=0,
            nothing_due=0,
            parked=0,
            totals={},
            steps=self._steps,
        )
        gate = asyncio.Semaphore(request.concurrency)

        async def preview_range(first: str, until: str | None) -> None:
            async with gate:
                seen = await workflow.execute_activity_method(
                    BillRunActivities.preview,
                    PreviewInput(
                        as_of=request.as_of,
                        instant=self._instant,
                        scope=request.scope,
                        mode=request.mode,
                        first=first,
                        until=until,
                        now=workflow.now(),
                    ),
                    summary="rate and tax, write nothing",
                    **self._watched(CHUNK),
                )
            result.invoices += seen.invoices
            result.nothing_due += seen.nothing_due
            result.parked += seen.parked
            self._steps.rated += seen.rated
            self._steps.taxed += seen.taxed
            self._parked = result.parked
            for currency, amount in seen.totals.items():
                result.totals[currency] = result.totals.get(currency, 0) + amount
            self._done += 1
            self._show()

        until: list[str | None] = [*cut.firsts[1:], None] if cut.firsts else []
        await asyncio.gather(*(preview_range(*ends) for ends in zip(cut.firsts, until, strict=True)))
        result.selected = result.invoices + result.nothing_due + result.parked
        if result.parked:
            result.status = RunStatus.COMPLETED_WITH_PARKED
        self._status = result.status
        self._show()
        return result

    # --- control by operators ---

    @workflow.update
    async def pause(self, order: Control) -> Progress:
        """Start no more chunks until resumed; those under way end."""
        await self._pause(order)
        return self.progress()

    @workflow.update
    async def resume(self, order: Control) -> Progress:
        """Go on after a pause."""
        await self._resume(order)
        return self.progress()

    @workflow.update
    async def cancel(self, order: Control) -> Progress:
        """Start no more chunks, and end. What is posted stays."""
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
    def progress(self) -> Progress:
        """Where the run is."""
        return Progress(
            run_id=self._run_id,
            status=self._status,
            selected=self._selected,
            chunks=self._chunks,
            chunks_done=self._done,
            steps=self._steps,
            parked=self._parked,
        )

    # --- what people see ---

    def _show(self) -> None:
        steps = self._steps
        if self._request.preview:
            workflow.set_current_details(
                f"**preview, {self._status.value}** · range {self._done:,} of {self._chunks:,}\n\n"
                f"| rated | taxed | would be parked |\n|---|---|---|\n"
                f"| {steps.rated:,} | {steps.taxed:,} | {self._parked:,} |\n\n"
                "It writes nothing. Request its cancellation to end it early."
            )
            return
        workflow.set_current_details(
            f"**{self._status.value}** · chunk {self._done:,} of {self._chunks:,} · "
            f"{self._selected:,} accounts\n\n"
            f"| rated | taxed | posted | parked |\n|---|---|---|---|\n"
            f"| {steps.rated:,} | {steps.taxed:,} | {steps.posted:,} | {self._parked:,} |\n\n"
            "Updates: `pause`, `resume`, `cancel`, each with `actor` and `reason`. "
            "Parked accounts: `masthead errors`; once repaired, `masthead bill-run --parked`."
        )
