"""`masthead bill-run`: bill what is due, or preview it, and wait for the end."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from temporalio.client import Client
from temporalio.service import RPCError

from contracts.bill_run import FARTHEST, BillRunRequest, BillRunResult
from domain.money import format_minor
from operations.billrun.scope import Scope, ScopeError
from runtime.bill_runs import BillRunFailed, wait_for_run
from runtime.cli.errors import CommandFailed, UserError
from runtime.cli.tables import wide_console
from runtime.settings import load_settings
from runtime.stack.client import Stack, ensure_stack
from runtime.stuck import Trouble
from runtime.temporal import connect
from storage.bill_runs import scope_is_known
from storage.database import make_engine, transaction
from workflows.starts import start_bill_run, workflow_id


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
        # From before it is started: a signal between start and wait would leave it behind.
        with ended_by_signals():
            handle = await start_bill_run(client, request)
            with shown(sys.stderr.isatty() and not quiet) as tell:
                return await wait_for_run(
                    handle, engine, tell, warn=(client, warn_stuck), preview=request.preview
                )
    except asyncio.CancelledError:
        await _leave(client, request)
        raise
    except BillRunFailed as error:
        what = "preview" if request.preview else "bill run"
        raise CommandFailed(
            f"the {what} ended without a result: {error}",
            remedy="What it had posted stays posted. Repeat the command: it bills the rest, and nobody twice.",
        ) from None
    finally:
        engine.dispose()


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the command as Ctrl-C does, so that what it leaves behind is seen to."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if task is None:
        raise RuntimeError("only a task can be ended by a signal")
    numbers = [signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as it is under nohup
        numbers.append(signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, task.cancel)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def _leave(client: Client, request: BillRunRequest) -> None:
    """A preview that nobody waits for is of use to nobody; a run goes on."""
    if not request.preview:
        print("the run goes on as long as workers run; the same command joins it again", file=sys.stderr)
        return
    with suppress(RPCError):
        handle = client.get_workflow_handle(workflow_id(request))
        await handle.cancel(rpc_timeout=timedelta(seconds=5))
        print("the preview was canceled", file=sys.stderr)


def warn_stuck(trouble: Trouble) -> None:
    """Said on stderr, so that JSON on stdout stays JSON; above a progress bar, which rich redirects."""
    print(f"stuck: {trouble}\n{trouble.remedy} Ctrl-C ends only this command.", file=sys.stderr, flush=True)


@contextmanager
def shown(show: bool) -> Iterator[Callable[[dict[str, object]], None] | None]:
    """What moves a progress bar on stderr; None where nobody would see it."""
    if not show:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("selecting", total=None)
        yield lambda summary: _move(bar, task, summary)


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
