"""Waiting for bill runs, with progress from the database, and with what keeps a run from getting on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from sqlalchemy import Engine
from temporalio.client import (
    Client,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowQueryRejectedError,
)
from temporalio.service import RPCError

from contracts.bill_run import BillRunResult
from runtime.stuck import Trouble, troubles_of
from storage.bill_runs import run_by_workflow, run_summary
from storage.database import transaction
from workflows.bill_run import BillRunWorkflow
from workflows.starts import RunHandle

LOOK_SECONDS = 0.25
ASK_SECONDS = 1.0
LOOK_FOR_TROUBLE_SECONDS = 2.0


class BillRunFailed(Exception):
    """The workflow of a run failed; the message is the innermost cause."""


async def wait_for_run(
    handle: RunHandle,
    engine: Engine,
    tell: Callable[[dict[str, object]], None] | None = None,
    *,
    warn: tuple[Client, Callable[[Trouble], None]] | None = None,
    preview: bool = False,
) -> BillRunResult:
    """The run's result; meanwhile `tell` gets the run's summary from the database a few times a second (of a preview,
    which has no rows, its ranges as the workflow counts them), and the callable of `warn` each new trouble that
    Temporal shows of it (law I15).

    Raises BillRunFailed with the cause when the workflow failed.
    """
    waiting = asyncio.ensure_future(handle.result())
    pause = ASK_SECONDS if preview else LOOK_SECONDS
    watch = Watch(handle.id, *warn) if warn is not None else None
    try:
        while (tell is not None or watch is not None) and not waiting.done():
            if tell is not None:
                run = handle.first_execution_run_id or handle.result_run_id
                summary = await (_ask(handle) if preview else asyncio.to_thread(_look, engine, run))
                if summary is not None:
                    tell(summary)
            if watch is not None:
                await watch.look()
            await asyncio.wait({waiting}, timeout=pause)
        return await waiting
    except WorkflowFailureError as error:
        raise BillRunFailed(root_cause(error)) from error
    finally:
        waiting.cancel()


class Watch:
    """Looks at a run's workflow now and then, and warns once of each thing that it is stuck at."""

    def __init__(self, workflow_id: str, client: Client, warn: Callable[[Trouble], None]) -> None:
        self._workflow_id, self._client, self._warn = workflow_id, client, warn
        self._told: set[tuple[str, str]] = set()
        self._look_at = time.monotonic() + LOOK_FOR_TROUBLE_SECONDS

    async def look(self) -> None:
        if time.monotonic() < self._look_at:
            return
        # While Temporal is away there is nothing to be seen; the wait for the result says so in the end.
        with suppress(RPCError):
            for trouble in await troubles_of(self._client, self._workflow_id):
                if (key := (trouble.step, trouble.failure)) not in self._told:
                    self._told.add(key)
                    self._warn(trouble)
        self._look_at = time.monotonic() + LOOK_FOR_TROUBLE_SECONDS


def root_cause(error: BaseException) -> str:
    """The innermost message of a workflow's failure: what really happened, not that something did."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__


async def _ask(handle: RunHandle) -> dict[str, object] | None:
    """A preview's progress, in the words of a run's summary and counted in ranges; None while it cannot answer."""
    try:
        seen = await handle.query(BillRunWorkflow.progress, rpc_timeout=timedelta(seconds=2))
    except (RPCError, WorkflowQueryFailedError, WorkflowQueryRejectedError):
        return None
    left = seen.chunks - seen.chunks_done
    return {"status": "previewing", "selected": seen.chunks, "pending": left, "parked": seen.parked}


def _look(engine: Engine, workflow_run_id: str | None) -> dict[str, object] | None:
    if workflow_run_id is None:
        return None
    with transaction(engine) as connection:
        run_id = run_by_workflow(connection, workflow_run_id)
        return run_summary(connection, run_id) if run_id else None
