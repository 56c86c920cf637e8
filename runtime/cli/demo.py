"""`masthead demo`: a believable publisher, imported, billed and audited before your eyes."""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
import threading
import time
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Engine

from contracts.bill_run import BillRunRequest, BillRunResult
from domain.import_map import ImportMap
from domain.money import format_minor
from operations.catalog import load_catalog
from operations.imports.run import ImportRequest, ImportSummary, import_file
from operations.ledger_reports import TrialBalanceRow, trial_balance
from operations.verify import LawResult, verify
from runtime.bill_runs import wait_for_run
from runtime.catalog_source import read_catalog_file
from runtime.cli.clock_play import play_scenario
from runtime.cli.tables import wide_console
from runtime.settings import Settings, load_settings
from runtime.stack.client import Stack, ensure_stack
from runtime.temporal import connect
from runtime.yaml_source import read_document, validate
from storage.database import make_engine, transaction
from storage.parked import open_parks
from workflows.starts import start_bill_run

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
AS_OF = date(2026, 12, 1)
BILL_ON = date(2026, 12, 31)
YEAR = "a-year-of-a-subscriber.yaml"


def demo(
    leave_at_once: Annotated[
        bool, typer.Option("--exit", help="End after the report, also in a terminal.")
    ] = False,
) -> None:
    """Bill 500 example subscribers on a real Postgres and a real Temporal, let a test subscriber live a year on a test
    clock, and print the books.

    Works in a home of its own under MASTHEAD_HOME, made anew by each demo. In a terminal it stays up for a look
    at the Temporal UI until Ctrl-C; elsewhere, or with --exit, it ends by itself.
    """
    settings = load_settings()
    home = settings.home / "demo"
    own = settings.model_copy(update={"home": home, "database_url": None, "temporal_address": None})
    shutil.rmtree(home, ignore_errors=True)
    began = time.monotonic()
    console = wide_console()
    with ensure_stack(own) as stack:
        _say(console, f"Postgres, Temporal, {own.workers} workers and the API are up", began)
        engine = make_engine(stack.database_url)
        try:
            ok = asyncio.run(_play(console, engine, stack, began))
        finally:
            engine.dispose()
        _places(console, own, stack)
        console.print(f"\nDone in {time.monotonic() - began:.0f} s.")
        if sys.stdin.isatty() and sys.stdout.isatty() and not leave_at_once:
            console.print("Stays up for a look. Ctrl-C ends it.")
            _until_interrupted()
    if not ok:
        raise typer.Exit(1)


async def _play(console: Console, engine: Engine, stack: Stack, began: float) -> bool:
    load_catalog(engine, read_catalog_file(EXAMPLES / "catalog.yaml").catalog)
    _say(console, "the catalog of an invented publisher is loaded (examples/catalog.yaml)", began)
    imported = _import(engine)
    _say(
        console,
        f"{imported.imported:,} of {imported.rows:,} subscribers imported (examples/subscribers.csv)",
        began,
    )
    client = await connect(stack.temporal_address, stack.namespace)
    preview = await wait_for_run(
        await start_bill_run(client, BillRunRequest(as_of=BILL_ON, preview=True)), engine
    )
    _say(
        console,
        f"preview of the bill run as of {BILL_ON}: {preview.invoices:,} invoices, nothing written",
        began,
    )
    result = await wait_for_run(await start_bill_run(client, BillRunRequest(as_of=BILL_ON)), engine)
    _say(console, f"bill run: {result.invoices:,} invoices posted", began)
    again = await wait_for_run(await start_bill_run(client, BillRunRequest(as_of=BILL_ON)), engine)
    _say(
        console, f"the same run once more: {again.invoices:,} invoices, because nobody is billed twice", began
    )
    _say(console, "a year of one test subscriber on a test clock, beside the live ones ...", began)
    console.print()
    equal = await play_scenario(console, engine, client, EXAMPLES / "scenarios" / YEAR)
    laws = verify(engine)
    _say(console, "books verified", began)
    _report(console, engine, result, laws)
    return (
        equal
        and result.invoices > 0
        and again.invoices == 0
        and preview.totals == result.totals
        and all(law.ok for law in laws)
    )


def _import(engine: Engine) -> ImportSummary:
    import_map = validate(read_document(EXAMPLES / "subscribers.map.yaml"), ImportMap)
    return import_file(engine, ImportRequest(EXAMPLES / "subscribers.csv", import_map, AS_OF))


def _report(console: Console, engine: Engine, result: BillRunResult, laws: list[LawResult]) -> None:
    with transaction(engine) as connection:
        row = connection.execute("select count(*) from account where mode = 'live'").fetchone()
        parks = open_parks(connection, 100)
    console.print()
    summary = Table(title=f"Bill run as of {result.target}", title_justify="left")
    summary.add_column("")
    summary.add_column("", justify="right")
    summary.add_row("accounts", f"{row[0] if row else 0:,}")
    summary.add_row("invoices", f"{result.invoices:,}")
    summary.add_row("nothing due", f"{result.nothing_due:,}")
    summary.add_row("parked", f"{len(parks):,}")
    for currency, total in sorted(result.totals.items()):
        summary.add_row(f"total {currency}", format_minor(total, currency))
    console.print(summary)
    console.print(_trial_balance([row for row in trial_balance(engine) if row.mode == "live"]))
    broken = [law for law in laws if not law.ok]
    held = ", ".join(law.law for law in laws if law.ok)
    console.print(f"Laws of the books that hold: {held}")
    for law in broken:
        console.print(f"[red]broken: {law.law} {law.name}[/red]")


def _trial_balance(rows: list[TrialBalanceRow]) -> Table:
    table = Table("currency", "ledger account", title="Trial balance", title_justify="left")
    table.add_column("debit", justify="right")
    table.add_column("credit", justify="right")
    for currency in sorted({row.currency for row in rows}):
        debit = credit = 0
        for row in rows:
            if row.currency == currency:
                table.add_row(
                    currency, row.name, format_minor(row.debit, currency), format_minor(row.credit, currency)
                )
                debit, credit = debit + row.debit, credit + row.credit
        table.add_row(
            currency,
            f"difference {format_minor(debit - credit, currency)}",
            format_minor(debit, currency),
            format_minor(credit, currency),
            style="bold",
            end_section=True,
        )
    return table


def _places(console: Console, settings: Settings, stack: Stack) -> None:
    console.print(f"Temporal UI  {stack.temporal_ui}", soft_wrap=True)
    console.print(
        f"API          {stack.api_url}  (health, /docs; key in {settings.home / 'secrets' / 'api.key'})",
        soft_wrap=True,
    )


def _say(console: Console, what: str, began: float) -> None:
    console.print(f"[dim]{time.monotonic() - began:5.1f} s[/dim]  {what}", soft_wrap=True)


def _until_interrupted() -> None:
    ended = threading.Event()
    before = signal.signal(signal.SIGINT, lambda *_: ended.set())
    try:
        while not ended.wait(0.5):
            pass
    finally:
        signal.signal(signal.SIGINT, before)
