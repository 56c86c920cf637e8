"""The dunning of one account: open while it owes something that is past due or a charge of it failed.

It keeps no state of its own. It has the rules judge the account (its state, mails, measures, access), waits for the
next day on which something changes, or for word that something has changed, and ends when the case is closed: paid,
credited or written off. Several invoices are one case. A case on which nothing more is dated stays as a row, and the
next event opens this again under the same id.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from activities.dunning import DunningActivities
    from contracts.dunning import (
        DUNNING_WORKFLOW,
        HOLD,
        HORIZON,
        LOOK_AGAIN,
        RELEASE,
        CaseStanding,
        DunInput,
        DunningRequest,
        DunningResult,
        DunningSweepInput,
        DunningSweepRequest,
        DunningSweepResult,
        Hold,
        HoldInput,
        HoldKind,
        Release,
        ReleaseInput,
    )
    from contracts.names import STATUS
    from domain.money import format_minor
    from workflows._options import BOOKS


@workflow.defn(name=DUNNING_WORKFLOW)
class DunningWorkflow:
    """One case of one account."""

    @workflow.init
    def __init__(self, request: DunningRequest) -> None:
        self._request = request
        self._looks = request.looks
        self._look_again = False
        self._status: str | None = None

    @workflow.run
    async def run(self, request: DunningRequest) -> DunningResult:
        """Dun the account from day to day until it has paid."""
        while True:
            standing = await self._dun()
            self._show(standing)
            coming = standing.next_at if standing.open else None
            if coming is not None and coming <= workflow.now() + HORIZON:
                await self._wait_until(coming)
                continue
            # An update that came meanwhile has another look, and not the end.
            await workflow.wait_condition(lambda: self._look_again or workflow.all_handlers_finished())
            if not self._look_again:
                return DunningResult(
                    account_id=request.account_id,
                    open=standing.open,
                    state=standing.state,
                    outcome=standing.outcome,
                    looks=self._looks,
                )

    @workflow.signal(name=LOOK_AGAIN)
    def look_again(self) -> None:
        """Something about the account has changed: a payment, a charge, an invoice, a hold."""
        self._look_again = True

    @workflow.update(name=HOLD)
    async def hold(self, hold: Hold) -> None:
        """Dun no further for a while: a promise to pay, a dispute, a pause."""
        order = HoldInput(account_id=self._request.account_id, now=workflow.now(), hold=hold)
        try:
            await workflow.execute_activity_method(
                DunningActivities.hold, order, summary=f"hold: {hold.why}", **BOOKS
            )
        except ActivityError as error:
            raise _refusal(error) from error
        self._look_again = True

    @hold.validator
    def check_hold(self, hold: Hold) -> None:
        """A promise names its day."""
        if hold.why is HoldKind.PROMISE and hold.until is None:
            raise ApplicationError("a promise to pay names the day by which the money comes: give `until`")

    @workflow.update(name=RELEASE)
    async def release(self, release: Release) -> None:
        """Go on dunning."""
        order = ReleaseInput(account_id=self._request.account_id, now=workflow.now(), release=release)
        try:
            await workflow.execute_activity_method(
                DunningActivities.release, order, summary="release", **BOOKS
            )
        except ActivityError as error:
            raise _refusal(error) from error
        self._look_again = True

    async def _dun(self) -> CaseStanding:
        # Cleared before the look: what changes while it is under way asks for another one.
        self._look_again = False
        self._looks += 1
        return await workflow.execute_activity_method(
            DunningActivities.dun,
            DunInput(account_id=self._request.account_id, now=workflow.now()),
            summary="judge what it owes today",
            **BOOKS,
        )

    async def _wait_until(self, due: datetime) -> None:
        if workflow.info().is_continue_as_new_suggested():
            await workflow.wait_condition(lambda: self._look_again or workflow.all_handlers_finished())
            if not self._look_again:
                workflow.continue_as_new(self._request.model_copy(update={"looks": self._looks}))
        with suppress(asyncio.TimeoutError):
            await workflow.wait_condition(
                lambda: self._look_again,
                timeout=max((due - workflow.now()).total_seconds(), 0),
                timeout_summary="the next day on which dunning has something to do",
            )

    def _show(self, standing: CaseStanding) -> None:
        status = standing.state if standing.open else standing.outcome or "closed"
        if status != self._status:
            self._status = status
            workflow.upsert_search_attributes([STATUS.value_set(status)])
        workflow.set_current_details("\n\n".join(_lines(standing, status)))


def _lines(standing: CaseStanding, status: str) -> list[str]:
    if not standing.open:
        return [f"**{status}** · the account owes nothing that is dunned"]
    owed = f"{format_minor(standing.amount, standing.currency)} on {standing.invoices} open invoices"
    if standing.in_flight:
        owed += f", {standing.in_flight} of them in a charge whose end is not known (not dunned meanwhile)"
    coming = f"next on {standing.next_at:%Y-%m-%d %H:%M} UTC" if standing.next_at else "nothing more is dated"
    if standing.retry_at is not None:
        coming += f" · the payment method is tried again from {standing.retry_at:%Y-%m-%d %H:%M} UTC"
    held = [
        f"held by a {why}" + (f" through {until}" if until else " until it is released")
        for why, until in standing.holds.items()
    ]
    return [
        f"**{status}** · {owed}",
        coming,
        *held,
        f"Updates `{HOLD}` and `{RELEASE}` (actor, reason); signal `{LOOK_AGAIN}` makes it judge again.",
    ]


def _refusal(error: ActivityError) -> ApplicationError:
    return ApplicationError(str(error.cause), type="Refused")


@workflow.defn(name="DunningSweep")
class DunningSweepWorkflow:
    """One sweep: opens cases of live accounts with invoices past due. The keeper opens their workflows."""

    @workflow.run
    async def run(self, request: DunningSweepRequest) -> DunningSweepResult:
        """Batch by batch, until nothing is left or the bound is reached."""
        now, opened, more = workflow.now(), 0, True
        while more and opened < request.at_most:
            limit = min(request.batch, request.at_most - opened)
            done = await workflow.execute_activity_method(
                DunningActivities.sweep,
                DunningSweepInput(as_of=now, limit=limit),
                summary="open the next cases",
                **BOOKS,
            )
            opened, more = opened + done.opened, done.more
        workflow.set_current_details(f"{opened:,} cases opened")
        return DunningSweepResult(opened=opened, caught_up=not more)
