"""`masthead verify`, `masthead trial-balance` and `masthead dump`: what the books say, and whether it is so."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from domain.money import MoneyError, format_minor
from operations.dump import dump
from operations.ledger_reports import TrialBalanceRow, TrialBalanceTotal, trial_balance, trial_totals
from operations.verify import LawResult, verify
from operations.verify import Progress as Tell
from runtime.cli.errors import UserError
from runtime.settings import load_settings
from runtime.stack.client import ensure_stack
from storage.database import make_engine

BROKEN = 1

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def verify_books(as_json: AsJson = False) -> None:
    """Check the laws of the books on every row. Exit code 1 when one is broken, with what and where.

    Reads one snapshot and changes nothing; billing goes on meanwhile.
    """
    with _engine() as engine, _progress() as tell:
        results = verify(engine, tell)
    ok = all(result.ok for result in results)
    if as_json:
        print(json.dumps({"ok": ok, "laws": [_law_data(result) for result in results]}, ensure_ascii=False))
    else:
        _tell_laws(results)
    if not ok:
        raise typer.Exit(BROKEN)


def show_trial_balance(as_json: AsJson = False) -> None:
    """Show debits and credits of every ledger account, per currency. Exit code 1 when they differ."""
    with _engine() as engine:
        rows = trial_balance(engine)
    totals = trial_totals(rows)
    balanced = not any(total.difference for total in totals)
    if as_json:
        print(
            json.dumps(
                {
                    "ok": balanced,
                    "rows": [row._asdict() for row in rows],
                    "totals": [total._asdict() | {"difference": total.difference} for total in totals],
                }
            )
        )
    else:
        _tell_trial_balance(rows, totals)
    if not balanced:
        raise typer.Exit(BROKEN)


def dump_books(
    file: Annotated[Path | None, typer.Argument(metavar="FILE", help="Where to; stdout by default.")] = None,
) -> None:
    """Write the business state as JSON lines, equal for databases that billed alike.

    Accounts by external key with subscriptions, invoices and journal lines, then ledger totals and number series;
    no ids, numbers or times. FILE is replaced when all is written, and is readable by you alone.
    """
    if file is not None and file.is_dir():
        raise UserError(f"{file} is a folder, not a file", remedy="Name a file in it.")
    with _engine() as engine:
        if file is None:
            for line in dump(engine):
                sys.stdout.write(line + "\n")
            return
        part = file.with_name(file.name + ".part")
        try:
            handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise UserError(
                f"{file} cannot be written: {error.strerror}", remedy="Name a file in a folder that is yours."
            ) from None
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                for line in dump(engine):
                    out.write(line + "\n")
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def _engine() -> Iterator[Engine]:
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        try:
            yield engine
        finally:
            engine.dispose()


@contextmanager
def _progress() -> Iterator[Tell]:
    """A bar on stderr where that is a terminal, silence elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _text, _done, _total: None
        return
    columns = (BarColumn(20), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("verifying", total=None)
        yield lambda text, done, total: bar.update(task, description=text, completed=done, total=total)


def _law_data(result: LawResult) -> dict[str, object]:
    return {
        "law": result.law,
        "name": result.name,
        "ok": result.ok,
        "checked": result.checked,
        "unit": result.unit,
        "broken": result.broken,
        "violations": [{"where": found.where, "what": found.what} for found in result.violations],
        "notes": result.notes,
        "explanation": result.explanation,
        "remedy": None if result.ok else result.remedy,
        "seconds": round(result.seconds, 3),
    }


def _tell_laws(results: list[LawResult]) -> None:
    table = Table(box=None, pad_edge=False)
    for name in ("", "law", "", "checked", "broken", "time"):
        table.add_column(
            name, no_wrap=True, justify="right" if name in ("checked", "broken", "time") else "left"
        )
    for result in results:
        table.add_row(
            Text("✓", style="green") if result.ok else Text("✗", style="bold red"),
            result.law,
            result.name,
            f"{result.checked:,} {result.unit}",
            f"{result.broken:,}" if result.broken else "",
            f"{result.seconds:.1f} s",
        )
    console = _console()
    console.print(table)
    for result in results:
        for note in result.notes:
            console.print(f"note: {note}", soft_wrap=True, highlight=False, markup=False)
    broken = [result for result in results if not result.ok]
    for result in broken:
        console.print(f"\n✗ {result.law} {result.name}. {result.explanation}", soft_wrap=True, markup=False)
        for found in result.violations:
            console.print(f"  {found.where}: {found.what}", soft_wrap=True, highlight=False, markup=False)
        if result.broken > len(result.violations):
            console.print(f"  ... and {result.broken - len(result.violations):,} more", highlight=False)
        console.print(f"  {result.remedy}", soft_wrap=True, highlight=False, markup=False)
    seconds = sum(result.seconds for result in results)
    verdict = (
        f"{len(broken)} of {len(results)} laws are broken" if broken else f"all {len(results)} laws hold"
    )
    console.print(f"\n{verdict} ({seconds:.1f} s)", highlight=False)


def _tell_trial_balance(rows: list[TrialBalanceRow], totals: list[TrialBalanceTotal]) -> None:
    if not rows:
        print("Nothing has been posted yet: debits 0, credits 0, difference zero.")
        return
    console = _console()
    sums = {(total.mode, total.currency): total for total in totals}
    for (mode, currency), group in groupby(rows, key=lambda row: (row.mode, row.currency)):
        total = sums[mode, currency]
        table = Table(
            title=f"{currency}, {mode} books",
            title_justify="left",
            box=None,
            pad_edge=False,
            show_footer=True,
        )
        table.add_column("ledger account", footer="total", no_wrap=True)
        table.add_column("", no_wrap=True)
        table.add_column("debit", footer=_money(total.debit, currency), justify="right", no_wrap=True)
        table.add_column("credit", footer=_money(total.credit, currency), justify="right", no_wrap=True)
        for row in group:
            table.add_row(
                row.account,
                row.name,
                _money(row.debit, currency) if row.debit else "",
                _money(row.credit, currency) if row.credit else "",
            )
        console.print(table)
        console.print(_statement(total), highlight=False, soft_wrap=True)
        console.print()


def _statement(total: TrialBalanceTotal) -> str:
    if total.difference == 0:
        return f"debits = credits = {_money(total.debit, total.currency)}, difference zero"
    return f"debits and credits differ by {_money(total.difference, total.currency)}; `masthead verify` says where"


def _money(minor: int, currency: str) -> str:
    try:
        return format_minor(minor, currency)
    except MoneyError:
        return f"{minor:,} minor units"


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 160)
