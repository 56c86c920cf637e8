"""`masthead errors`: the work that could not go on, with reason and remedy."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from rich.table import Table

from runtime.cli.tables import wide_console
from runtime.settings import load_settings
from runtime.stack.client import ensure_stack
from storage.database import make_engine, transaction
from storage.parked import open_parks


def errors(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many, oldest first.")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print as JSON.")] = False,
) -> None:
    """List parked work: what happened, and what to do. Exit code 0 also when there is some."""
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        with transaction(engine) as connection:
            parks = open_parks(connection, limit)
        engine.dispose()
    if as_json:
        print(json.dumps(parks, default=str))
        return
    console = wide_console()
    if not parks:
        console.print("Nothing is parked.")
        return
    table = Table("account", "since", "times", "what happened", "what to do", title=f"{len(parks)} parked")
    for park in parks:
        since = str(park["opened_at"])[:16]
        happened = f"{park['error_kind']}: {park['message']}"
        table.add_row(str(park["account"]), since, str(park["times"]), happened, str(park["remedy"]))
    console.print(table)
