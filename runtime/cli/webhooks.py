"""`masthead connectors webhook`: endpoints for vendors, webhooks signed and sent by hand, deliveries applied again."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import httpx
import typer
from rich.table import Table
from uuid_utils import uuid7

from connectors.sdk.config import MissingSecret, Secret
from connectors.sdk.memory import EnvSecrets
from connectors.sdk.webhooks.recipe import Recipe
from connectors.sdk.webhooks.shelf import bundled_recipes
from connectors.sdk.webhooks.sign import headers_to_send, sign
from connectors.sdk.webhooks.values import WebhookRequest
from runtime.cli.errors import CommandFailed, UserError
from runtime.cli.tables import wide_console
from runtime.settings import load_settings
from runtime.stack.client import Stack, ensure_stack
from runtime.yaml_source import DocumentError, read_document
from storage import inbound_endpoints
from storage.database import PgConnection, make_engine, transaction
from storage.webhook_inbox import Chosen, replay, set_aside

webhook_app = typer.Typer(
    no_args_is_help=True, help="Endpoints for vendors' webhooks; sign, send and replay them."
)

RecipeName = Annotated[str, typer.Option("--recipe", help="Who signs; `recipes` lists them.")]
SecretReference = Annotated[
    str, typer.Option("--secret", help="Where the signing secret is: env:NAME or file:/path.")
]
Body = Annotated[Path, typer.Option("--body", help="File with the body, sent byte by byte.")]
Header = Annotated[
    list[str] | None,
    typer.Option("--header", help="NAME:VALUE to send and, where it is signed, to sign. Repeatable."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
LOCAL = {"127.0.0.1", "localhost", "::1"}


@webhook_app.command("recipes")
def list_recipes() -> None:
    """List whose signatures are known."""
    for name, recipe in bundled_recipes().items():
        print(f"{name:20} {recipe.title}")


@webhook_app.command("add")
def add(
    connection: Annotated[str, typer.Argument(metavar="CONNECTION", help="The connection it belongs to.")],
    recipe: RecipeName,
    secret: Annotated[
        list[str],
        typer.Option("--secret", help="env:NAME or file:/path; twice while one replaces the other."),
    ],
    public_url: Annotated[
        str | None,
        typer.Option(help="What vendors call, as in https://hub.example.com; default: the API here."),
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="For a connection in test mode.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make an endpoint and print its address, which is told once and never again."""
    _recipe(recipe)
    references = [_reference(each) for each in secret]
    _check_mode(connection, "test" if test else "live")
    base = public_url or f"http://127.0.0.1:{load_settings().api_port}"
    if urlsplit(base).scheme not in ("http", "https") or not urlsplit(base).hostname:
        raise UserError(
            f"--public-url {base!r} is no address", remedy="Give one like https://hub.example.com."
        )
    with _database() as (_, opened):
        endpoint, token = inbound_endpoints.add_endpoint(
            opened,
            name=connection,
            recipe=recipe,
            secret_references=references,
            public_url=base,
            mode="test" if test else "live",
        )
    address = f"{base.rstrip('/')}/webhooks/{token}"
    if as_json:
        print(json.dumps({"id": endpoint, "address": address}))
    else:
        print(address)
        print(
            f"endpoint {endpoint}: give this address to the sender; it cannot be shown again.",
            file=sys.stderr,
        )


