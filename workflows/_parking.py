"""Calls to other systems as workflows make them: one `await`, however long it takes.

A call that nobody knows the outcome of is looked into again when it is time; one that is parked waits for a person.
What a person decides comes as the update `resolve`, or it is committed by the API or the command line, which then
signal. Either way it stands in the row, and the row is looked at also when no signal comes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from contracts.connector_call import CALL_CHANGED, CallOutcome, CallRef, CallStatus
    from contracts.names import CALL_QUEUE, CONNECTOR, ERROR_KIND, STATUS, TRACE_KEY
    from contracts.parked import RESOLVE, Action, Decided, Resolve
    from workflows._options import BOOKS, CALL

# How long after parking the row is looked at without a signal; the last pause holds for all that follow.
LOOKS = tuple(timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 360))

HEAD = "| connection | call | key | why | id |\n|---|---|---|---|---|"
ACTIONS = (
    "Act: `masthead errors show|retry|edit|skip|fail {park}`, the API under `/v1/parked`, or the update `resolve` "
    "with `action` (retry, skip, fail), `actor` and `reason`."
)


class Calls:
    """The calls of one workflow. Make it in the workflow's `__init__` (with `@workflow.init`), so that its update and
    its signal are known before the first task.

    resumed: called when nothing is parked any more, to show the workflow's own details again.
    """

    def __init__(self, resumed: Callable[[], None] | None = None) -> None:
        self._resumed = resumed
        self._parked: dict[str, tuple[CallRef, CallOutcome]] = {}
        self._changed: set[str] = set()
        self._status_before: str | None = None
        workflow.set_signal_handler(CALL_CHANGED, self._on_changed)
        workflow.set_update_handler(RESOLVE, self._on_resolve, validator=self._check_resolve)

    async def call(self, ref: CallRef, given_back: frozenset[str] = frozenset()) -> CallOutcome:
        """The call's outcome once it is settled: succeeded, skipped or failed. The other ways it may stand are waited
        out here, but for one that is parked with an error kind of `given_back`: the caller decides about it."""
        looks = 0
        while True:
            self._changed.discard(ref.call_id)
            outcome: CallOutcome = await workflow.execute_activity(
                ref.method,
                ref,
                task_queue=CALL_QUEUE,
                result_type=CallOutcome,
                summary=f"{ref.connection}: {ref.key}"[:200],
                **CALL,
            )
            if outcome.status is CallStatus.PARKED and outcome.error_kind in given_back:
                return outcome
            if outcome.status is CallStatus.PARKED:
                looks = looks + 1 if self._is_parked(outcome) else 0
                self._park(ref, outcome)
                if await self._change(ref, LOOKS[min(looks, len(LOOKS) - 1)], "parked: a person decides"):
                    self._unpark(ref)
                continue
            self._unpark(ref)
            if outcome.status.settled:
                return outcome
            again = outcome.again_at or workflow.now()
            workflow.set_current_details(self._unknown_details(ref, outcome))
            await self._change(
                ref, max(again - workflow.now(), timedelta(seconds=1)), "find out what became of it"
            )

    async def _change(self, ref: CallRef, longest: timedelta, summary: str) -> bool:
        """Wait until somebody says that the call has changed, or the time is over; whether somebody did."""
        with suppress(asyncio.TimeoutError):
            await workflow.wait_condition(
                lambda: ref.call_id in self._changed, timeout=longest, timeout_summary=summary
            )
        return ref.call_id in self._changed

    # --- what comes in ---

    def _on_changed(self, ref: CallRef) -> None:
        self._changed.add(ref.call_id)

    async def _on_resolve(self, order: Resolve) -> Decided:
        park_id = order.park_id or self._only_park()
        try:
            decided: Decided = await workflow.execute_activity(
                "decide_parked",
                order.model_copy(update={"park_id": park_id}),
                result_type=Decided,
                summary=f"{order.action.value}, decided by a person",
                **BOOKS,
            )
        except ActivityError as error:
            raise ApplicationError(str(error.cause or error)) from error
        if decided.call is not None:
            self._changed.add(decided.call.call_id)
        return decided

    def _check_resolve(self, order: Resolve) -> None:
        if order.action is Action.EDIT:
            raise ApplicationError(
                "what is sent would stand in this history; edit it with `masthead errors edit` or the API"
            )
        if order.park_id is None:
            self._only_park()
        elif order.park_id not in {outcome.park_id for _, outcome in self._parked.values()}:
            raise ApplicationError(f"nothing is parked here as {order.park_id}")

    def _only_park(self) -> str:
        parks = [outcome.park_id for _, outcome in self._parked.values() if outcome.park_id]
        if len(parks) != 1:
            raise ApplicationError(
                f"several are parked here: name one of {', '.join(parks)}"
                if parks
                else "nothing is parked here"
            )
        return parks[0]

    # --- what people see ---

    def _is_parked(self, outcome: CallOutcome) -> bool:
        known = self._parked.get(outcome.call_id)
        return known is not None and known[1].park_id == outcome.park_id

    def _park(self, ref: CallRef, outcome: CallOutcome) -> None:
        if self._is_parked(outcome):
            return
        if not self._parked:
            self._status_before = workflow.info().typed_search_attributes.get(STATUS)
        self._parked[ref.call_id] = (ref, outcome)
        self._show()

    def _unpark(self, ref: CallRef) -> None:
        if self._parked.pop(ref.call_id, None) is None:
            return
        if self._parked:
            self._show()
            return
        before = self._status_before
        workflow.upsert_search_attributes(
            [STATUS.value_set(before) if before else STATUS.value_unset(), ERROR_KIND.value_unset()]
        )
        workflow.set_current_details("")
        if self._resumed is not None:
            self._resumed()

    def _show(self) -> None:
        ref, outcome = next(reversed(self._parked.values()))
        workflow.upsert_search_attributes(
            [
                STATUS.value_set("parked"),
                CONNECTOR.value_set(ref.connection),
                ERROR_KIND.value_set(outcome.error_kind or "unknown"),
                TRACE_KEY.value_set(ref.trace_key or ref.key),
            ]
        )
        rows = "\n".join(
            f"| {ref.connection} | {ref.method} | {ref.key} | {outcome.message} | `{outcome.park_id}` |"
            for ref, outcome in self._parked.values()
        )
        workflow.set_current_details(
            f"**parked** · waits for a person\n\n{HEAD}\n{rows}\n\n{ACTIONS.format(park=outcome.park_id)}"
        )

    def _unknown_details(self, ref: CallRef, outcome: CallOutcome) -> str:
        again = f"; looked into again at {outcome.again_at:%Y-%m-%d %H:%M} UTC" if outcome.again_at else ""
        return f"**unknown** · {ref.method} of {ref.connection} was sent, and no outcome is known{again}"
