"""`masthead bill-run` and `masthead runs`: bill what is due, look at runs, pause, resume and cancel them."""

from __future__ import annotations

import asyncio
import getpass
import json
import sys
from contextlib import nullcontext
from datetime import UTC, date, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.service import RPCError

from contracts.bill_run import FARTHEST, BillRunRequest, BillRunResult, Control
from contracts.bill_run import Progress as RunProgress
from domain.money import format_minor
from operations.billrun.run import BillRuns
from operations.billrun.scope import Scope, ScopeError
from runtime.bill_runs import root_cause, wait_for_run
from runtime.cli.errors import UserError
from runtime.cli.tables import wide_console
from runtime.settings import load_settings
from runtime.stack.client import Stack, ensure_stack
from runtime.temporal import connect
from storage.bill_runs import recent_runs, run_summary, scope_is_known
from storage.database import make_engine, transaction
from workflows.bill_run import BillRunWorkflow
from workflows.starts import start_bill_run

app = typer.Typer(no_args_is_help=True, help="Look at bill runs, and pause, resume or cancel one.")


def bill_run(
    as_of: Annotated[
        str, typer.Option("--as-of", metavar="DATE", help="Bill up to this local date, say 2026-12-01.")
    ],
    scope: Annotated[
        str,
        typer.Option(help="all, or currency:EUR, plan:CODE, time-zone:Asia/Tokyo, account:KEY."),
    ] = "all",
    preview: Annotated[bool, typer.Option("--preview", help="Count and total, write nothing.")] = False,
    parked: Annotated[
        bool, typer.Option("--parked", help="Only accounts that an earlier run had to park.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, amounts in minor units.")
    ] = False,
) -> None:
    """Bill everything that is due.

    The run is a workflow: it goes on if this command is interrupted, and calling the command again joins it.
    Repeating a finished run bills nobody twice. Accounts that cannot be billed are parked with a reason
    (`masthead errors`) and do not stop the others.
    """
    request = _request(as_of, scope, preview, parked)
    with ensure_stack(load_settings()) as stack:
        _check_scope(stack, request.scope)
        result = asyncio.run(_run(stack, request, quiet=as_json))
    if as_json:
        print(json.dumps(result.model_dump(mode="json")))
    else:
        _tell(result)
    if result.parked:
        print(
            f"{result.parked} account(s) parked. See why: masthead errors. Once repaired: masthead bill-run --parked "
            f"--as-of {as_of}",
            file=sys.stderr,
        )


def _request(as_of: str, scope: str, preview: bool, parked: bool) -> BillRunRequest:
    try:
        day = date.fromisoformat(as_of)
    except ValueError:
        raise UserError(f"--as-of: {as_of!r} is not a date", remedy="Write it like 2026-12-01.") from None
    if day > datetime.now(UTC).date() + FARTHEST:
        raise UserError(
            f"--as-of: {day} is more than five years away, and everybody would be billed up to then",
            remedy="Check the year.",
        )
    if parked and scope != "all":
        raise UserError("--parked and --scope exclude each other", remedy="Leave one of them out.")
    try:
        name = Scope.parse("parked" if parked else scope).name
    except ScopeError as error:
        raise UserError(f"--scope: {error}") from None
    return BillRunRequest(as_of=day, scope=name, preview=preview)


def _check_scope(stack: Stack, scope: str) -> None:
    """A scope that no subscription is in is a slip of the pen, not an empty run."""
    sql, parameters = Scope.parse(scope).sql()
    if not parameters:
        return
    engine = make_engine(stack.database_url)
    try:
        with transaction(engine) as connection:
            found = scope_is_known(connection, sql, parameters)
    finally:
        engine.dispose()
    if not found:
        kind, _, value = scope.partition(":")
        raise UserError(
            f"--scope: no subscription has the {kind} {value!r}", remedy="Check how it is written."
        )


async def _run(stack: Stack, request: BillRunRequest, *, quiet: bool) -> BillRunResult:
    client = await connect(stack.temporal_address, stack.namespace)
    engine = make_engine(stack.database_url)
    try:
        handle = await start_bill_run(client, request)
        show = sys.stderr.isatty() and not quiet and not request.preview
        bar = _progress_bar() if show else None
        with bar or nullcontext():
            task = bar.add_task("selecting", total=None) if bar else None

            def tell(summary: dict[str, object]) -> None:
                if bar is not None and task is not None:
                    _move(bar, task, summary)

            return await wait_for_run(handle, engine, tell if show else None)
    finally:
        engine.dispose()


def _progress_bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _move(bar: Progress, task: TaskID, summary: dict[str, Any]) -> None:
    parked = f", {summary['parked']:,} parked" if summary["parked"] else ""
    bar.update(
        task,
        description=f"{summary['status']}{parked}",
        total=int(summary["selected"]) or None,
        completed=int(summary["selected"]) - int(summary["pending"]),
    )


def _tell(result: BillRunResult) -> None:
    console = wide_console()
    kind = "Preview" if result.preview else "Bill run"
    console.print(f"{kind}: {result.scope} as of {result.target} — {result.status.value}")
    table = Table(show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    rows = [
        ("accounts selected", result.selected),
        ("invoices", result.invoices),
        ("nothing due", result.nothing_due),
    ]
    rows += [("parked", result.parked)] if result.parked else []
    rows += [("canceled", result.canceled)] if result.canceled else []
    for name, count in rows:
        table.add_row(name, f"{count:,}")
    for currency, total in sorted(result.totals.items()):
        table.add_row(f"total {currency}", format_minor(total, currency))
    console.print(table)


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
        print(json.dumps([run for run in runs if run], default=str))
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
    run: Annotated[str, typer.Argument(help="The run's id, as `masthead runs list` prints it.")],
) -> None:
    """One run, as JSON."""
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        try:
            print(json.dumps(_find(engine, run), default=str, indent=2))
        finally:
            engine.dispose()


def _find(engine: Any, run: str) -> dict[str, object]:
    try:
        return BillRuns(engine).summary(run)
    except Exception:
        raise UserError(f"there is no bill run {run!r}", remedy="`masthead runs list` shows them.") from None


Run = Annotated[str, typer.Argument(help="The run's id, as `masthead runs list` prints it.")]
Reason = Annotated[str, typer.Option(help="Why; it goes into the audit table.")]
Actor = Annotated[str, typer.Option(help="Who; your login name by default.")]


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
    order = Control(actor=actor or getpass.getuser(), reason=reason)
    with ensure_stack(load_settings()) as stack:
        engine = make_engine(stack.database_url)
        try:
            summary = _find(engine, run)
        finally:
            engine.dispose()
        progress = asyncio.run(_send(stack, str(summary["workflow_id"]), action, order))
    status = "canceling" if action == "cancel" else progress.status.value
    print(f"{run}: {status}, chunk {progress.chunks_done} of {progress.chunks}")


async def _send(stack: Stack, workflow_id: str, action: str, order: Control) -> RunProgress:
    client: Client = await connect(stack.temporal_address, stack.namespace)
    updates = {
        "pause": BillRunWorkflow.pause,
        "resume": BillRunWorkflow.resume,
        "cancel": BillRunWorkflow.cancel,
    }
    try:
        return await client.get_workflow_handle(workflow_id).execute_update(updates[action], order)
    except WorkflowUpdateFailedError as error:
        raise UserError(f"the run did not take it: {root_cause(error)}") from None
    except RPCError as error:
        raise UserError(f"the run is not going on any more ({error.message})") from None
