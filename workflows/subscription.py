"""A subscription's episode: open while something is dated for it within the horizon, and no longer.

It keeps no state of its own. It looks at the row, has what the dates made true recorded and what that demands outside
carried out, waits for the next date, and ends when the subscription is quiet; the next event or the sweep opens it
again under the same id. A test account's time is its clock's, which says what time it is by the update `tick`.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.subscription import SubscriptionActivities
    from contracts.names import STATUS
    from contracts.subscription import (
        HORIZON,
        LOOK_AGAIN,
        SUBSCRIPTION_WORKFLOW,
        TICK,
        EpisodeRequest,
        EpisodeResult,
        SettleInput,
        Standing,
        SubscriptionInput,
        Tick,
    )
    from workflows._calls_beside import start_beside
    from workflows._options import BOOKS

# Since then calls that follow-ups bring are started at once, and not by the keeper of calls.
CALLS_AT_ONCE = "calls-at-once"

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
        self._clock: datetime | None = None
        self._ticked: datetime | None = None
        self._standing: Standing | None = None

    @workflow.run
    async def run(self, request: EpisodeRequest) -> EpisodeResult:
        """Follow the subscription from date to date until it is quiet."""
        while True:
            ticked = self._clock
            standing = await self._look()
            while standing.next_due is not None and standing.next_due <= self._now():
                standing = await self._settle()
            while standing.follow_up_due is not None and standing.follow_up_due <= self._now():
                standing = await self._follow_up()
            self._show(standing)
            self._standing, self._ticked = standing, ticked
            wakes_at = standing.wakes_at
            if wakes_at is not None and wakes_at <= self._now() + KEPT_OPEN:
                await self._wait_until(wakes_at)
                continue
            await self._handlers_are_done()
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

    @workflow.update(name=TICK)
    async def tick(self, tick: Tick) -> Standing:
        """It is `to` by the account's clock. Answers once what was due by then is done."""
        if self._clock is None or self._clock < tick.to:
            self._clock = tick.to
        self._look_again = True
        await workflow.wait_condition(lambda: self._ticked is not None and self._ticked >= tick.to)
        if self._standing is None:
            raise ApplicationError("it was never looked at")
        return self._standing

    def _now(self) -> datetime:
        return self._clock or workflow.now()

    async def _look(self) -> Standing:
        # Cleared before the look: what changes while it is under way asks for another one.
        self._look_again = False
        standing = await workflow.execute_activity_method(
            SubscriptionActivities.read,
            SubscriptionInput(subscription_id=self._request.subscription_id, now=self._now()),
            summary="where does it stand?",
            **BOOKS,
        )
        if standing.clock_at is not None:
            self._clock = max(standing.clock_at, self._clock or standing.clock_at)
        return standing

    async def _settle(self) -> Standing:
        standing = await workflow.execute_activity_method(
            SubscriptionActivities.settle,
            SettleInput(subscription_id=self._request.subscription_id, now=self._now()),
            summary="record what the dates made true",
            **BOOKS,
        )
        self._settled += standing.changed
        return standing

    async def _follow_up(self) -> Standing:
        standing = await workflow.execute_activity_method(
            SubscriptionActivities.follow_up,
            SettleInput(subscription_id=self._request.subscription_id, now=self._now()),
            summary="carry out what follows",
            **BOOKS,
        )
        if standing.calls and workflow.patched(CALLS_AT_ONCE):
            await start_beside(standing.calls)
        return standing

    async def _wait_until(self, due: datetime) -> None:
        """Wait for the instant `due`, or until somebody says that something has changed. A live account's time passes
        by itself, a test account's when its clock says so."""
        if self._history_is_long():
            await self._handlers_are_done()
            if not self._look_again:
                workflow.continue_as_new(self._request.model_copy(update={"settled": self._settled}))
        with suppress(asyncio.TimeoutError):
            await workflow.wait_condition(
                lambda: self._look_again,
                timeout=None if self._clock else due - workflow.now(),
                timeout_summary="the next dated change",
            )

    async def _handlers_are_done(self) -> None:
        # A tick that came meanwhile waits for the next look, not for the end.
        await workflow.wait_condition(lambda: self._look_again or workflow.all_handlers_finished())

    def _history_is_long(self) -> bool:
        return workflow.info().is_continue_as_new_suggested()

    def _show(self, standing: Standing) -> None:
        if standing.status != self._status:
            self._status = standing.status
            workflow.upsert_search_attributes([STATUS.value_set(standing.status)])
        due = standing.next_due
        coming = f"next dated change {due:%Y-%m-%d %H:%M} UTC" if due else "nothing is dated"
        if standing.follow_up_due is not None:
            coming += f" · next follow-up {standing.follow_up_due:%Y-%m-%d %H:%M} UTC"
        if self._clock is not None:
            coming += f" · test clock at {self._clock:%Y-%m-%d %H:%M} UTC"
        workflow.set_current_details(
            f"**{standing.status}** · {coming} · {self._settled} recorded here\n\n"
            f"Signal `{LOOK_AGAIN}` makes it read the subscription again."
        )
