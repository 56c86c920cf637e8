"""The bill run's activities: each unpacks its contract and calls one operation."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from sqlalchemy import Engine
from temporalio import activity
from temporalio.exceptions import ApplicationError

from activities.heartbeat import pulse
from contracts.bill_run import (
    ChunkInput,
    ChunkOutput,
    ControlRecord,
    FinishInput,
    OpenRunInput,
    OpenRunOutput,
    PreviewInput,
    PreviewOutput,
    PreviewRangesOutput,
    RunInput,
    RunSummary,
    StatusInput,
    UnfinishedOutput,
)
from operations.audit import record_action
from operations.billrun.fail_points import fail_point
from operations.billrun.post import ChunkRef
from operations.billrun.rate import TaxEngines
from operations.billrun.run import BillRuns
from operations.billrun.scope import Scope, ScopeError
from storage.billable import Target


def _scope(name: str) -> Scope:
    try:
        return Scope.parse(name)
    except ScopeError as error:
        raise ApplicationError(str(error), type="ScopeError", non_retryable=True) from error


def _target(as_of: date | None, instant: datetime | None, now: datetime | None = None) -> Target:
    if (as_of is None) == (instant is None):
        raise ApplicationError(
            "a run needs a date or an instant, not both", type="TargetError", non_retryable=True
        )
    return Target(as_of, instant, now)


class BillRunActivities:
    """Bill runs on the database of `engine`, taxed by the connected `engines` where there are any."""

    def __init__(self, engine: Engine, engines: TaxEngines | None = None) -> None:
        self._engine = engine
        self._runs = BillRuns(engine, engines=engines)

    @activity.defn(name="open_bill_run", no_thread_cancel_exception=True)
    def open(self, order: OpenRunInput) -> OpenRunOutput:
        """Create the run and select its chunks."""
        info = activity.info()
        with pulse():
            run_id = self._runs.open(
                workflow_id=info.workflow_id or "",
                workflow_run_id=order.execution or info.workflow_run_id or "",
                mode=order.mode,
                scope=_scope(order.scope),
                target=_target(order.as_of, order.instant),
                chunk_size=order.chunk_size,
                at_once=order.concurrency,
            )
        chunks, selected = self._runs.size(run_id)
        return OpenRunOutput(run_id=run_id, chunks=chunks, selected=selected)

    @activity.defn(name="bill_chunk", no_thread_cancel_exception=True)
    def bill(self, order: ChunkInput) -> ChunkOutput:
        """Rate, tax and post one chunk. Raises a retryable error while rows keep moving under a waiting call."""
        fail_point("between-chunks")
        ref = ChunkRef(order.run_id, order.no, order.mode)
        with pulse() as heart:
            report = self._runs.bill(
                ref, _target(order.as_of, order.instant, order.now), wait=order.wait, heartbeat=heart
            )
        if order.wait and report.left:
            raise ApplicationError(
                f"{report.left} accounts of chunk {order.no} kept changing while they were billed; trying again",
                type="StillMoving",
            )
        return ChunkOutput(
            rated=report.rated,
            taxed=report.taxed,
            billed=report.billed,
            nothing_due=report.nothing_due,
            parked=report.parked,
            left=report.left,
        )

    @activity.defn(name="unfinished_chunks", no_thread_cancel_exception=True)
    def unfinished(self, order: RunInput) -> UnfinishedOutput:
        """Chunks with accounts still pending."""
        with pulse():
            return UnfinishedOutput(chunks=self._runs.unfinished(order.run_id))

    @activity.defn(name="set_bill_run_status", no_thread_cancel_exception=True)
    def set_status(self, order: StatusInput) -> None:
        """Record running or paused."""
        with pulse():
            self._runs.set_status(order.run_id, order.status.value)

    @activity.defn(name="finish_bill_run", no_thread_cancel_exception=True)
    def finish(self, order: FinishInput) -> RunSummary:
        """End the run and count it from the database."""
        with pulse():
            return RunSummary.model_validate(self._runs.finish(order.run_id, canceled=order.canceled))

    @activity.defn(name="preview_ranges", no_thread_cancel_exception=True)
    def preview_ranges(self, order: OpenRunInput) -> PreviewRangesOutput:
        """How a preview is cut."""
        with pulse() as heart:
            heart("select")
            firsts = self._runs.preview_ranges(
                mode=order.mode,
                scope=_scope(order.scope),
                target=_target(order.as_of, order.instant),
                chunk_size=order.chunk_size,
                at_once=order.concurrency,
            )
        return PreviewRangesOutput(firsts=firsts)

    @activity.defn(name="preview_bill_run", no_thread_cancel_exception=True)
    def preview(self, order: PreviewInput) -> PreviewOutput:
        """What a run would bill for a range; writes nothing, and begins no range once canceled."""
        with pulse() as heart:
            heart("rate and tax")
            report = self._runs.preview(
                mode=order.mode,
                scope=_scope(order.scope),
                target=_target(order.as_of, order.instant, order.now),
                first=order.first,
                until=order.until,
                heartbeat=heart,
            )
        return PreviewOutput(
            invoices=report.invoices,
            nothing_due=report.nothing_due,
            parked=report.parked,
            totals=report.totals,
            rated=report.invoices + report.nothing_due,
            taxed=report.invoices,
        )

    @activity.defn(name="record_control", no_thread_cancel_exception=True)
    def record_control(self, order: ControlRecord) -> None:
        """Put an operator's action into the audit table; once per attempt's activity id."""
        info = activity.info()
        with pulse():
            record_action(
                self._engine,
                key=f"{info.workflow_run_id}/{info.activity_id}",
                actor=order.actor,
                action=order.action,
                subject=f"bill-run/{order.run_id}",
                reason=order.reason,
            )

    def all(self) -> list[Callable[..., Any]]:
        """Every activity, for the worker."""
        return [
            self.open,
            self.bill,
            self.unfinished,
            self.set_status,
            self.finish,
            self.preview_ranges,
            self.preview,
            self.record_control,
        ]
