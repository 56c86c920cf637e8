"""Episodes of subscriptions: opening and waking them, and what they ask of the books."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine
from temporalio import activity
from temporalio.client import Client, WithStartWorkflowOperation
from temporalio.common import (
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDConflictPolicy,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError, RPCStatusCode

from activities.heartbeat import beating, pulse
from contracts.names import ACCOUNT, TASK_QUEUE, subscription_id
from contracts.subscription import (
    LOOK_AGAIN,
    SUBSCRIPTION_WORKFLOW,
    TICK,
    EpisodeRef,
    EpisodeRequest,
    SettleInput,
    Standing,
    SubscriptionInput,
    Tick,
)
from contracts.sweep import SweepPageInput, SweepPageOutput
from operations.dispatch import due_page
from operations.follow_ups.carrying import ProvisionerOf, nobody
from operations.fulfilment.sending import FulfilledBy, nothing_connected
from operations.subscriptions import follow_up_subscription, read_standing, settle_subscription
from operations.tariffs import Tariffs

AT_ONCE = 8
RPC_TIMEOUT = timedelta(seconds=10)
TICK_TIMEOUT = timedelta(seconds=60)
DETAILS = (
    "Open while something is dated within the next 35 days; it ends when the subscription is quiet. "
    "The books are in Postgres: ending or deleting this changes nothing there, and the sweep opens it again."
)


class Episodes:
    """The workflows of subscriptions, as others see them."""

    def __init__(self, client: Client, task_queue: str = TASK_QUEUE) -> None:
        self._client = client
        self._task_queue = task_queue

    async def signal(self, ref: EpisodeRef) -> None:
        """Let the episode look at its subscription again; open one when none is open."""
        await self._start(ref, LOOK_AGAIN)

    async def open(self, ref: EpisodeRef) -> None:
        """Make sure that an episode is open; one that is, is left in peace."""
        await self._start(ref, None)

    async def wake(self, ref: EpisodeRef) -> None:
        """Let the episode look again if one is open."""
        handle = self._client.get_workflow_handle(subscription_id(ref.subscription_id))
        try:
            await handle.signal(LOOK_AGAIN, rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise

    async def tick(self, ref: EpisodeRef, to: datetime) -> Standing:
        """Tell the episode of a test account's subscription what time it is, opening one where none is open; answers
        once what was due by then is done."""
        while True:
            try:
                standing: Standing = await self._client.execute_update_with_start_workflow(
                    TICK,
                    Tick(to=to),
                    start_workflow_operation=self._opening(ref),
                    result_type=Standing,
                    rpc_timeout=TICK_TIMEOUT,
                )
                return standing
            except RPCError as error:
                # It ended between our start and our update.
                if error.status not in (RPCStatusCode.NOT_FOUND, RPCStatusCode.ABORTED):
                    raise
                await asyncio.sleep(0.05)

    def _opening(self, ref: EpisodeRef) -> WithStartWorkflowOperation[Any, Any]:
        return WithStartWorkflowOperation(
            SUBSCRIPTION_WORKFLOW,
            EpisodeRequest(subscription_id=ref.subscription_id),
            id=subscription_id(ref.subscription_id),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            search_attributes=_attributes(ref),
            static_summary="what is dated for one subscription",
            static_details=DETAILS,
        )

    async def _start(self, ref: EpisodeRef, signal: str | None) -> None:
        await self._client.start_workflow(
            SUBSCRIPTION_WORKFLOW,
            EpisodeRequest(subscription_id=ref.subscription_id),
            id=subscription_id(ref.subscription_id),
            task_queue=self._task_queue,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            start_signal=signal,
            search_attributes=_attributes(ref),
            static_summary="what is dated for one subscription",
            static_details=DETAILS,
            rpc_timeout=RPC_TIMEOUT,
        )


def _attributes(ref: EpisodeRef) -> TypedSearchAttributes:
    return TypedSearchAttributes([SearchAttributePair(ACCOUNT, ref.account_id)])


async def for_each(
    refs: Sequence[EpisodeRef],
    step: Callable[[EpisodeRef], Awaitable[None]],
    *,
    per_second: float | None = None,
) -> list[tuple[EpisodeRef, Exception]]:
    """Do `step` for each of `refs`, `AT_ONCE` at a time and no more than `per_second`; answer what failed."""
    gate = asyncio.Semaphore(AT_ONCE)
    failed: list[tuple[EpisodeRef, Exception]] = []

    async def one(place: int, ref: EpisodeRef) -> None:
        if per_second is not None:
            await asyncio.sleep(place / per_second)
        async with gate:
            try:
                await step(ref)
            except Exception as error:
                failed.append((ref, error))

    async with asyncio.TaskGroup() as tasks:
        for place, ref in enumerate(refs):
            tasks.create_task(one(place, ref))
    return failed


class SubscriptionActivities:
    """A subscription's row, on the database of `engine`. `provisioner` names the connection that provides access to
    accounts of a mode, `fulfilled_by` those that give licences and send parcels."""

    def __init__(
        self,
        engine: Engine,
        provisioner: ProvisionerOf = nobody,
        tariffs: Tariffs | None = None,
        fulfilled_by: FulfilledBy = nothing_connected,
    ) -> None:
        self._engine = engine
        self._provisioner = provisioner
        self._fulfilled_by = fulfilled_by
        self._tariffs = tariffs or Tariffs(engine)

    @activity.defn(name="read_subscription", no_thread_cancel_exception=True)
    def read(self, order: SubscriptionInput) -> Standing:
        """Where the subscription stands, with what it demands written down."""
        try:
            with pulse():
                return read_standing(self._engine, order.subscription_id, order.now, self._tariffs.current())
        except LookupError as error:
            raise _unknown(error) from error

    @activity.defn(name="settle_subscription", no_thread_cancel_exception=True)
    def settle(self, order: SettleInput) -> Standing:
        """Record what the subscription's dates have made true by `now`."""
        try:
            with pulse():
                return settle_subscription(
                    self._engine, order.subscription_id, order.now, self._tariffs.current()
                )
        except LookupError as error:
            raise _unknown(error) from error

    @activity.defn(name="follow_up_subscription", no_thread_cancel_exception=True)
    def follow_up(self, order: SettleInput) -> Standing:
        """Carry out what the subscription demands by `now`."""
        try:
            with pulse():
                return follow_up_subscription(
                    self._engine, order.subscription_id, order.now, self._provisioner, self._fulfilled_by
                )
        except LookupError as error:
            raise _unknown(error) from error

    def all(self) -> list[Callable[..., Any]]:
        """Every activity, for the worker."""
        return [self.read, self.settle, self.follow_up]


def _unknown(error: LookupError) -> ApplicationError:
    return ApplicationError(str(error), type="UnknownSubscription", non_retryable=True)


class SweepActivities:
    """Opening the episodes of what is due soon."""

    def __init__(self, engine: Engine, episodes: Episodes) -> None:
        self._engine = engine
        self._episodes = episodes

    @activity.defn(name="sweep_page")
    async def page(self, order: SweepPageInput) -> SweepPageOutput:
        """Open (with `wake`: signal) the episodes of one page, no faster than the given rate."""
        async with beating():
            refs, last = await asyncio.to_thread(
                due_page, self._engine, after=order.after, until=order.until, limit=order.limit
            )
            step = self._episodes.signal if order.wake else self._episodes.open
            failed = await for_each(refs, step, per_second=order.rate_per_second)
        if failed:
            raise failed[0][1]
        return SweepPageOutput(opened=len(refs), last=last)

    def all(self) -> list[Callable[..., Any]]:
        """Every activity, for the worker."""
        return [self.page]
