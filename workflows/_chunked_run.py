"""What a bill run and a payment run have in common: chunks of accounts by reference, so many at once, which operators
pause, resume and cancel."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Coroutine, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Protocol

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from contracts.bill_run import Control, ControlRecord, RunStatus, StatusInput
    from contracts.names import BILLING_DATE, STATUS
    from workflows._options import BOOKS, Options


class RunRequest(Protocol):
    """What is asked of any such run."""

    @property
    def as_of(self) -> date | None: ...
    @property
    def instant(self) -> datetime | None: ...
    @property
    def preview(self) -> bool: ...
    @property
    def concurrency(self) -> int: ...
    @property
    def heartbeat_seconds(self) -> float: ...
    @property
    def resume_run_id(self) -> str | None: ...


class ChunkedRun:
    """The part of such a workflow that does not know what a chunk is. Its updates and what it answers are its own."""

    # The activities that write an operator's order, and the run's status, down.
    RECORD_CONTROL: Callable[..., Any]
    SET_STATUS: Callable[..., Any]

    def __init__(self, request: RunRequest) -> None:
        self._asked = request
        self._run_id = request.resume_run_id
        self._status = RunStatus.SELECTING
        self._parked = 0
        self._selected = 0
        self._chunks = 0
        self._done = 0
        self._pause_asked = False
        self._cancel_asked = False
        self._ending = False
        self._status_lock = asyncio.Lock()
        self._instant: datetime | None = None if request.as_of else (request.instant or workflow.now())

    @abstractmethod
    def _show(self) -> None:
        """Write how far it is where the Temporal UI shows it."""

    @abstractmethod
    def _go_on_as_new(self, chunk: int) -> None:
        """Go on with `chunk` in a new execution."""

    async def _go_through(
        self,
        chunks: Sequence[int],
        work: Callable[[int], Coroutine[Any, Any, None]],
        *,
        may_go_on: bool = True,
    ) -> None:
        """Keep `concurrency` chunks going until all are done, a cancel stops new ones, or, where the run may go on in a
        new execution, history is long."""
        waiting = list(reversed(chunks))
        going: set[asyncio.Task[None]] = set()

        def history_is_long() -> bool:
            return may_go_on and workflow.info().is_continue_as_new_suggested()

        def held_back() -> bool:
            return self._pause_asked or self._cancel_asked or history_is_long()

        while waiting or going:
            if not going:
                await workflow.wait_condition(lambda: not self._pause_asked or self._cancel_asked)
            while waiting and len(going) < self._asked.concurrency and not held_back():
                going.add(asyncio.create_task(work(waiting.pop())))
            if going:
                finished, still_going = await workflow.wait(going, return_when=asyncio.FIRST_COMPLETED)
                for task in finished:
                    task.result()
                going = set(still_going)
            if self._cancel_asked and not going:
                return
            if waiting and not going and history_is_long():
                await workflow.wait_condition(workflow.all_handlers_finished)
                # A new execution knows nothing of a pause or cancel that came meanwhile: those are seen to here.
                if not self._pause_asked and not self._cancel_asked:
                    self._go_on_as_new(waiting[-1])

    def _watched(self, preset: Options) -> Options:
        return {**preset, "heartbeat_timeout": timedelta(seconds=self._asked.heartbeat_seconds)}

    def _known_run(self) -> str:
        if self._run_id is None:
            raise ApplicationError("the run has not been opened yet")
        return self._run_id

    # --- control by operators ---

    async def _pause(self, order: Control) -> None:
        await self._control("pause", order)
        self._pause_asked = True
        await self._record_status(RunStatus.PAUSED)

    async def _resume(self, order: Control) -> None:
        await self._control("resume", order)
        self._pause_asked = False
        await self._record_status(RunStatus.RUNNING)

    async def _cancel(self, order: Control) -> None:
        await self._control("cancel", order)
        self._cancel_asked = True

    def _refuse_unless(self, *allowed: RunStatus) -> None:
        if self._asked.preview:
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
            type(self).RECORD_CONTROL,
            ControlRecord(run_id=self._known_run(), action=action, actor=order.actor, reason=order.reason),
            summary=f"{action}, asked by an operator",
            **BOOKS,
        )

    async def _record_status(self, status: RunStatus) -> None:
        # Two operators at once must not leave the row saying one thing and the workflow another.
        async with self._status_lock:
            self._status = status
            await workflow.execute_activity_method(
                type(self).SET_STATUS,
                StatusInput(run_id=self._known_run(), status=status),
                summary=status.value,
                **BOOKS,
            )
        self._say(status)

    def _say(self, status: RunStatus) -> None:
        """Show people the status, which is written down."""
        self._status = status
        target = str(self._asked.as_of or self._instant)
        workflow.upsert_search_attributes([STATUS.value_set(status.value), BILLING_DATE.value_set(target)])
        self._show()
