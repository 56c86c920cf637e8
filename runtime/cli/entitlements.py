"""`masthead entitlements`: what readers may use, worked out anew."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from operations.entitlements.rebuilding import count_accounts, rebuild_all
from runtime.settings import load_settings
from runtime.stack.client import ensure_stack
from storage.database import make_engine

app = typer.Typer(no_args_is_help=True, help="What readers may use.")

AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]


@app.callback()
def entitlements() -> None:
    """What readers may use."""


@app.command("rebuild")
def rebuild(as_json: AsJson = False) -> None:
    """Work out the grants of every account from its rows: of accounts that were imported before there were grants.

    One account after the other, each in a transaction of its own; what is right already stays as it is, so it may be
    run at any time, and again.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        try:
            with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
                task = bar.add_task("accounts", total=count_accounts(engine))
                accounts, changed = rebuild_all(
                    engine, datetime.now(UTC), lambda done, _: bar.update(task, completed=done)
                )
        finally:
            engine.dispose()
    if as_json:
        print(json.dumps({"accounts": accounts, "changed": changed}))
    else:
        print(f"{accounts:,} accounts, {changed:,} grants changed.")
