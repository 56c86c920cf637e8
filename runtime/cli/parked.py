"""`masthead errors`: the work that could not go on, with reason and remedy."""

from __future__ import annotations

import json
from typing import Annotated

import psycopg.errors
import typer
from rich.table import Table

from runtime.cli.tables import wide_console
from runtime.settings import load_settings
from runtime.stack.client import ensure_stack
from storage.database import make_engine, transaction
from storage.parked import open_parks

# What Postgres calls an error, as those see it who look after accounts and plans.
_WORDS = {
    "NumericValueOutOfRange": (
        "an amount is larger than the books can hold (some 92 quadrillion in a currency with cents); look for a price, "
        "a quantity or a usage count with too many digits"
    ),
    "UniqueViolation": "it clashes with a row that is there already",
    "ForeignKeyViolation": "it refers to a row that is not there",
    "CheckViolation": "a value is outside of what the books allow",
    "NotNullViolation": "a value is missing",
    "CharacterNotInRepertoire": "it holds characters that the books cannot keep",
    "UntranslatableCharacter": "it holds characters that the books cannot keep",
    "StringDataRightTruncation": "a text is too long",
}


def in_words(error_kind: str, message: str) -> str:
    """What happened, without the database's jargon in front; what the database said stays in brackets."""
    if (words := _WORDS.get(error_kind)) is not None:
        return f"{words} ({message})"
    if isinstance(known := getattr(psycopg.errors, error_kind, None), type) and issubclass(
        known, psycopg.Error
    ):
        return f"the database refused it ({error_kind}: {message})"
    return f"{error_kind}: {message}"


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
        told = [park | {"words": in_words(park["error_kind"], park["message"])} for park in parks]
        print(json.dumps(told, default=str))
        return
    console = wide_console()
    if not parks:
        console.print("Nothing is parked.")
        return
    table = Table("account", "since", "times", "what happened", "what to do", title=f"{len(parks)} parked")
    for park in parks:
        since = str(park["opened_at"])[:16]
        happened = in_words(str(park["error_kind"]), str(park["message"]))
        table.add_row(str(park["account"]), since, str(park["times"]), happened, str(park["remedy"]))
    console.print(table)
