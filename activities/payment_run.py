"""The payment run's activities: each unpacks its contract and calls one operation; charges are sent by `charges`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Engine
from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from activities.call_attempt import OpenConnector
from activities.charges import ChargeSender
from activities.errors import Held, as_temporal
from activities.heartbeat import beating, pulse
from contracts.bill_run import ControlRecord, FinishInput, StatusInput
from contracts.payment_run import (
    ChargeChunk,
    ChargesPreviewed,
    ChunkCharged,
    OpenPaymentRun,
    PaymentRunOpened,
    PaymentRunSummary,
    PreviewCharges,
)
from operations.audit import record_action
from operations.billrun.fail_points import fail_point
from operations.billrun.scope import ScopeError
from operations.charges.run import PARKED, PaymentRuns
from operations.charges.scope import PaymentScope
from operations.tariffs import Tariffs
from storage.billable import Target
from storage.write_holds import WritesHeld

# So long a chunk is tried again by itself while its gateway is away; then its charges are left to the keeper of calls.
GATEWAY_AWAY = timedelta(hours=1)


def _scope(name: str) -> PaymentScope:
    try:
        return PaymentScope.parse(name)
    except ScopeError as error:
        raise ApplicationError(str(error), type="ScopeError", non_retryable=True) from error


def _target(as_of: date | None, instant: datetime | None) -> Target:
    if (as_of is None) == (instant is None):
        raise ApplicationError(
            "a run needs a date or an instant, not both", type="TargetError", non_retryable=True
        )
    return Target(as_of, instant)


class PaymentRunActivities:
    """Payment runs on the database of `engine`, through the connections of `open_connector`."""

    def __init__(
        self, engine: Engine, open_connector: OpenConnector, sender: ChargeSender | None = None
    ) -> None:
        self._engine = engine
        self._runs = PaymentRuns(engine)
        self._sender = sender or ChargeSender(engine, open_connector, Tariffs(engine))

    @activity.defn(name="open_payment_run", no_thread_cancel_exception=True)
    def open(self, order: OpenPaymentRun) -> PaymentRunOpened:
        """Create the run and select its chunks."""
        with pulse():
            run_id = self._runs.open(
                workflow_id=activity.info().workflow_id or "",
                workflow_run_id=order.execution,
                mode=order.mode,
                scope=_scope(order.scope),
                target=_target(order.as_of, order.instant),
                chunk_size=order.chunk_size,
            )
            chunks, selected = self._runs.size(run_id)
        return PaymentRunOpened(run_id=run_id, chunks=chunks, selected=selected)

    @activity.defn(name="charge_chunk")
    async def charge(self, order: ChargeChunk) -> ChunkCharged:
        """Begin the charges of one chunk, send them, and write down what each came to. Raises a retryable error while
        a gateway is away, or external writes are held: nothing was sent then."""
        info = activity.info()
        try:
            async with beating():
                fail_point("before-begin-charges")
                begun = await asyncio.to_thread(
                    self._runs.begin, order.run_id, order.no, order.now, order.as_of
                )
                fail_point("after-begin-charges")
                charges = await asyncio.to_thread(self._runs.to_send, order.run_id, order.no)
                sent = await self._sender.send(charges, order.now)
                fail_point("after-charges")
        except WritesHeld as held:
            raise as_temporal(
                Held(str(held)), tries=info.attempt, subject=f"charges of chunk {order.no}"
            ) from None
        waited = info.current_attempt_scheduled_time - info.scheduled_time
        if sent.waiting and waited < GATEWAY_AWAY:
            raise ApplicationError(
                f"{sent.waiting} charges of chunk {order.no} wait: their gateway is away, or takes no more now",
                type="GatewayAway",
                next_retry_delay=min(sent.again_after, timedelta(minutes=5)),
                category=ApplicationErrorCategory.BENIGN,
            )
        return ChunkCharged(
            charges=sent.counts(),
            left=len(begun.left),
            parked=sum(each.why.value == PARKED for each in begun.left),
        )

    @activity.defn(name="preview_charges", no_thread_cancel_exception=True)
    def preview(self, order: PreviewCharges) -> ChargesPreviewed:
        """What a run would do for the next accounts; writes nothing."""
        with pulse():
            found = self._runs.preview(
                mode=order.mode,
                scope=_scope(order.scope),
                target=_target(order.as_of, None if order.as_of else order.now),
                now=order.now,
                after=order.after,
                limit=order.limit,
            )
        return ChargesPreviewed(
            selected=found.selected,
            behind=found.behind,
            charges={"intent": found.charges} if found.charges else {},
            left=dict(found.left),
            parked=found.parked,
            in_flight=dict(found.amounts),
            unselected=found.unselected,
        )

    @activity.defn(name="set_payment_run_status", no_thread_cancel_exception=True)
    def set_status(self, order: StatusInput) -> None:
        """Record running or paused."""
        with pulse():
            self._runs.set_status(order.run_id, order.status.value)

    @activity.defn(name="finish_payment_run", no_thread_cancel_exception=True)
    def finish(self, order: FinishInput) -> PaymentRunSummary:
        """End the run and count it from the database."""
        with pulse():
            return PaymentRunSummary.model_validate(self._runs.finish(order.run_id, canceled=order.canceled))

    @activity.defn(name="record_payment_run_control", no_thread_cancel_exception=True)
    def record_control(self, order: ControlRecord) -> None:
        """Put an operator's action into the audit table; once per attempt's activity id."""
        info = activity.info()
        with pulse():
            record_action(
                self._engine,
                key=f"{info.workflow_run_id}/{info.activity_id}",
                actor=order.actor,
                action=order.action,
                subject=f"payment-run/{order.run_id}",
                reason=order.reason,
            )

    def all(self) -> list[Callable[..., Any]]:
        """Every activity, for the worker."""
        return [
            self.open,
            self.charge,
            self.preview,
            self.set_status,
            self.finish,
            self.record_control,
        ]
