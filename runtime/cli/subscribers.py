"""`masthead webhooks`: who is told of events over HTTP, how that goes, and sending again."""

from __future__ import annotations

import getpass
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID

import typer
from rich.table import Table
from sqlalchemy import Engine
from uuid_utils import uuid7

from contracts.names import webhook_delivery_id
from operations.audit import record_action
from operations.webhooks_out import endpoints
from operations.webhooks_out.kinds import BadKinds
from operations.webhooks_out.resending import EndpointOff, UnknownMessage, resend_failed, resend_message
from operations.webhooks_out.urls import BadUrl
from runtime.cli.errors import UserError
from runtime.cli.tables import wide_console
from runtime.settings import load_settings
from runtime.stack.client import ensure_stack
from storage.database import make_engine, transaction
from storage.encryption import Encryption, SecretKeyError
from storage.webhook_messages import list_messages
from storage.webhooks_out import Endpoint, find_endpoint, list_endpoints

subscribers_app = typer.Typer(
    no_args_is_help=True, help="Other systems that are told of events over HTTP (webhooks going out)."
)

_T = TypeVar("_T")

_LIST = "See `masthead webhooks list`."
EndpointId = Annotated[
    str, typer.Argument(metavar="ENDPOINT", help="Its id, as `masthead webhooks list` says.")
]
Reason = Annotated[str, typer.Option("--reason", help="Why; goes into the audit table.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
ASKED = "asked on the command line"


@subscribers_app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List the endpoints of subscribers."""
    with _database() as engine, transaction(engine) as connection:
        found = list_endpoints(connection)
    if as_json:
        _print_json([each._asdict() for each in found])
        return
    if not found:
        print("No system is told of events yet: `masthead webhooks add URL`.")
        return
    table = Table("endpoint", "url", "kinds", "mode", "state", "waiting", "failing since")
    for each in found:
        state = each.status if each.disabled_reason is None else f"{each.status}: {each.disabled_reason}"
        since = f"{each.failing_since:%Y-%m-%d %H:%M}" if each.failing_since else ""
        waiting = f"{each.waiting}" if each.waiting < 1000 else "1000 or more"
        table.add_row(each.id, each.url, ", ".join(each.kinds), each.mode, state, waiting, since)
    wide_console().print(table)


@subscribers_app.command("add")
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="https://..., where events are to be sent.")],
    kinds: Annotated[
        list[str] | None, typer.Option("--kind", help="As invoice.posted, subscription.* or * (the default).")
    ] = None,
    description: Annotated[str, typer.Option(help="Whose it is.")] = "",
    test: Annotated[bool, typer.Option("--test", help="For events of accounts in test mode only.")] = False,
    as_json: AsJson = False,
) -> None:
    """Add an endpoint. It is told of what happens from now on. Prints its secret, which is not shown again."""
    settings = load_settings()
    with _database() as engine:
        issued = _told(
            lambda: endpoints.add_endpoint(
                engine,
                Encryption.of(settings.secret_key),
                url=url,
                kinds=kinds or ["*"],
                description=description,
                mode="test" if test else "live",
                allow_loopback=settings.allow_loopback,
                by=_by("added on the command line"),
            )
        )
    _print_issued(issued, as_json)


@subscribers_app.command("rotate-secret")
def rotate_secret(
    endpoint: EndpointId,
    reason: Reason = ASKED,
    force: Annotated[
        bool, typer.Option("--force", help="Also within 24 hours of the last; the secret before then ends.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a new secret and print it; the one before stays good for 24 hours."""
    endpoint = _id(endpoint)
    encryption = _told(lambda: Encryption.of(load_settings().secret_key))
    with _database() as engine:
        now, by = datetime.now(UTC), _by(reason)
        issued = _told(lambda: endpoints.rotate_secret(engine, encryption, endpoint, now, force=force, by=by))
    _print_issued(issued, as_json)


@subscribers_app.command("disable")
def disable(endpoint: EndpointId, reason: Reason = ASKED) -> None:
    """Send ENDPOINT nothing more. What waits becomes failed; events that happen meanwhile are not kept for it."""
    endpoint = _id(endpoint)
    with _database() as engine:
        _told(lambda: endpoints.disable(engine, endpoint, reason, by=_by(reason)))
    print(f"{endpoint} is told nothing more. `masthead webhooks enable {endpoint}` takes it up again.")


@subscribers_app.command("enable")
def enable(endpoint: EndpointId, reason: Reason = ASKED) -> None:
    """Tell ENDPOINT of events again, from now on."""
    endpoint = _id(endpoint)
    with _database() as engine:
        _told(lambda: endpoints.enable(engine, endpoint, by=_by(reason)))
    print(f"{endpoint} is told of events from now on.")
    print(f"What failed before can be sent again: `masthead webhooks resend {endpoint} --since INSTANT`.")


@subscribers_app.command("deliveries")
def deliveries(
    endpoint: EndpointId,
    status: Annotated[str | None, typer.Option(help="pending, delivered or failed only.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """What ENDPOINT was told, and what it answered to the last attempt."""
    if status not in (None, "pending", "delivered", "failed"):
        raise UserError(f"there is no status {status!r}", remedy="Use pending, delivered or failed.")
    endpoint = _id(endpoint)
    with _database() as engine, transaction(engine) as connection:
        _told(lambda: _find(find_endpoint(connection, endpoint), endpoint))
        found = list_messages(connection, endpoint, status=status, after=None, limit=limit)
    if as_json:
        _print_json(found)
        return
    if not found:
        print("Nothing yet.")
        return
    table = Table("message", "event", "of", "state", "attempts", "last answer", "next attempt")
    for each in found:
        table.add_row(
            each["id"],
            each["kind"],
            str(each["event_at"])[:16],
            each["status"],
            str(each["attempts"]),
            _last_answer(each),
            str(each["next_attempt_at"] or "")[:19],
        )
    wide_console().print(table)


@subscribers_app.command("resend")
def resend(
    endpoint: EndpointId,
    message: Annotated[str | None, typer.Option(help="One message, by its id.")] = None,
    since: Annotated[
        str | None,
        typer.Option(help="All that failed of events since then: 2026-12-01 or 2026-12-01T06:00Z."),
    ] = None,
) -> None:
    """Send one message to ENDPOINT again, or all that failed of events since an instant."""
    if (message is None) == (since is None):
        raise UserError("what shall be sent again?", remedy="Give either --message or --since.")
    endpoint = _id(endpoint)
    with _database() as engine:
        if since is not None:
            instant = _instant(since)
            count = _told(lambda: resend_failed(engine, endpoint, instant))
        else:
            wanted = _id((message or "").removeprefix("msg_"), "a message's id", "--message: ")
            _told(lambda: resend_message(engine, endpoint, wanted))
            count = 1
        _audit(engine, "resend", endpoint, f"message {message}" if message else f"failed since {since}")
    print(f"{count:,} {'message is' if count == 1 else 'messages are'} sent again by the workers.")


@contextmanager
def _database() -> Iterator[Engine]:
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        try:
            yield engine
        finally:
            engine.dispose()


def _told(work: Callable[[], _T]) -> _T:
    """`work`; what is wrong with what was asked for becomes a UserError."""
    try:
        return work()
    except (endpoints.UnknownEndpoint, EndpointOff) as error:
        raise UserError(str(error), remedy=_LIST) from None
    except endpoints.RotatedLately as error:
        raise UserError(str(error), remedy="Add --force where the receiver has the new secret.") from None
    except UnknownMessage as error:
        raise UserError(str(error), remedy="See `masthead webhooks deliveries`.") from None
    except endpoints.EndpointExists as error:
        raise UserError(
            str(error),
            remedy=f"`masthead webhooks rotate-secret {error.endpoint_id}` makes a new secret for it.",
        ) from None
    except (BadUrl, BadKinds) as error:
        raise UserError(str(error)) from None
    except SecretKeyError as error:
        raise UserError(f"a secret cannot be stored: {error}") from None


def _id(text: str, what: str = "a webhook endpoint's id", where: str = "") -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise UserError(f"{where}{text!r} is not {what}", remedy=_LIST) from None


def _find(found: Endpoint | None, endpoint: str) -> Endpoint:
    if found is None:
        raise endpoints.UnknownEndpoint(f"there is no webhook endpoint {endpoint}")
    return found


def _instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UserError(
            f"--since: {text!r} is no instant", remedy="Write 2026-12-01 or 2026-12-01T06:00Z."
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _last_answer(message: dict[str, Any]) -> str:
    if not message["log"]:
        return str(message["error_kind"] or "")
    last = message["log"][-1]
    told = str(last["status"] or last["error_kind"])
    return f"{told} in {last['milliseconds']} ms" + (f": {last['response'][:60]}" if last["response"] else "")


def _by(reason: str) -> endpoints.By:
    return endpoints.By(getpass.getuser(), reason)


def _audit(engine: Engine, action: str, endpoint: str, reason: str) -> None:
    record_action(
        engine,
        key=str(uuid7()),
        actor=getpass.getuser(),
        action=f"webhooks-out.{action}",
        subject=webhook_delivery_id(endpoint),
        reason=reason,
    )


def _print_issued(issued: endpoints.Issued, as_json: bool) -> None:
    if as_json:
        _print_json({**issued.endpoint._asdict(), "secret": issued.secret})
        return
    print(f"endpoint {issued.endpoint.id}")
    print(f"secret   {issued.secret}")
    print("The secret is not shown again: store it where the messages are verified.", file=sys.stderr)


def _print_json(value: object) -> None:
    print(
        json.dumps(value, default=lambda each: each.isoformat() if isinstance(each, datetime) else str(each))
    )
