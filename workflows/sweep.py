"""The sweep: opens the episodes of subscriptions whose next date has come within the horizon.

Each sweep goes on where the last one of its Schedule ended, so that a subscription is opened once, when its date comes
near, and not again every minute. Two things make that safe: what is overdue is signalled in every sweep, and once a
day a pass begins again at the oldest date. All of it may be repeated without harm.

A yearly renewal is no date that an episode waits for. Once a day a pass over all subscriptions tells of those whose
payers are to know beforehand, with what the sweep's bound leaves to it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.renewals import RenewalActivities
    from activities.subscription import SweepActivities
    from contracts.subscription import HORIZON
    from contracts.sweep import (
        RenewalsPageInput,
        RenewalsPass,
        SweepPageInput,
        SweepPosition,
        SweepRequest,
        SweepResult,
    )
    from workflows._options import BOOKS

# An open episode settles by itself within seconds of its date; what is still due after this has none that works.
OVERDUE = timedelta(minutes=2)
PAGE = 200
PAGE_SECONDS = 10


@workflow.defn(name="Sweep")
class SweepWorkflow:
    """One sweep."""

    @workflow.init
    def __init__(self, request: SweepRequest) -> None:
        self._request = request
        self._now = workflow.now()

    @workflow.run
    async def run(self, request: SweepRequest) -> SweepResult:
        """Signal what is overdue, then open what has come near since the last sweep, up to the given bound."""
        # Half of the bound at most, so that what stays overdue cannot keep all else from being opened.
        overdue, _ = await self._pages(None, self._now - OVERDUE, (request.at_most + 1) // 2, wake=True)
        last = self._last_sweep()
        before = self._sweep_before(last)
        bound = request.at_most - overdue
        opened, reached = await self._pages(
            before.position if before else None, self._now + HORIZON, bound, wake=False
        )
        renewals, told = None, 0
        if workflow.patched("renewal-notices"):
            renewals, told = await self._renewals(last.renewals if last else None, bound - opened)
        details = f"{opened:,} opened, {overdue:,} overdue and signalled"
        workflow.set_current_details(details + (f", {told:,} told of their renewal" if told else ""))
        return SweepResult(
            overdue=overdue,
            opened=opened,
            position=reached,
            pass_started_at=before.pass_started_at if before else self._now,
            caught_up=opened < bound,
            renewals=renewals,
            told=told,
        )

    def _last_sweep(self) -> SweepResult | None:
        if not workflow.has_last_completion_result():
            return None
        last: SweepResult | None = workflow.get_last_completion_result(SweepResult)
        return last

    def _sweep_before(self, last: SweepResult | None) -> SweepResult | None:
        """What the sweep before this one left, unless a new pass is to begin."""
        if last is None:
            return None
        return None if last.caught_up and self._is_old(last.pass_started_at) else last

    def _is_old(self, started_at: datetime) -> bool:
        return self._now - started_at >= timedelta(hours=self._request.full_pass_hours)

    async def _renewals(self, before: RenewalsPass | None, bound: int) -> tuple[RenewalsPass | None, int]:
        """Go on with the pass over renewals, or begin the next when it is time, up to `bound` of them."""
        if before is None or (before.caught_up and self._is_old(before.started_at)):
            before = RenewalsPass(started_at=self._now)
        told, reached = 0, before
        while not reached.caught_up and told < bound:
            limit = min(PAGE, bound - told)
            page = await workflow.execute_activity_method(
                RenewalActivities.page,
                RenewalsPageInput(after=reached.after, now=self._now, limit=limit),
                summary="tell of renewals",
                **BOOKS,
            )
            told += page.told
            reached = RenewalsPass(
                started_at=reached.started_at, after=page.last or reached.after, caught_up=page.told < limit
            )
        return reached, told

    async def _pages(
        self, position: SweepPosition | None, until: datetime, bound: int, *, wake: bool
    ) -> tuple[int, SweepPosition | None]:
        """Page by page until nothing is left or `bound` is reached: how many, and the last one."""
        done = 0
        size = max(1, min(PAGE, int(self._request.rate_per_second * PAGE_SECONDS)))
        while done < bound:
            limit = min(size, bound - done)
            page = await workflow.execute_activity_method(
                SweepActivities.page,
                SweepPageInput(
                    after=position,
                    until=until,
                    limit=limit,
                    rate_per_second=self._request.rate_per_second,
                    wake=wake,
                ),
                summary="signal what is overdue" if wake else "open what has come near",
                **BOOKS,
            )
            done += page.opened
            position = page.last or position
            if page.opened < limit:
                break
        return done, position
