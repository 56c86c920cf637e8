"""A refund at its gateway: asked for under one key, and followed until it is known how it ended.

That it was promised, and what follows from its end, is in the books; this keeps ids, statuses and minor units.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.refund import RefundActivities
    from contracts.connector_call import CallRef
    from contracts.names import STATUS
    from contracts.refund import (
        REFUND_WORKFLOW,
        TOLD,
        RefundInput,
        RefundRef,
        RefundResult,
        RefundStanding,
        RefundStatus,
    )
    from workflows._options import BOOKS
    from workflows._parking import Calls

# A refusal for good is an answer, no work for a person: what follows is by policy.
REFUSED = frozenset({"rejected"})
HOW_TO_ACT = (
    "`masthead refund show {id}` tells all of it. Ending this process pays nothing and takes nothing back."
)


@workflow.defn(name=REFUND_WORKFLOW)
class RefundWorkflow:
    """One refund."""

    @workflow.init
    def __init__(self, order: RefundInput) -> None:
        self._order = order
        self._calls = Calls(resumed=self._show_again)
        self._news = False
        self._shown = ""

    @workflow.run
    async def run(self, order: RefundInput) -> RefundResult:
        """Ask the gateway, and wait until it is known how it ended."""
        standing = await self._begin()
        if standing.call is not None:
            standing = await self._ask(standing.call)
        while standing.status is RefundStatus.PROCESSING:
            standing = await self._await_the_outcome()
        self._show(standing.status.value, f"what was promised is {standing.promise}")
        await workflow.wait_condition(workflow.all_handlers_finished)
        return RefundResult(refund_id=order.refund_id, status=standing.status, promise=standing.promise)

    @workflow.signal(name=TOLD)
    def told(self, _: str | None = None) -> None:
        """The gateway has told something of it, which is in its row."""
        self._news = True

    async def _begin(self) -> RefundStanding:
        self._show("pending", "the gateway is being asked")
        return await workflow.execute_activity_method(
            RefundActivities.begin, self._ref(), summary="what has to be asked", **BOOKS
        )

    async def _ask(self, call: CallRef) -> RefundStanding:
        await self._calls.call(call, given_back=REFUSED)
        standing = await self._note()
        if standing.status is RefundStatus.PENDING:
            # Refused, with an earlier try in doubt: a person finds out, or the gateway tells.
            await self._calls.call(call)
            standing = await self._note()
        return standing

    async def _note(self) -> RefundStanding:
        return await workflow.execute_activity_method(
            RefundActivities.note, self._ref(), summary="what the gateway answered", **BOOKS
        )

    async def _await_the_outcome(self) -> RefundStanding:
        self._show("processing", "the gateway has taken it; its webhook tells how it ends")
        with suppress(asyncio.TimeoutError):
            await workflow.wait_condition(
                lambda: self._news, timeout=self._order.look, timeout_summary="the gateway tells how it ended"
            )
        self._news = False
        late = workflow.now() - workflow.info().start_time > self._order.late
        return await workflow.execute_activity_method(
            RefundActivities.look, self._ref(late=late), summary="how it stands by now", **BOOKS
        )

    def _ref(self, *, late: bool = False) -> RefundRef:
        return RefundRef(refund_id=self._order.refund_id, now=workflow.now(), late=late)

    def _show(self, status: str, what: str) -> None:
        self._shown = f"**{status}** · {what}\n\n{HOW_TO_ACT.format(id=self._order.refund_id)}"
        workflow.upsert_search_attributes([STATUS.value_set(status)])
        workflow.set_current_details(self._shown)

    def _show_again(self) -> None:
        workflow.set_current_details(self._shown)
