"""A subscription's episode: open while something is dated for it within the horizon, and no longer.

It keeps no state of its own. It looks at the row, sleeps until the next dated change, has what the dates made true
recorded, and ends when the subscription is quiet; the next event or the sweep opens it again under the same id.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.subscription import SubscriptionActivities
    from contracts.names import STATUS
    from contracts.subscription import (
        HORIZON,
        LOOK_AGAIN,
        SUBSCRIPTION_WORKFLOW,
        EpisodeRequest,
        EpisodeResult,
        SettleInput,
        Standing,
        SubscriptionInput,
    )
    from workflows._options import BOOKS

# An episode that is about to end must not be what the sweep takes for an open one: it stays open a little longer
# than the sweep looks ahead.
KEPT_OPEN = HORIZON + timedelta(hours=1)


@workflow.defn(name=SUBSCRIPTION_WORKFLOW)
class SubscriptionWorkflow:
    """One episode of one subscription."""

    @workflow.init
    def __init__(self, request: EpisodeRequest) -> None:
        self._request = request
        self._settled = request.settled
        self._status: str | None = None
        self._look_again = False

    @workflow.run
    async def run(self, request: EpisodeRequest) -> EpisodeResult:
        """Follow the subscription from date to date until it is quiet."""
        while True:
            standing = await self._look()
            while standing.next_due is not None and standing.next_due <= workflow.now():
                standing = await self._settle()
            self._show(standing)
            if standing.next_due is not None and standing.next_due <= workflow.now() + KEPT_OPEN:
                await self._sleep_until(standing.next_due)
                continue
            await workflow.wait_condition(workflow.all_handlers_finished)
            if not self._look_again:
                return EpisodeResult(
                    subscription_id=request.subscription_id,
                    status=standing.status,
                    next_due=standing.next_due,
                    settled=self._settled,
                )

    @workflow.signal(name=LOOK_AGAIN)
    def look_again(self) -> None:
        """Something about the subscription has changed."""
        self._look_again = True

    async def _look(self) -> Standing:
        # Cleared before the look: what changes while it is under way asks for another one.
        self._look_again = False
        return await workflow.execute_activity_method(
            SubscriptionActivities.read,
            SubscriptionInput(subscription_id=self._request.subscription_id),
            summary="where does it stand?",
            **BOOKS,
        )

    async def _settle(self) -> Standing:
        standing = await workflow.execute_activity_method(
            SubscriptionActivities.settle,
            SettleInput(subscription_id=self._request.subscription_id, now=workflow.now()),
            summary="record what the dates made true",
            **BOOKS,
        )
        self._settled += standing.changed
        return standing

    async def _sleep_until(self, due: datetime) -> None:
        if self._history_is_long():
            await workflow.wait_condition(workflow.all_handlers_finished)
            if not self._look_again:
                workflow.continue_as_new(self._request.model_copy(update={"settled": self._settled}))
        with suppress(asyncio.TimeoutError):
            await workflow.wait_condition(
                lambda: self._look_again,
                timeout=due - workflow.now(),
                timeout_summary="the next dated change",
            )

    def _history_is_long(self) -> bool:
        return workflow.info().is_continue_as_new_suggested()

    def _show(self, standing: Standing) -> None:
        if standing.status != self._status:
            self._status = standing.status
            workflow.upsert_search_attributes([STATUS.value_set(standing.status)])
        due = standing.next_due
        coming = f"next dated change {due:%Y-%m-%d %H:%M} UTC" if due else "nothing is dated"
        workflow.set_current_details(
            f"**{standing.status}** · {coming} · {self._settled} recorded here\n\n"
            f"Signal `{LOOK_AGAIN}` makes it read the subscription again."
        )
