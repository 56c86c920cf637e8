"""`masthead connectors check | try`: whether a connection's system takes us, and one call by hand."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from connectors.sdk.config import MissingSecret
from connectors.sdk.connector import Connector
from connectors.sdk.context import Rehearsed
from connectors.sdk.errors import ConnectorError, DefinitionError
from connectors.sdk.key import Key
from connectors.sdk.methods import Method, all_methods
from connectors.sdk.redaction import redact_value
from runtime.cli.errors import CommandFailed, UserError
from runtime.cli.tables import wide_console
from runtime.connections import Connections, checked
from runtime.settings import Settings, load_settings
from runtime.stack.client import ensure_stack
from runtime.yaml_source import DocumentError
from storage.database import make_engine
from storage.encryption import SecretKeyError

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def check(
    connection: Annotated[str | None, typer.Argument(metavar="[CONNECTION]", help="By default all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask each connection's system whether it answers and takes our credentials. Nothing is changed there.

    Exit code 1 when one does not.
    """
    settings = load_settings()
    with ensure_stack(settings, workers=False) as stack:
        found = asyncio.run(
            _healths(settings.model_copy(update={"database_url": stack.database_url}), connection)
        )
    if as_json:
        print(json.dumps({name: health.model_dump() for name, health in found.items()}))
    elif not found:
        print("No connection is configured: name some in masthead.yaml. docs/connectors.md shows how.")
    else:
        table = Table("connection", "answers", "what it says")
        for name, health in found.items():
            table.add_row(name, "[green]yes[/]" if health.ok else "[bold red]no[/]", health.detail)
        wide_console().print(table)
    failing = [name for name, health in found.items() if not health.ok]
    if failing:
        raise CommandFailed(
            f"{', '.join(failing)}: not usable", remedy="Correct what is said above, then check again."
        )


async def _healths(settings: Settings, only: str | None) -> dict[str, Any]:
    connections = opened(settings)
    engine = make_engine(settings.database_url or "")
    try:
        if only is not None:
            connections.get(only)
            return {only: await connections.health(only)}
        return dict(await checked(connections, engine))
    except DefinitionError as error:
        raise UserError(str(error), remedy="`masthead connectors check` without a name checks all.") from None
    finally:
        await connections.aclose()
        engine.dispose()


def opened(settings: Settings) -> Connections:
    """The connections as configured. Raises UserError with everything that is wrong."""
    try:
        return Connections.of(settings)
    except DocumentError as error:
        raise UserError(
            "\n".join(error.lines()), remedy="Correct masthead.yaml; nothing was called."
        ) from None
    except SecretKeyError as error:
        raise UserError(str(error), remedy="`masthead connectors keygen` makes a key.") from None


def try_method(
    connection: Annotated[str, typer.Argument(help="A connection of masthead.yaml.")],
    method: Annotated[str, typer.Argument(help="As in tax.quote, or quote where only one fits.")],
    file: Annotated[Path, typer.Option("--input", "-i", help="The request as JSON.")],
    send: Annotated[
        bool, typer.Option("--send", help="Really call. Without it the request is only shown.")
    ] = False,
    key: Annotated[str, typer.Option(help="The business key of a write, as in try:1.")] = "",
    as_json: AsJson = False,
) -> None:
    """Call one method by hand: by default a dry run, which shows the first request and sends nothing.

    Secrets and personal data are masked in what is shown.
    """
    settings = load_settings()
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"{file} cannot be read: {error}", remedy="Name a file with the request as JSON."
        ) from None
    except json.JSONDecodeError as error:
        raise UserError(
            f"{file}:{error.lineno}: this is no JSON: {error.msg}", remedy="Nothing was sent."
        ) from None
    with ensure_stack(settings, workers=False) as stack:
        told = asyncio.run(
            _tried(
                settings.model_copy(update={"database_url": stack.database_url}),
                connection,
                method,
                given,
                key,
                send,
            )
        )
    if as_json:
        print(json.dumps(told))
    else:
        wide_console().print_json(json.dumps(told))


async def _tried(
    settings: Settings, name: str, method: str, given: Any, key: str, send: bool
) -> dict[str, Any]:
    connections = opened(settings)
    try:
        connector = await connections.open(name)
        chosen = _method_of(connector, method)
        arguments = _arguments(chosen, given, key, send)
        if not send:
            connector.context = replace(connector.context, rehearsing=True)
        answer = await getattr(connector, chosen.function)(*arguments)
    except Rehearsed as rehearsed:
        return {"sent": False, "method": rehearsed.method, "url": rehearsed.url, "body": rehearsed.body}
    except ConnectorError as error:
        raise CommandFailed(f"{error.kind}: {error.message}", remedy=_remedy(error.kind)) from None
    except (DefinitionError, MissingSecret) as error:
        raise UserError(str(error), remedy="Nothing was sent.") from None
    finally:
        await connections.aclose()
    return {"sent": send, "answer": redact_value(chosen.answer.dump_python(answer, mode="json"))}


def _remedy(kind: str) -> str:
    if kind == "unknown":
        return "It may have been done. Look at the other system before you try again with the same key."
    return "`masthead connectors check` tells whether the connection is usable at all."


def _method_of(connector: Connector[Any], name: str) -> Method:
    """The method by its whole name or by its last part. Raises UserError."""
    mine = [each for each in all_methods().values() if isinstance(connector, each.capability)]
    fitting = [each for each in mine if name in (each.name, each.function)]
    if len(fitting) != 1:
        raise UserError(
            f"{name!r} is {'not one method' if fitting else 'no method'} of {connector.name}",
            remedy=f"There are: {', '.join(each.name for each in mine)}.",
        )
    return fitting[0]


def _arguments(method: Method, given: Any, key: str, send: bool) -> list[Any]:
    problems = method.problems(given)
    if problems:
        lines = "\n".join(f"  {field}: {what}" for field, what in problems.items())
        raise UserError(f"the request does not fit {method.name}:\n{lines}", remedy="Nothing was sent.")
    arguments = method.arguments(given)
    if not method.write:
        return arguments
    if send and not key:
        raise UserError(
            f"{method.name} changes something there", remedy="Give it a business key: --key try:1, say."
        )
    try:
        return [*arguments, Key(key or "try:dry-run")]
    except ValueError as error:
        raise UserError(str(error), remedy="Nothing was sent.") from None
