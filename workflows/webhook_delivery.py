"""The delivery to one subscriber's endpoint: open while messages wait for it.

It keeps no message: they are rows, each with the instant of its next attempt. It has them sent when they are due,
first attempts and later ones alike, sleeps until the next is, and ends when none waits. Each endpoint has its own, so
that one that is slow or down holds up nobody else.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities.webhooks_out import WebhookActivities
    from contracts.names import STATUS
    from contracts.webhooks_out import (
        LOOK_AGAIN,
        WEBHOOK_DELIVERY_WORKFLOW,
        DeliverInput,
        DeliverOutput,
        DeliveryRequest,
        DeliveryResult,
    )
    from workflows._options import WEBHOOKS


@workflow.defn(name=WEBHOOK_DELIVERY_WORKFLOW)
class WebhookDeliveryWorkflow:
    """Everything that waits for one endpoint."""

    @workflow.init
    def __init__(self, request: DeliveryRequest) -> None:
        self._request = request
        self._delivered = request.delivered
        self._failed = request.failed
        self._status: str | None = None
        self._look_again = False

    @workflow.run
    async def run(self, request: DeliveryRequest) -> DeliveryResult:
        """Turn after turn, until nothing waits."""
        while True:
            if self._history_is_long():
                await workflow.wait_condition(workflow.all_handlers_finished)
                self._continue()
            turn = await self._deliver()
            self._show(turn)
            if turn.next_at is not None:
                await self._sleep_until(turn.next_at)
                continue
            await workflow.wait_condition(workflow.all_handlers_finished)
            if not self._look_again:
                return DeliveryResult(
                    endpoint_id=request.endpoint_id,
                    status=turn.status,
                    delivered=self._delivered,
                    failed=self._failed,
                )

    @workflow.signal(name=LOOK_AGAIN)
    def look_again(self) -> None:
        """There is something new for the endpoint, or it was changed."""
        self._look_again = True

    async def _deliver(self) -> DeliverOutput:
        self._look_again = False
        turn = await workflow.execute_activity_method(
            WebhookActivities.deliver,
            DeliverInput(endpoint_id=self._request.endpoint_id, now=workflow.now()),
            task_queue=self._request.queue,
            summary="send what is due",
            **WEBHOOKS,
        )
        self._delivered += turn.delivered
        self._failed += turn.failed
        return turn

    async def _sleep_until(self, due: datetime) -> None:
        left = due - workflow.now()
        if left.total_seconds() <= 0 or self._look_again:
            return
        with suppress(asyncio.TimeoutError):
            await workflow.wait_condition(
                lambda: self._look_again, timeout=left, timeout_summary="the next attempt"
            )

    def _history_is_long(self) -> bool:
        return workflow.info().is_continue_as_new_suggested()

    def _continue(self) -> None:
        workflow.continue_as_new(
            self._request.model_copy(update={"delivered": self._delivered, "failed": self._failed})
        )

    def _show(self, turn: DeliverOutput) -> None:
        if turn.status != self._status:
            self._status = turn.status
            workflow.upsert_search_attributes([STATUS.value_set(turn.status)])
        coming = f"next look {turn.next_at:%Y-%m-%d %H:%M:%S} UTC" if turn.next_at else "nothing waits"
        workflow.set_current_details(
            f"**{turn.status}** · {self._delivered:,} delivered, {self._failed:,} attempts failed · {coming}\n\n"
            f"`masthead webhooks deliveries {self._request.endpoint_id}` shows what was answered."
        )
