"""`masthead tax`: who taxes what is billed, and how far the engine's documents are."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.table import Table

from domain.money import format_minor
from runtime.cli.errors import UserError
from runtime.cli.tables import wide_console
from runtime.settings import load_settings
from runtime.stack.client import ensure_stack
from storage.database import make_engine, transaction
from storage.tax_documents import STATUSES, list_documents, tax_overview

app = typer.Typer(no_args_is_help=True, help="Who taxes what is billed, and what tax engines have recorded.")

AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON, amounts in minor units.")]


@app.command()
def status(as_json: AsJson = False) -> None:
    """Show the engine of each mode, its documents by status, and what waits for it."""
    from runtime.taxing import tax_uses

    settings = load_settings()
    uses = tax_uses(settings)
    with ensure_stack(settings, workers=False) as stack:
        engine = make_engine(stack.database_url)
        with transaction(engine) as database:
            found = tax_overview(database)
        engine.dispose()
    taxed = {mode: uses[mode].connection if mode in uses else None for mode in ("live", "test")}
    if as_json:
        policies = {mode: use.when_away.value for mode, use in uses.items()}
        print(json.dumps({"taxed_by": taxed, "when_away": policies, **found}, default=str))
        return
    for mode, name in taxed.items():
        policy = f", when it is away: {uses[mode].when_away.value}" if mode in uses else ""
        print(f"{mode}: {name or 'the built-in table'}{policy}")
    table = Table("connection", "mode", "source", "status", "documents", "not settled since")
    for row in found["documents"]:
        since = f"{row['unsettled_since']:%Y-%m-%d %H:%M}" if row["unsettled_since"] else ""
        names = (row[name] for name in ("connection", "mode", "source", "status"))
        table.add_row(*map(str, names), f"{row['count']:,}", since)
    if found["documents"]:
        wide_console().print(table)
    if found["pending_accounts"]:
        print(
            f"{found['pending_accounts']:,} account(s) wait to be billed until their engine is back: masthead errors "
            "--kind tax_pending"
        )


@app.command()
def documents(
    code: Annotated[str, typer.Argument(help="The number of an invoice or credit note, as INV-123.")] = "",
    in_status: Annotated[str, typer.Option("--status", help=f"Only {', '.join(STATUSES)}.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List documents at tax engines: what was charged, what was recorded, and where each stands."""
    if in_status and in_status not in STATUSES:
        raise UserError(f"--status: {in_status!r} is no status", remedy=f"Use one of {', '.join(STATUSES)}.")
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        with transaction(engine) as database:
            found = list_documents(database, limit, code=code or None, status=in_status or None)
        engine.dispose()
    if as_json:
        print(json.dumps(found, default=str))
    elif not found:
        print("There are none.")
    else:
        wide_console().print(_table(found))


def _table(found: list[dict[str, Any]]) -> Table:
    table = Table("code", "connection", "status", "source", "tax date", "charged", "recorded", "its call")
    for row in found:
        recorded = row["recorded_total"]
        table.add_row(
            row["code"],
            row["connection"],
            row["status"]
            + (" (void asked)" if row["void_requested_at"] and row["status"] != "voided" else ""),
            row["source"],
            str(row["tax_date"]),
            format_minor(row["total"], row["currency"]),
            "" if recorded is None else format_minor(recorded, row["currency"]),
            f"{row['step']}: {row['call_status']}",
        )
    return table
