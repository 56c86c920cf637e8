"""`masthead payment-run`: charge what is due, or preview it, and wait for the end."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, date, datetime
from typing import Annotated

import typer
from rich.table import Table

from contracts.bill_run import FARTHEST
from contracts.payment_run import PaymentRunRequest, PaymentRunResult
from domain.money import format_minor
from operations.billrun.scope import ScopeError
from operations.charges.scope import PaymentScope
from runtime.bill_runs import BillRunFailed
from runtime.cli.bill_run import ended_by_signals, shown, warn_stuck
from runtime.cli.errors import CommandFailed, UserError
from runtime.cli.tables import wide_console
from runtime.payment_runs import wait_for_payment_run
from runtime.settings import load_settings
from runtime.stack.client import Stack, ensure_stack
from runtime.temporal import connect
from storage.account_records import account_is_known
from storage.database import make_engine, transaction
from workflows.starts import start_payment_run

_NOBODY = (
    "Nobody was selected: a run charges accounts of its scope that pay by themselves (auto_pay) and have an open "
    "invoice that is due. What kept them out is counted above."
)
_SUMS = {"paid": "paid", "in_flight": "in flight", "declined": "declined"}


def payment_run(
    as_of: Annotated[
        str,
        typer.Option(
            "--as-of", metavar="DATE", help="Charge what is due on this local date, say 2026-12-01."
        ),
    ],
    scope: Annotated[
        str, typer.Option(help="all, retries (whose charge failed before), currency:EUR or account:KEY.")
    ] = "all",
    preview: Annotated[
        bool, typer.Option("--preview", help="Count and total, write nothing, charge nobody.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as JSON, amounts in minor units.")
    ] = False,
) -> None:
    """Charge the accounts that pay by themselves for what is due.

    The run is a workflow: it goes on if this command is interrupted, and calling the command again joins it. Repeating
    a finished run charges nobody twice: what was paid is paid, and what is in flight, or in doubt, is left alone until
    its end is known. Declined charges wait for the day of their retry.
    """
    request = _request(as_of, scope, preview)
    with ensure_stack(load_settings()) as stack:
        _check_scope(stack, request.scope)
        result = asyncio.run(_run(stack, request, quiet=as_json))
    if as_json:
        print(json.dumps(result.model_dump(mode="json")))
    else:
        _tell(result)
    if not result.selected and not as_json:
        print(_NOBODY, file=sys.stderr)
    if result.parked:
        print(f"{result.parked} account(s) parked. See why: masthead errors", file=sys.stderr)


def _request(as_of: str, scope: str, preview: bool) -> PaymentRunRequest:
    try:
        day = date.fromisoformat(as_of)
    except ValueError:
        raise UserError(f"--as-of: {as_of!r} is not a date", remedy="Write it like 2026-12-01.") from None
    if day > datetime.now(UTC).date() + FARTHEST:
        raise UserError(f"--as-of: {day} is more than five years away", remedy="Check the year.")
    try:
        name = PaymentScope.parse(scope).name
    except ScopeError as error:
        raise UserError(f"--scope: {error}") from None
    return PaymentRunRequest(as_of=day, scope=name, preview=preview)


def _check_scope(stack: Stack, scope: str) -> None:
    """An account that is not there is a slip of the pen, not an empty run."""
    kind, _, value = scope.partition(":")
    if kind != "account":
        return
    engine = make_engine(stack.database_url)
    try:
        with transaction(engine) as connection:
            found = account_is_known(connection, value)
    finally:
        engine.dispose()
    if not found:
        raise UserError(f"--scope: there is no account {value!r}", remedy="Check how it is written.")


async def _run(stack: Stack, request: PaymentRunRequest, *, quiet: bool) -> PaymentRunResult:
    client = await connect(stack.temporal_address, stack.namespace)
    engine = make_engine(stack.database_url)
    try:
        with ended_by_signals():
            handle = await start_payment_run(client, request)
            with shown(sys.stderr.isatty() and not quiet) as tell:
                return await wait_for_payment_run(
                    handle, engine, None if request.preview else tell, warn=(client, warn_stuck)
                )
    except asyncio.CancelledError:
        print("the run goes on as long as workers run; the same command joins it again", file=sys.stderr)
        raise
    except BillRunFailed as error:
        raise CommandFailed(
            f"the payment run ended without a result: {error}",
            remedy="What it charged stays charged. Repeat the command: it charges the rest, and nobody twice.",
        ) from None
    finally:
        engine.dispose()


def _tell(result: PaymentRunResult) -> None:
    console = wide_console()
    kind = "Preview" if result.preview else "Payment run"
    console.print(f"{kind}: {result.scope} as of {result.target} — {result.status.value}")
    table = Table(show_header=False)
    table.add_column("")
    table.add_column("", justify="right")
    rows = [("accounts selected", result.selected)]
    rows += [
        ("to be charged" if result.preview else f"charges {name.replace('_', ' ')}", count)
        for name, count in sorted(result.charges.items())
    ]
    rows += [(f"left: {name.replace('_', ' ')}", count) for name, count in sorted(result.left.items())]
    rows += [(f"not selected: {name.replace('_', ' ')}", count) for name, count in result.unselected.items()]
    rows += [("parked", result.parked)] if result.parked else []
    rows += [("canceled", result.canceled)] if result.canceled else []
    for name, count in rows:
        table.add_row(name, f"{count:,}")
    for field, words in _SUMS.items():
        words = "would be charged" if result.preview and field == "in_flight" else words
        for currency, total in sorted(getattr(result, field).items()):
            table.add_row(f"{words} {currency}", format_minor(total, currency))
    console.print(table)
