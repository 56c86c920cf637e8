"""`masthead import`: a publisher's subscriber file into accounts and subscriptions."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import psycopg
import sqlalchemy.exc
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from domain.catalog import Problem
from domain.import_map import ImportMap, missing_columns
from operations.imports import run
from operations.imports.job import ImportBusy
from operations.imports.source import SourceError, survey
from runtime.cli.errors import UserError
from runtime.settings import load_settings
from runtime.stack.client import ensure_stack
from runtime.stack.errors import StackError
from runtime.yaml_source import Document, DocumentError, model_problems, read_document, validate
from storage.database import make_engine

BAD_INPUT = 2


def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The publisher's file (CSV).")],
    map_file: Annotated[Path, typer.Option("--map", metavar="MAP", help="The map of its columns (YAML).")],
    as_of: Annotated[str, typer.Option("--as-of", metavar="DATE", help="The day as of which it holds.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check every row, write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
    test: Annotated[
        bool,
        typer.Option(
            "--test",
            help="As test accounts, for ever: out of live runs, told to connections in test mode only.",
        ),
    ] = False,
) -> None:
    """Import subscribers from FILE.

    Rows that cannot be imported are left out whole and written with their reasons to FILE.rejected.csv; the
    others are in. Repeat the command after an interruption: it goes on where it stopped, and nobody is
    imported twice. Exit code 2 when a row was rejected.
    """
    day = _day(as_of)
    document = _read(map_file)
    import_map = _validated(document)
    try:
        # Before a stack is started for a file that cannot be read, or not by this map.
        header = survey(file, import_map.file).header
        if problems := missing_columns(import_map, header):
            if len(header) == 1 and len(problems) > 1:
                raise _wrong_delimiter(file, header[0], import_map)
            raise _mismatch(document, problems)
        summary = _import(
            document, run.ImportRequest(file, import_map, day, dry_run, "test" if test else "live")
        )
    except SourceError as error:
        raise UserError(str(error), remedy="Nothing was imported. Correct the file and repeat.") from None
    except ImportBusy as error:
        raise UserError(f"{file}: {error}", remedy="Wait for it, then repeat to see its counts.") from None
    if as_json:
        print(json.dumps(_as_data(summary)))
    else:
        _tell(summary)
    if summary.rejected:
        _tell_rejected(file, summary)
        raise typer.Exit(BAD_INPUT)


def _import(document: Document, request: run.ImportRequest) -> run.ImportSummary:
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        try:
            with _progress(request.file.name) as on_progress:
                return run.import_file(engine, request, on_progress)
        except run.MapMismatch as error:
            raise _mismatch(document, error.problems) from None
        except (psycopg.OperationalError, sqlalchemy.exc.OperationalError) as error:
            reason = str(error).partition("\n")[0]
            raise StackError(
                f"the database went away: {reason}\n"
                "Repeat the command once it is back: it goes on after the last batch that was written."
            ) from None
        finally:
            engine.dispose()


def _mismatch(document: Document, problems: Sequence[Problem]) -> UserError:
    found = DocumentError(document.file, [document.problem(p.path, p.message) for p in problems])
    remedy = "Nothing was imported. Correct the map (or load the catalog it means) and repeat."
    return UserError(str(found), remedy=remedy)


def _wrong_delimiter(file: Path, header: str, import_map: ImportMap) -> UserError:
    shown = header if len(header) <= 60 else f"{header[:60]}…"
    return UserError(
        f"{file}:1: read with the delimiter {import_map.file.delimiter!r}, the header is one column: {shown}",
        remedy="Nothing was imported. Name the file's delimiter in the map (file: delimiter) and repeat.",
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise UserError(f"--as-of: {text!r} is not a date", remedy="Write it like 2026-12-01.") from None


def _read(map_file: Path) -> Document:
    try:
        return read_document(map_file)
    except DocumentError as error:
        raise UserError(str(error), remedy="Nothing was imported. Correct the map and repeat.") from None


def _validated(document: Document) -> ImportMap:
    from pydantic import ValidationError

    try:
        return validate(document, ImportMap)
    except ValidationError as error:
        found = DocumentError(document.file, model_problems(document, error, ImportMap))
        raise UserError(str(found), remedy="Nothing was imported. Correct the map and repeat.") from None


@contextmanager
def _progress(name: str) -> Iterator[run.Progress]:
    """A bar on stderr where that is a terminal, silence elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"importing {name}", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _as_data(summary: run.ImportSummary) -> dict[str, Any]:
    data = asdict(summary)
    data["rejected_file"] = str(summary.rejected_file) if summary.rejected_file else None
    data["first_rejections"] = [
        {"row": row, "line": line, "reason": reason} for row, line, reason in summary.first_rejections
    ]
    return data


def _tell(summary: run.ImportSummary) -> None:
    new = "importable" if summary.dry_run else "imported"
    counts = (new, summary.imported), ("existing", summary.existing), ("rejected", summary.rejected)
    width = len(f"{summary.rows:,}")
    for name, count in counts:
        print(f"{name:<10} {count:>{width},}")
    print(f"{'rows':<10} {summary.rows:>{width},}")
    if summary.resumed_after:
        print(f"went on after {summary.resumed_after:,} rows that an interrupted import had finished")
    if summary.dry_run:
        print("dry run: nothing was written")


def _tell_rejected(file: Path, summary: run.ImportSummary) -> None:
    for _row, line, reason in summary.first_rejections:
        print(f"{file}:{line}: {reason}", file=sys.stderr)
    more = summary.rejected - len(summary.first_rejections)
    if more > 0:
        print(f"... and {more:,} more", file=sys.stderr)
    rows = "1 row" if summary.rejected == 1 else f"{summary.rejected:,} rows"
    if summary.dry_run:
        print(
            f"error: {rows} would be rejected; nothing was written. Correct {file.name} and repeat.",
            file=sys.stderr,
        )
        return
    others = "the others are in" if summary.imported + summary.existing else "no row was imported"
    print(
        f"error: {rows} rejected and left out; {others}. Rejected rows with their reasons: "
        f"{summary.rejected_file}\nCorrect them there and import that file with the same map, or correct "
        f"{file.name} and repeat: what is in counts as existing.",
        file=sys.stderr,
    )
