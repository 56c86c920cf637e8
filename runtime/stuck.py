"""Workflows that do not get on, as Temporal shows them: failing workflow tasks and activities tried in vain (law I15).

Temporal tries both again for ever, and nothing else fails: without a look here a bug waits unseen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from google.protobuf.timestamp_pb2 import Timestamp
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.enums.v1 import EventType, PendingWorkflowTaskState, WorkflowTaskFailedCause
from temporalio.api.failure.v1 import Failure
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionResponse,
    GetWorkflowExecutionHistoryReverseRequest,
)
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

# The second attempt follows at once where a worker was killed or a task was forced; a failure tells those apart.
TASK_ATTEMPTS = 2
TASK_ATTEMPTS_WITHOUT_FAILURE = 4
# With our retry policies some three seconds of failing: a database that is restarted is back before that.
ACTIVITY_ATTEMPTS = 5
UNTAKEN_AFTER = timedelta(seconds=15)
MESSAGE_LENGTH = 300
_AT_ONCE = 8
_TAIL = 20

_HARMLESS = (
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_UNHANDLED_COMMAND,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_STICKY_TASK_QUEUE,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_RESET_WORKFLOW,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FORCE_CLOSE_COMMAND,
    WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_FAILOVER_CLOSE_COMMAND,
)

_BUG = (
    "The workers' code cannot go on with it: see logs/worker-1.log in MASTHEAD_HOME, correct the code and restart the "
    "workers. It then goes on where it stands; what is posted stays."
)
_OTHER_CODE = (
    "The workers run other code than the one that began it: restart them with the version that began it, or with one "
    "that can replay it. It then goes on where it stands; what is posted stays."
)
_SILENT = (
    "Its worker dies or hangs each time: see logs/worker-1.log in MASTHEAD_HOME, and restart the workers."
)
_NOBODY = "No worker takes it: `masthead doctor` says whether one is there; `python worker.py` starts one."
_TRIED_AGAIN = (
    "It is tried again until it works. Repair what the message names; `masthead doctor` says what is away."
)


@dataclass(frozen=True)
class Trouble:
    """One thing that a workflow is stuck at: `attempt` counts from 1, `failure` is the innermost message (one line,
    empty when nothing was reported), `remedy` says what to do."""

    workflow_id: str
    step: str
    attempt: int
    failure: str
    remedy: str

    def __str__(self) -> str:
        tried = f"has been tried {self.attempt} times" if self.attempt > 1 else "is waiting for a worker"
        return f"{self.workflow_id}: {self.step} {tried}" + (f": {self.failure}" if self.failure else "")


@dataclass(frozen=True)
class Survey:
    """What a look at the namespace showed: how many workflows are open, how many of them were looked at, and the
    troubles found."""

    open: int
    looked_at: int
    troubles: list[Trouble]


async def troubles_of(client: Client, workflow_id: str) -> list[Trouble]:
    """What the newest run of `workflow_id` is stuck at; nothing when it gets on, has ended or is not there.

    Raises RPCError while Temporal is away.
    """
    try:
        description = await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        if error.status is RPCStatusCode.NOT_FOUND:
            return []
        raise
    if description.status is not WorkflowExecutionStatus.RUNNING:
        return []
    seen = description.raw_description
    found = list(_activities(workflow_id, seen))
    if seen.HasField("pending_workflow_task"):
        found += await _workflow_task(client, workflow_id, seen)
    return found


async def find_stuck(client: Client, *, at_most: int = 200) -> Survey:
    """The troubles of open workflows: of all whose tasks the server reports as failing, and of as many others as
    `at_most` allows, runs and sweeps before subscriptions. Raises RPCError while Temporal is away."""
    opened = (await client.count_workflows("ExecutionStatus = 'Running'")).count
    ids: dict[str, None] = {}
    for query in (
        "TemporalReportedProblems is not null and ExecutionStatus = 'Running'",
        "ExecutionStatus = 'Running' and WorkflowType != 'Subscription'",
        "ExecutionStatus = 'Running'",
    ):
        if (left := at_most - len(ids)) <= 0:
            break
        try:
            ids |= dict.fromkeys([each.id async for each in client.list_workflows(query, limit=left)])
        except RPCError as error:
            # Servers before 1.30 do not know the attribute: there the look at each has to do.
            if error.status is not RPCStatusCode.INVALID_ARGUMENT:
                raise
    gate = asyncio.Semaphore(_AT_ONCE)

    async def look(workflow_id: str) -> list[Trouble]:
        async with gate:
            return await troubles_of(client, workflow_id)

    found = await asyncio.gather(*map(look, ids))
    return Survey(opened, len(ids), [trouble for each in found for trouble in each])


def innermost(failure: Failure) -> str:
    """What really happened, as `Type: message` in one line."""
    while failure.HasField("cause"):
        failure = failure.cause
    kind = failure.application_failure_info.type
    text = (failure.message.strip().splitlines() or [""])[0]
    return (f"{kind}: {text}" if kind and text else kind or text)[:MESSAGE_LENGTH]


def _activities(workflow_id: str, seen: DescribeWorkflowExecutionResponse) -> Iterator[Trouble]:
    for pending in seen.pending_activities:
        if pending.attempt >= ACTIVITY_ATTEMPTS and pending.HasField("last_failure"):
            step = f"the step {pending.activity_type.name}"
            yield Trouble(workflow_id, step, pending.attempt, innermost(pending.last_failure), _TRIED_AGAIN)


async def _workflow_task(
    client: Client, workflow_id: str, seen: DescribeWorkflowExecutionResponse
) -> list[Trouble]:
    task = seen.pending_workflow_task
    step = "its workflow task"
    if task.attempt >= TASK_ATTEMPTS:
        run_id = seen.workflow_execution_info.execution.run_id
        cause, failure = await _last_task_failure(client, workflow_id, run_id)
        if cause == WorkflowTaskFailedCause.WORKFLOW_TASK_FAILED_CAUSE_NON_DETERMINISTIC_ERROR:
            return [Trouble(workflow_id, step, task.attempt, failure, _OTHER_CODE)]
        if cause is not None and cause not in _HARMLESS:
            return [Trouble(workflow_id, step, task.attempt, failure, _BUG)]
        if task.attempt >= TASK_ATTEMPTS_WITHOUT_FAILURE:
            return [Trouble(workflow_id, step, task.attempt, "", _SILENT)]
    waits = task.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_SCHEDULED
    if waits and _age(task.original_scheduled_time) > UNTAKEN_AFTER:
        return [Trouble(workflow_id, step, 1, "", _NOBODY)]
    return []


def _age(since: Timestamp) -> timedelta:
    return datetime.now(UTC) - since.ToDatetime(UTC)


async def _last_task_failure(
    client: Client, workflow_id: str, run_id: str
) -> tuple[WorkflowTaskFailedCause.ValueType | None, str]:
    """Cause and message of the failure that stands after the last task that went well; (None, "") when none does.
    Temporal writes down the first of a series only."""
    answer = await client.workflow_service.get_workflow_execution_history_reverse(
        GetWorkflowExecutionHistoryReverseRequest(
            namespace=client.namespace,
            execution=WorkflowExecution(workflow_id=workflow_id, run_id=run_id),
            maximum_page_size=_TAIL,
        )
    )
    for event in answer.history.events:
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED:
            break
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED:
            failed = event.workflow_task_failed_event_attributes
            return failed.cause, innermost(failed.failure)
    return None, ""
