"""The Schedules that Masthead needs in Temporal, and their state as operators see it."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine
from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
)
from temporalio.service import RPCError, RPCStatusCode

from contracts.bill_run import BillRunRequest
from contracts.dunning import DunningSweepRequest
from contracts.names import (
    BILL_RUN_SCHEDULE,
    DUNNING_SCHEDULE,
    PAYMENT_RUN_SCHEDULE,
    SCHEDULED_BILL_RUN,
    SCHEDULED_DUNNING,
    SCHEDULED_PAYMENT_RUN,
    SCHEDULED_SWEEP,
    SWEEP_SCHEDULE,
    TASK_QUEUE,
)
from contracts.payment_run import PaymentRunRequest
from contracts.sweep import SweepRequest
from workflows.bill_run import BillRunWorkflow
from workflows.dunning import DunningSweepWorkflow
from workflows.payment_run import PaymentRunWorkflow
from workflows.sweep import SweepWorkflow

log = logging.getLogger("masthead.schedules")

LOOK_AGAIN_SECONDS = 600.0
AFTER_FAILURE_SECONDS = 10.0
NAMES = {
    "sweep": SWEEP_SCHEDULE,
    "bill-run": BILL_RUN_SCHEDULE,
    "payment-run": PAYMENT_RUN_SCHEDULE,
    "dunning": DUNNING_SCHEDULE,
}


@dataclass(frozen=True)
class ScheduleView:
    """A Schedule as it stands. `name` is the short one that commands take."""

    name: str
    id: str
    paused: bool
    every_seconds: float
    note: str
    runs: int
    last_run: datetime | None
    next_run: datetime | None


def _sweep() -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            SweepWorkflow.run,
            SweepRequest(),
            id=SCHEDULED_SWEEP,
            task_queue=TASK_QUEUE,
            static_summary="open what falls due soon",
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(minutes=1))]),
        # A sweep that was missed is made good by the next.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(minutes=1)),
        state=ScheduleState(note="Opens the workflows of subscriptions with a date in the next 35 days."),
    )


def _bill_run() -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            BillRunWorkflow.run,
            BillRunRequest(),
            id=SCHEDULED_BILL_RUN,
            task_queue=TASK_QUEUE,
            static_summary="bill what is due, by each account's own local date",
        ),
        # Each hour some time zone begins a new day.
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(hours=1))]),
        # A run bills all that is due up to its start, so after an outage one run is enough.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(hours=1)),
        state=ScheduleState(
            paused=True,
            note="Paused until you want invoices posted by themselves: `masthead schedules resume bill-run`.",
        ),
    )


def _dunning() -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            DunningSweepWorkflow.run,
            DunningSweepRequest(),
            id=SCHEDULED_DUNNING,
            task_queue=TASK_QUEUE,
            static_summary="open dunning cases of accounts with invoices past due",
        ),
        # Each hour some time zone begins a new day.
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(hours=1))]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(hours=1)),
        state=ScheduleState(
            paused=True,
            note="Paused until you want accounts dunned for invoices past due: `masthead schedules resume dunning`.",
        ),
    )


def _payment_run() -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            PaymentRunWorkflow.run,
            PaymentRunRequest(),
            id=SCHEDULED_PAYMENT_RUN,
            task_queue=TASK_QUEUE,
            static_summary="charge what is due, by each account's own local date",
        ),
        # Each hour some time zone begins a new day; half an hour after its bills.
        spec=ScheduleSpec(
            intervals=[ScheduleIntervalSpec(every=timedelta(hours=1), offset=timedelta(minutes=30))]
        ),
        # A run charges all that is due up to its start, so after an outage one run is enough.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(hours=1)),
        state=ScheduleState(
            paused=True,
            note="Paused until you want accounts charged by themselves: `masthead schedules resume payment-run`.",
        ),
    )


async def ensure_schedules(client: Client) -> None:
    """Create the Schedules that do not exist. What operators changed on one that does exist is kept, and any number
    of processes may do this at once."""
    for schedule_id, schedule in (
        (SWEEP_SCHEDULE, _sweep()),
        (BILL_RUN_SCHEDULE, _bill_run()),
        (DUNNING_SCHEDULE, _dunning()),
        (PAYMENT_RUN_SCHEDULE, _payment_run()),
    ):
        try:
            await client.get_schedule_handle(schedule_id).describe()
            continue
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
        try:
            await client.create_schedule(schedule_id, schedule)
        except ScheduleAlreadyRunningError:
            continue


async def keep_schedules(engine: Engine, client: Client) -> None:
    """A worker's loop: the Schedules exist soon after it starts, and again after somebody deleted one."""
    while True:
        try:
            await ensure_schedules(client)
            pause = LOOK_AGAIN_SECONDS
        except RPCError as error:
            log.warning("the schedules could not be looked at, trying again: %s", error.message)
            pause = AFTER_FAILURE_SECONDS
        await asyncio.sleep(pause)


async def list_schedules(client: Client) -> list[ScheduleView]:
    """All our Schedules, creating those that are missing."""
    await ensure_schedules(client)
    return [await _view(name, client.get_schedule_handle(schedule_id)) for name, schedule_id in NAMES.items()]


async def set_paused(client: Client, name: str, *, paused: bool, note: str) -> ScheduleView:
    """Pause or resume the Schedule with the short name `name`; `note` says why, to whoever looks at it next."""
    await ensure_schedules(client)
    handle = client.get_schedule_handle(NAMES[name])
    if paused:
        await handle.pause(note=note)
    else:
        await handle.unpause(note=note)
    return await _view(name, handle)


async def _view(name: str, handle: ScheduleHandle) -> ScheduleView:
    seen = await handle.describe()
    state = seen.schedule.state
    upcoming = [] if state.paused else seen.info.next_action_times
    recent = seen.info.recent_actions
    intervals = seen.schedule.spec.intervals
    return ScheduleView(
        name=name,
        id=handle.id,
        paused=state.paused,
        every_seconds=min((interval.every.total_seconds() for interval in intervals), default=0.0),
        note=state.note or "",
        runs=seen.info.num_actions,
        last_run=recent[-1].started_at if recent else None,
        next_run=upcoming[0] if upcoming else None,
    )
