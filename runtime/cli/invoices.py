"""`masthead invoice`: an invoice or a credit note as the customer sees it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from documents.invoice_page import InvoicePages
from documents.invoice_view import view_of
from documents.shelf import Shelf, TemplateError
from domain.invoice_document import DocumentDoesNotAdd, InvoiceDocument
from runtime.cli.errors import CommandFailed, UserError
from runtime.cli.tables import wide_console
from runtime.settings import Settings, load_settings
from runtime.stack.client import ensure_stack
from runtime.stack.home import write_private_bytes
from storage.database import make_engine, transaction
from storage.invoice_documents import find_document

app = typer.Typer(no_args_is_help=True, help="Invoices and credit notes as customers see them.")

_NUMBER = re.compile(r"([A-Z][A-Z0-9]{0,15})-(\d{1,18})")


@app.callback()
def _group() -> None:
    """Keeps `show` a command of its own while it is the only one."""


@app.command("show")
def show(
    number: Annotated[
        str, typer.Argument(metavar="NUMBER", help="With its series: INV-7, or CN-3 for a credit note.")
    ],
    pdf: Annotated[Path | None, typer.Option("--pdf", metavar="FILE", help="Write it as PDF.")] = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write it as an HTML page.")
    ] = None,
    locale: Annotated[
        str | None, typer.Option(help="In another locale than the account's, as de-DE.")
    ] = None,
) -> None:
    """Show a document, or write it as PDF or HTML."""
    settings = load_settings()
    document = _found(settings, number.upper())
    if locale is not None:
        document = replace(document, locale=locale)
    try:
        shelf = Shelf(settings.templates)
        pages = InvoicePages(shelf)
        for file, made in ((pdf, pages.pdf), (html, pages.html)):
            if file is not None:
                content = made(document)
                _write(file, content if isinstance(content, bytes) else content.encode())
        if pdf is None and html is None:
            _print(view_of(document, shelf))
    except TemplateError as error:
        raise UserError(str(error)) from None


def _found(settings: Settings, number: str) -> InvoiceDocument:
    parts = _NUMBER.fullmatch(number)
    if parts is None:
        raise UserError(
            f"{number!r} is no document's number", remedy="Write it with its series: INV-7 or CN-3."
        )
    with ensure_stack(settings, workers=False) as stack:
        engine = make_engine(stack.database_url)
        try:
            with transaction(engine) as connection:
                document = find_document(connection, parts[1], int(parts[2]))
        except DocumentDoesNotAdd as error:
            raise CommandFailed(str(error)) from None
        finally:
            engine.dispose()
    if document is None:
        raise UserError(
            f"there is no document {number}",
            remedy="Invoices are INV-n, credit notes CN-n; those of test accounts have their own series.",
        )
    return document


def _write(file: Path, content: bytes) -> None:
    try:
        write_private_bytes(file, content)
    except OSError as error:
        raise UserError(f"{file} cannot be written: {error.strerror}") from None
    print(f"{file}: {len(content):,} bytes")


def _print(view: dict[str, Any]) -> None:
    console = wide_console()
    console.print(Text(view["heading"], style="bold"), Text(view["sample"], style="red"))
    facts = "  ".join(f"{name}: {value}" for name, value in view["facts"])
    console.print(facts, markup=False, highlight=False)
    table = Table(box=None, pad_edge=False)
    for no, name in enumerate(view["columns"]):
        table.add_column(name, justify="right" if no > 1 else "left")
    for line in view["lines"]:
        name = (
            f"  {line['name']}" if line["under"] else " · ".join(filter(None, (line["name"], line["part"])))
        )
        table.add_row(Text(name), line["period"], line["quantity"], line["amount"])
    for section in ("sums", "settling"):
        for name, amount in view[section]:
            table.add_row(Text(name), "", "", amount)
    console.print(table)
