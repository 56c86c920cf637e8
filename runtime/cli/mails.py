"""`masthead mails`: the templates there are, what they look like, and what became of mails."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from sqlalchemy import Engine
from uuid_utils import uuid7

from documents.invoice_page import InvoicePages, file_name
from documents.letters import Letters
from documents.samples import sample_document, sample_facts
from documents.shelf import Shelf, TemplateError
from domain.mail_templates import BY_NAME, template_named
from domain.money import MoneyError
from domain.rule_book import RuleBook
from operations.audit import append_action
from operations.mails.compose import CURABLE, REASONS
from runtime.cli.errors import UserError
from runtime.cli.tables import wide_console
from runtime.settings import load_settings
from runtime.stack.client import ensure_stack
from runtime.yaml_source import DocumentError, load_document
from storage.database import make_engine, transaction
from storage.mails import counted_mails, listed_mails, requeue_mails

app = typer.Typer(
    no_args_is_help=True, help="Mails to customers: templates, previews, and what became of them."
)

AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
STATUSES = ("waiting", "sending", "sent", "unsent", "parked", "skipped", "failed")


@app.command("list")
def list_templates(as_json: AsJson = False) -> None:
    """List the templates: what each tells, by which event, and in which languages."""
    letters = Letters(_shelf())
    names = [*BY_NAME, *(name for name in letters.own() if name not in BY_NAME)]
    rows = [(template_named(name), letters.languages(name)) for name in names]
    if as_json:
        found = [
            {
                "name": template.name,
                "about": template.about,
                "event": template.on,
                "attaches_document": template.attaches,
                "marketing": template.marketing,
                "languages": languages,
            }
            for template, languages in rows
        ]
        print(json.dumps(found, ensure_ascii=False))
        return
    table = Table("template", "tells of", "event", "languages", "")
    for template, languages in rows:
        more = "with PDF" if template.attaches else "with consent only" if template.marketing else ""
        table.add_row(template.name, template.about, template.on, ", ".join(languages), more)
    wide_console().print(table)


@app.command("preview")
def preview(
    template: Annotated[str, typer.Argument(metavar="TEMPLATE", help="As `masthead mails list` names it.")],
    locale: Annotated[str, typer.Option(help="The account's locale, as de-DE.")] = "en-US",
    currency: Annotated[str, typer.Option(help="The account's currency.")] = "EUR",
    rules: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A rule book, for the publisher in it.")
    ] = None,
    folder: Annotated[Path, typer.Option("--to", metavar="FOLDER", help="Where to.")] = Path(),
) -> None:
    """Write TEMPLATE with invented facts as files: text, HTML, and the PDF that goes with it."""
    shelf = _shelf()
    try:
        publisher = load_document(rules, RuleBook).publisher if rules else None
        facts = sample_facts(locale, currency.upper(), publisher)
        kind = template_named(template)
        link = f"{facts.publisher.website}/unsubscribe/..." if kind.marketing else None
        letter = Letters(shelf).write(template, facts, unsubscribe=link)
        files = {f"{template}.txt": f"Subject: {letter.subject}\n\n{letter.text}".encode()}
        files[f"{template}.html"] = letter.html.encode()
        if kind.attaches:
            document = sample_document(facts, credit_note=template == "credit-note")
            files[file_name(document, "pdf")] = InvoicePages(shelf).pdf(document)
    except TemplateError as error:
        raise UserError(str(error)) from None
    except DocumentError as error:
        raise UserError(str(error)) from None
    except MoneyError as error:
        raise UserError(f"--currency: {error}") from None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            (folder / name).write_bytes(content)
            print(folder / name)
    except OSError as error:
        raise UserError(f"{folder} cannot be written to: {error.strerror}") from None


@app.command("status")
def status(as_json: AsJson = False) -> None:
    """How many mails of each template are sent, wait, or could not be sent, and why."""
    with _database() as engine, transaction(engine) as connection:
        rows = counted_mails(connection)
    if as_json:
        names = ("mode", "template", "status", "reason", "count")
        print(json.dumps([dict(zip(names, row, strict=True)) for row in rows]))
        return
    if not rows:
        print("No mail was recorded yet.")
        return
    table = Table("mode", "template", "status", "mails", "why")
    for mode, template, state, reason, count in rows:
        table.add_row(mode, template, state, f"{count:,}", REASONS.get(reason or "", reason or ""))
    wide_console().print(table)


@app.command("log")
def show_log(
    account: Annotated[str | None, typer.Option(metavar="KEY", help="Of one account, by its key.")] = None,
    state: Annotated[str | None, typer.Option("--status", help=f"One of {', '.join(STATUSES)}.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """What became of single mails. No address is kept here: they are read when a mail goes out."""
    if state is not None and state not in STATUSES:
        raise UserError(f"there is no status {state!r}", remedy=f"Use one of {', '.join(STATUSES)}.")
    with _database() as engine, transaction(engine) as connection:
        rows = listed_mails(connection, status=state, account=account, limit=limit)
    if as_json:
        print(json.dumps(rows, default=str))
        return
    table = Table("recorded", "account", "template", "status", "why", "message id")
    for row in rows:
        why = REASONS.get(row["reason"] or "", row["reason"] or "")
        when = f"{row['recorded_at']:%Y-%m-%d %H:%M}"
        table.add_row(when, row["account"], row["template"], row["status"], why, row["message_id"] or "")
    wide_console().print(table)


@app.command("send")
def send(
    since: Annotated[
        str, typer.Option(metavar="INSTANT", help="Recorded since then: 2026-12-01 or 2026-12-01T06:00Z.")
    ],
    template: Annotated[str | None, typer.Option(help="Of one template only.")] = None,
    reason: Annotated[
        str, typer.Option(help="Why; goes into the audit table.")
    ] = "asked on the command line",
) -> None:
    """Send mails after all that could not be sent for want of a connection, a sender or an address."""
    try:
        at = datetime.fromisoformat(since)
    except ValueError:
        raise UserError(
            f"--since: {since!r} is no instant", remedy="Write 2026-12-01 or 2026-12-01T06:00Z."
        ) from None
    instant = at if at.tzinfo else at.replace(tzinfo=UTC)
    with _database() as engine, transaction(engine) as connection:
        count = requeue_mails(connection, CURABLE, instant, template)
        append_action(
            connection,
            key=str(uuid7()),
            actor=getpass.getuser(),
            action="mails.send",
            subject=f"{count} mails recorded since {instant.isoformat()}, {template or 'of all templates'}",
            reason=reason,
        )
    print(f"{count:,} {'mail waits' if count == 1 else 'mails wait'} to be sent by the workers.")


def _shelf() -> Shelf:
    try:
        return Shelf(load_settings().templates)
    except TemplateError as error:
        raise UserError(str(error)) from None


@contextmanager
def _database() -> Iterator[Engine]:
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        try:
            yield engine
        finally:
            engine.dispose()
