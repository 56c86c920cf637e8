"""`masthead runs`: look at bill runs, pause, resume and cancel them."""

from __future__ import annotations

import asyncio
import getpass
import json
from typing import Annotated
from uuid import UUID

import typer
from pydantic import ValidationError
from rich.table import Table
from sqlalchemy import Engine
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.service import RPCError, RPCStatusCode

from contracts.bill_run import Control, Progress, RunSummary
from domain.money import format_minor
from runtime.bill_runs import LOOK_FOR_TROUBLE_SECONDS, root_cause
from runtime.cli.errors import CommandFailed, UserError
from runtime.cli.tables import wide_console
from runtime.settings import load_settings
from runtime.stack.client import Stack, ensure_stack
from runtime.stuck import troubles_of
from runtime.temporal import connect
from storage.bill_runs import recent_runs, run_summary
from storage.database import make_engine, transaction
from workflows.bill_run import BillRunWorkflow

app = typer.Typer(no_args_is_help=True, help="Look at bill runs, and pause, resume or cancel one.")

Run = Annotated[str, typer.Argument(metavar="RUN", help="The run's id, as `masthead runs list` prints it.")]
Reason = Annotated[str, typer.Option(help="Why; it goes into the audit table.")]
Actor = Annotated[str, typer.Option(help="Who; your login name by default.")]


@app.command("list")
def list_runs(
    limit: Annotated[int, typer.Option(min=1, max=500, help="How many, newest first.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """The newest bill runs."""
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        with transaction(engine) as connection:
            runs = [run_summary(connection, run) for run in recent_runs(connection, limit)]
        engine.dispose()
    if as_json:
        print(json.dumps([RunSummary.model_validate(run).model_dump(mode="json") for run in runs if run]))
        return
    if not any(runs):
        print("No bill run yet.")
        return
    table = Table()
    for name in ("run", "scope", "as of", "status"):
        table.add_column(name, no_wrap=True, overflow="fold", min_width=36 if name == "run" else None)
    for name in ("selected", "invoices", "parked"):
        table.add_column(name, justify="right")
    table.add_column("totals", overflow="fold")
    for run in filter(None, runs):
        totals = ", ".join(
            format_minor(amount, currency) for currency, amount in sorted(run["totals"].items())
        )
        counts = (f"{run['selected']:,}", f"{run['invoices']:,}", f"{run['parked']:,}")
        table.add_row(run["id"], run["scope"], run["target"], run["status"], *counts, totals)
    wide_console().print(table)


@app.command()
def show(
    run: Run,
) -> None:
    """One run, as JSON."""
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        try:
            print(json.dumps(_find(engine, run).model_dump(mode="json"), indent=2))
        finally:
            engine.dispose()


def _find(engine: Engine, run: str) -> RunSummary:
    """The run with the id `run`. Raises UserError for text that is no id and for an id that no run has."""
    remedy = "`masthead runs list` shows the runs and their ids."
    try:
        known = str(UUID(run))
    except ValueError:
        raise UserError(f"{run!r} is not a bill run's id", remedy=remedy) from None
    with transaction(engine) as connection:
        found = run_summary(connection, known)
    if found is None:
        raise UserError(f"there is no bill run {run}", remedy=remedy)
    return RunSummary.model_validate(found)


@app.command()
def pause(run: Run, reason: Reason, actor: Actor = "") -> None:
    """Start no more chunks of a running run until it is resumed."""
    _control("pause", run, reason, actor)


@app.command()
def resume(run: Run, reason: Reason, actor: Actor = "") -> None:
    """Go on with a paused run."""
    _control("resume", run, reason, actor)


@app.command()
def cancel(run: Run, reason: Reason, actor: Actor = "") -> None:
    """End a run early. What it has posted stays posted."""
    _control("cancel", run, reason, actor)


def _control(action: str, run: str, reason: str, actor: str) -> None:
    try:
        order = Control(actor=actor.strip() or getpass.getuser(), reason=reason.strip())
    except ValidationError as error:
        raise UserError(
            f"--{error.errors()[0]['loc'][0]}: {error.errors()[0]['msg']}", remedy="Say in a few words why."
        ) from None
    with ensure_stack(load_settings(), workers=False) as stack:
        found = _find_going_on(stack, run)
        # Only now are workers worth their start.
        with ensure_stack(load_settings()):
            progress = asyncio.run(_send(stack, found, action, order))
    status = "canceling" if action == "cancel" else progress.status.value
    print(f"{run}: {status}, chunk {progress.chunks_done} of {progress.chunks}")


def _find_going_on(stack: Stack, run: str) -> RunSummary:
    engine = make_engine(stack.database_url)
    try:
        found = _find(engine, run)
    finally:
        engine.dispose()
    if found.ended_at is not None:
        raise UserError(
            f"bill run {run} has ended ({found.status.value}, {found.ended_at:%Y-%m-%d %H:%M} UTC)",
            remedy="Only a run that is going on can be paused, resumed or canceled; what it posted stays posted.",
        )
    return found


async def _refuse_if_stuck(client: Client, run: RunSummary) -> None:
    for trouble in await troubles_of(client, run.workflow_id):
        raise CommandFailed(f"the run does not take it now: {trouble}", remedy=trouble.remedy)


async def _send(stack: Stack, run: RunSummary, action: str, order: Control) -> Progress:
    client: Client = await connect(stack.temporal_address, stack.namespace)
    updates = {
        "pause": BillRunWorkflow.pause,
        "resume": BillRunWorkflow.resume,
        "cancel": BillRunWorkflow.cancel,
    }
    handle = client.get_workflow_handle(run.workflow_id)
    asked = asyncio.ensure_future(handle.execute_update(updates[action], order))
    try:
        while not (await asyncio.wait({asked}, timeout=LOOK_FOR_TROUBLE_SECONDS))[0]:
            # A run whose task fails takes no order, and would be waited for without a word.
            await _refuse_if_stuck(client, run)
        return asked.result()
    except WorkflowUpdateFailedError as error:
        raise UserError(
            f"the run did not take it: {root_cause(error)}",
            remedy=f"See where it is: masthead runs show {run.id}",
        ) from None
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            # The server may answer for a run whose task fails before we have looked.
            await _refuse_if_stuck(client, run)
            raise
        raise UserError(
            f"bill run {run.id} is not going on: its workflow {run.workflow_id} has ended or was terminated",
            remedy=f"Start it again with the same date and scope ({run.target}, {run.scope}): it bills the rest, "
            "and nobody twice.",
        ) from None
    finally:
        asked.cancel()
