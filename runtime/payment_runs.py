"""Waiting for payment runs, with progress from the database, and with what keeps a run from getting on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from sqlalchemy import Engine
from temporalio.client import Client, WorkflowFailureError

from contracts.payment_run import PaymentRunResult
from runtime.bill_runs import LOOK_SECONDS, BillRunFailed, Watch, root_cause
from runtime.stuck import Trouble
from storage.database import transaction
from storage.payment_runs import run_by_workflow, run_summary
from workflows.starts import PaymentRunHandle


async def wait_for_payment_run(
    handle: PaymentRunHandle,
    engine: Engine,
    tell: Callable[[dict[str, object]], None] | None = None,
    *,
    warn: tuple[Client, Callable[[Trouble], None]] | None = None,
) -> PaymentRunResult:
    """The run's result; meanwhile `tell` gets the run's summary from the database a few times a second, and the
    callable of `warn` each new trouble that Temporal shows of it (law I15).

    Raises BillRunFailed with the cause when the workflow failed.
    """
    waiting = asyncio.ensure_future(handle.result())
    watch = Watch(handle.id, *warn) if warn is not None else None
    try:
        while (tell is not None or watch is not None) and not waiting.done():
            if tell is not None:
                run = handle.first_execution_run_id or handle.result_run_id
                summary = await asyncio.to_thread(_look, engine, run)
                if summary is not None:
                    tell(summary)
            if watch is not None:
                await watch.look()
            await asyncio.wait({waiting}, timeout=LOOK_SECONDS)
        return await waiting
    except WorkflowFailureError as error:
        raise BillRunFailed(root_cause(error)) from error
    finally:
        waiting.cancel()


def _look(engine: Engine, workflow_run_id: str | None) -> dict[str, object] | None:
    if workflow_run_id is None:
        return None
    with transaction(engine) as connection:
        run_id = run_by_workflow(connection, workflow_run_id)
        return run_summary(connection, run_id) if run_id else None
