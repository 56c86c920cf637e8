"""Waiting for bill runs, with progress from the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlalchemy import Engine
from temporalio.client import WorkflowFailureError

from contracts.bill_run import BillRunResult
from storage.bill_runs import run_by_workflow, run_summary
from storage.database import transaction
from workflows.starts import RunHandle

LOOK_SECONDS = 0.25


class BillRunFailed(Exception):
    """The workflow of a run failed; the message is the innermost cause."""


async def wait_for_run(
    handle: RunHandle, engine: Engine, tell: Callable[[dict[str, object]], None] | None = None
) -> BillRunResult:
    """The run's result; meanwhile `tell` gets the run's summary from the database a few times a second.

    Raises BillRunFailed with the cause when the workflow failed.
    """
    waiting = asyncio.ensure_future(handle.result())
    while tell is not None and not waiting.done():
        summary = await asyncio.to_thread(
            _look, engine, handle.first_execution_run_id or handle.result_run_id
        )
        if summary is not None:
            tell(summary)
        await asyncio.wait({waiting}, timeout=LOOK_SECONDS)
    try:
        return await waiting
    except WorkflowFailureError as error:
        raise BillRunFailed(root_cause(error)) from error


def root_cause(error: BaseException) -> str:
    """The innermost message of a workflow's failure: what really happened, not that something did."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__


def _look(engine: Engine, workflow_run_id: str | None) -> dict[str, object] | None:
    if workflow_run_id is None:
        return None
    with transaction(engine) as connection:
        run_id = run_by_workflow(connection, workflow_run_id)
        return run_summary(connection, run_id) if run_id else None