@webhook_app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List endpoints, with what waits and what is parked at each."""
    with _database() as (_, opened):
        endpoints = inbound_endpoints.list_endpoints(opened)
    if as_json:
        print(json.dumps(endpoints, default=str))
        return
    table = Table(
        "id", "connection", "recipe", "mode", "secrets", "public address", "waiting", "parked", "state"
    )
    for each in endpoints:
        table.add_row(
            each["id"],
            each["connection"],
            each["recipe"],
            each["mode"],
            ", ".join(each["secrets"]),
            each["public_url"],
            str(each["waiting"]),
            str(each["parked"]),
            "disabled" if each["disabled_at"] else "open",
        )
    wide_console().print(table)


@webhook_app.command("disable")
def disable(endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="Its id.")]) -> None:
    """Take nothing more at an endpoint, within seconds; what came in is still applied."""
    _uuid(endpoint)
    with _database() as (_, opened):
        done = inbound_endpoints.disable_endpoint(opened, endpoint)
    if not done:
        raise UserError(
            f"there is no open endpoint {endpoint}", remedy="`masthead connectors webhook list` shows them."
        )
    print("disabled")


@webhook_app.command("secrets")
def change_secrets(
    endpoint: Annotated[str, typer.Argument(metavar="ENDPOINT", help="Its id.")],
    secret: Annotated[list[str], typer.Option("--secret", help="env:NAME or file:/path; repeatable.")],
) -> None:
    """Name an endpoint's secrets anew: two while one replaces the other, then the new one."""
    _uuid(endpoint)
    references = [_reference(each) for each in secret]
    with _database() as (_, opened):
        done = inbound_endpoints.change_secrets(opened, endpoint, references)
    if not done:
        raise UserError(
            f"there is no endpoint {endpoint}", remedy="`masthead connectors webhook list` shows them."
        )
    print(f"{len(references)} named")


@webhook_app.command("sign")
def sign_body(
    recipe: RecipeName,
    secret: SecretReference,
    body: Body,
    url: Annotated[str, typer.Option(help="The address that is called, where it is signed.")] = "",
    header: Header = None,
) -> None:
    """Print headers and body as the sender would send them now, as JSON."""
    signed = _signed(recipe, secret, body, url, header)
    print(
        json.dumps(
            {"headers": dict(headers_to_send(signed)), "body": signed.body.decode("utf-8", "replace")},
            indent=2,
        )
    )


@webhook_app.command("send")
def send(
    recipe: RecipeName,
    secret: SecretReference,
    body: Body,
    url: Annotated[str, typer.Option(help="The endpoint's address on this machine.")],
    copies: Annotated[int, typer.Option(min=1, max=10_000, help="Send the same this many times.")] = 1,
    header: Header = None,
) -> None:
    """Send a signed webhook to an endpoint of this machine and print what it answers."""
    if urlsplit(url).hostname not in LOCAL or urlsplit(url).scheme not in ("http", "https"):
        raise UserError(
            "webhooks are sent to this machine only", remedy="Give an address like http://127.0.0.1:8484/..."
        )
    signed = _signed(recipe, secret, body, url, header)
    statuses: dict[int, int] = {}
    try:
        with httpx.Client(timeout=10, trust_env=False) as client:
            for _ in range(copies):
                answer = client.post(url, content=signed.body, headers=dict(headers_to_send(signed)))
                statuses[answer.status_code] = statuses.get(answer.status_code, 0) + 1
    except httpx.HTTPError as error:
        raise CommandFailed(
            f"nobody answers there ({type(error).__name__})", remedy="`masthead up` starts the API."
        ) from None
    for status, count in sorted(statuses.items()):
        print(f"{status} × {count}")
    if any(status >= 300 for status in statuses):
        raise CommandFailed("not all were taken", remedy="Why stands in the API's log.")


