"""A test clock's accounts, played side by side; each account's time passes in order."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Engine
from temporalio import activity
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from activities.heartbeat import pulse
from activities.subscription import Episodes
from contracts.connector_call import CallRef
from contracts.subscription import EpisodeRef
from contracts.test_clock import (
    AdvanceInput,
    Clock,
    ClockProblem,
    ClockRequest,
    ClockResult,
    ClockStatus,
)
from operations.billrun.fail_points import fail_point
from operations.billrun.rate import TaxEngines, TaxStep
from operations.billrun.whole_quotes import NotTaxed
from operations.fulfilment.sending import FulfilledBy
from operations.tariffs import Tariff, Tariffs
from operations.test_clocks.clocks import (
    ClockRefused,
    NoSuchClock,
    arrived,
    failed,
    order_advance,
    read_clock,
)
from operations.test_clocks.delivering import deliver
from operations.test_clocks.playing import Step, play_step
from storage.database import DATABASE_AWAY, transaction
from storage.test_clocks import accounts_behind

log = logging.getLogger("masthead.test_clock")

# Rules are pure Python on one core: more at once would only wait for each other. Some wait for episodes.
ACCOUNTS_AT_ONCE = 6
PAGE = 200
MODE = "test"  # of every account on a clock
# How long an account's time waits for the answer of a system that gives licences or sends parcels.
ANSWER_SECONDS = 20.0
LOOK_EVERY_SECONDS = 0.05


class Deliveries(NamedTuple):
    """Which connections give licences and send parcels, for a mode, and what starts the process of a call."""

    fulfilled_by: FulfilledBy
    start: Callable[[CallRef], Awaitable[object]]


class TestClockActivities:
    """Clocks in the database of `engine`. deliveries: None where nothing gives licences or sends parcels. taxes: the
    connected tax engines."""

    __test__ = False

    def __init__(
        self,
        engine: Engine,
        episodes: Episodes,
        deliveries: Deliveries | None = None,
        taxes: TaxEngines | None = None,
    ) -> None:
        self._engine = engine
        self._episodes = episodes
        self._deliveries = deliveries
        self._taxes = taxes
        self._tariffs = Tariffs(engine)

    @activity.defn(name="order_clock", no_thread_cancel_exception=True)
    def order(self, order: AdvanceInput) -> Clock:
        """Note that the clock shall go on. Raises a final ClockRefused for what cannot be."""
        try:
            with pulse():
                return order_advance(self._engine, order.clock_id, order.to)
        except (ClockRefused, NoSuchClock) as error:
            raise ApplicationError(str(error), type="ClockRefused", non_retryable=True) from error

    @activity.defn(name="drive_clock")
    async def drive(self, request: ClockRequest) -> ClockResult:
        """Play every account of the clock up to its target. Tried again, it goes on with those that are not there."""
        clock = await asyncio.to_thread(read_clock, self._engine, request.clock_id)
        if clock.target is None or clock.status is not ClockStatus.ADVANCING:
            return _result(clock, 0)
        drive = _Drive(
            self._engine,
            self._tariffs,
            self._episodes,
            self._deliveries,
            clock.id,
            clock.target,
            clock.accounts,
            self._taxes,
        )
        await drive.go()
        return _result(await asyncio.to_thread(arrived, self._engine, clock.id), drive.steps)

    @activity.defn(name="fail_clock", no_thread_cancel_exception=True)
    def fail(self, order: ClockProblem) -> ClockResult:
        """Note why the clock cannot go on."""
        with pulse():
            return _result(failed(self._engine, order.clock_id, order.problem), 0)

    def all(self) -> list[Callable[..., Any]]:
        """Every activity, for the worker."""
        return [self.order, self.drive, self.fail]


def _result(clock: Clock, steps: int) -> ClockResult:
    return ClockResult(clock_id=clock.id, status=clock.status, frozen_at=clock.frozen_at, steps=steps)


class _Drive:
    """One way of a clock to its target."""

    def __init__(
        self,
        engine: Engine,
        tariffs: Tariffs,
        episodes: Episodes,
        deliveries: Deliveries | None,
        clock_id: str,
        to: datetime,
        accounts: int,
        taxes: TaxEngines | None,
    ) -> None:
        self._engine = engine
        self._tariffs = tariffs
        self._episodes = episodes
        self._deliveries = deliveries
        self._silent: set[str] = set()  # connections that are not waited for any more
        self._clock_id = clock_id
        self._to = to
        self._accounts = accounts
        self._taxes = taxes
        self._arrived = 0
        self.steps = 0

    async def go(self) -> None:
        """All accounts, page by page."""
        beats = asyncio.create_task(self._beat())
        try:
            after = str(UUID(int=0))
            while page := await asyncio.to_thread(self._page, after):
                gate = asyncio.Semaphore(ACCOUNTS_AT_ONCE)
                async with asyncio.TaskGroup() as tasks:
                    for account in page:
                        tasks.create_task(self._account(account, gate))
                after = page[-1]
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            beats.cancel()

    def _page(self, after: str) -> list[str]:
        with transaction(self._engine) as connection:
            return accounts_behind(connection, self._clock_id, self._to, after=after, limit=PAGE)

    async def _account(self, account: str, gate: asyncio.Semaphore) -> None:
        async with gate:
            await self._deliver(account)  # whoever began this way may have died before
            step = await self._step(account)
            while not step.arrived:
                for subscription in step.waiting:
                    await self._tick(EpisodeRef(subscription, account), step.at)
                if step.delivers:
                    await self._deliver(account)
                step = await self._step(account)
            if step.delivers:
                await self._deliver(account)
        self._arrived += 1

    async def _deliver(self, account: str) -> None:
        """Have licences and parcels asked for at the instant on which the account stands, step by step, and wait for
        the answers; a system that gives none for long is not waited for again on this way."""
        if self._deliveries is None:
            return
        started: set[str] = set()
        since = time.monotonic()
        while True:
            calls = await asyncio.to_thread(deliver, self._engine, self._deliveries.fulfilled_by, account)
            for call in calls:
                if call.call_id not in started:
                    await self._deliveries.start(call)
                    started.add(call.call_id)
                    since = time.monotonic()
            awaited = {each.connection for each in calls} - self._silent
            if not awaited:
                return
            if time.monotonic() - since > ANSWER_SECONDS:
                self._silent |= awaited
                log.warning("no answer of %s: time goes on without it", ", ".join(sorted(awaited)))
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _step(self, account: str) -> Step:
        fail_point("clock-step")
        try:
            tariff = self._tariffs.current()
            step = await asyncio.to_thread(
                play_step, self._engine, tariff, account, self._to, self._asking(tariff)
            )
        except DATABASE_AWAY:
            raise
        except (ValueError, LookupError, NotTaxed) as error:
            raise ApplicationError(
                f"account {account} cannot go on: {error}", type="AccountStuck", non_retryable=True
            ) from error
        self.steps += 1
        return step

    def _asking(self, tariff: Tariff) -> TaxStep | None:
        """The step of the engine that taxes test accounts; None where the built-in table does."""
        if self._taxes is None or not self._taxes.asked(MODE):
            return None
        return self._taxes.step(MODE, tariff.taxes, lambda _: None)

    async def _tick(self, ref: EpisodeRef, to: datetime) -> None:
        fail_point("clock-tick")
        try:
            await self._episodes.tick(ref, to)
        except WorkflowUpdateFailedError as error:
            raise ApplicationError(
                f"the episode of subscription {ref.subscription_id} cannot go on: {error.cause}",
                type="EpisodeStuck",
                non_retryable=True,
            ) from error

    async def _beat(self) -> None:
        timeout = activity.info().heartbeat_timeout
        while timeout is not None:
            activity.heartbeat(f"{self._arrived} of {self._accounts} accounts stand at {self._to}")
            await asyncio.sleep(timeout.total_seconds() / 4)