@webhook_app.command("replay")
def replay_deliveries(
    connection: Annotated[str | None, typer.Option(help="Only of this connection.")] = None,
    id: Annotated[list[int] | None, typer.Option(help="Only with this number; repeatable.")] = None,
    key: Annotated[str | None, typer.Option(help="Only with this delivery key.")] = None,
    status: Annotated[str | None, typer.Option(help="Only done, ignored or parked ones.")] = None,
    since: Annotated[datetime | None, typer.Option(help="Only what arrived then or later (UTC).")] = None,
    until: Annotated[datetime | None, typer.Option(help="Only what arrived before then (UTC).")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Really all of them.")] = False,
) -> None:
    """Let deliveries be applied again, as after a repair; print how many. A running worker applies them."""
    if status is not None and status not in ("done", "ignored", "parked"):
        raise UserError(f"--status {status!r} is none", remedy="Use done, ignored or parked.")
    chosen = Chosen(
        connection=connection,
        ids=id or None,
        key=key,
        status=status,
        since=since.replace(tzinfo=UTC) if since else None,
        until=until.replace(tzinfo=UTC) if until else None,
    )
    if chosen == Chosen() and not everything:
        raise UserError("that would be every delivery", remedy="Choose some, or say --all.")
    with _database() as (_, opened):
        count = replay(opened, chosen)
    print(f"{count} to be applied again")


@webhook_app.command("skip")
def skip(
    delivery: Annotated[int, typer.Argument(metavar="NUMBER", help="The parked delivery.")],
    reason: Annotated[str, typer.Option(help="Why it may stay undone; goes into the audit table.")],
) -> None:
    """Give up a parked delivery: it is not applied, and no longer listed among the errors."""
    with _database() as (_, opened):
        park = set_aside(opened, delivery)
        if park is None:
            raise UserError(
                f"no parked webhook has the number {delivery}",
                remedy="`masthead errors` shows what is parked.",
            )
        opened.execute(
            "insert into audit (id, actor, action, subject, reason) values (%s, %s, 'skip', %s, %s)",
            (str(uuid7()), getpass.getuser(), park, reason),
        )
    print("skipped")


@contextmanager
def _database() -> Iterator[tuple[Stack, PgConnection]]:
    """The stack, and a connection to its database in one transaction."""
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        try:
            with transaction(engine) as opened:
                yield stack, opened
        finally:
            engine.dispose()


def _signed(recipe: str, secret: str, body: Path, url: str, header: list[str] | None) -> WebhookRequest:
    try:
        value = EnvSecrets().resolve(_reference(secret))
        request = WebhookRequest("POST", url, dict(_header(each) for each in header or []), body.read_bytes())
        return sign(_recipe(recipe), request, value, datetime.now(UTC))
    except OSError as error:
        raise UserError(f"{body} cannot be read: {error.strerror}") from None
    except MissingSecret as error:
        raise UserError(str(error)) from None
    except ValueError as error:
        raise UserError(f"it cannot be signed: {error}") from None


def _check_mode(connection: str, mode: str) -> None:
    """Raise UserError where the configuration has the connection in the other mode. Nothing else of it is looked at:
    its secrets need not be known here."""
    file = load_settings().config_file
    if file is None:
        return
    try:
        node: object = read_document(file).content
    except DocumentError as error:
        raise UserError(str(error), remedy="Correct masthead.yaml.") from None
    for name in ("connections", connection):
        node = node.get(name) if isinstance(node, dict) else None
    if not isinstance(node, dict):
        return
    configured = node.get("mode", "test" if node.get("sandbox") is True else None)
    if configured in ("live", "test") and configured != mode:
        raise UserError(
            f"{connection} is in {configured} mode in {file.name}, and this endpoint would be in {mode} mode",
            remedy="Say --test." if configured == "test" else "Leave --test out.",
        )


def _recipe(name: str) -> Recipe:
    recipe = bundled_recipes().get(name)
    if recipe is None:
        raise UserError(f"there is no recipe {name!r}", remedy=f"Use one of: {', '.join(bundled_recipes())}.")
    return recipe


def _reference(text: str) -> str:
    try:
        return Secret(text).reference
    except ValueError as error:
        raise UserError(f"--secret: {error}") from None


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise UserError(f"--header {text!r} is none", remedy="Write NAME:VALUE.")
    return name.strip().lower(), value.strip()


def _uuid(text: str) -> None:
    from uuid import UUID

    try:
        UUID(text)
    except ValueError:
        raise UserError(
            f"{text!r} is no endpoint's id", remedy="`masthead connectors webhook list` shows them."
        ) from None
