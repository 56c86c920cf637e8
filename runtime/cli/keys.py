"""`masthead keys`: API keys made, listed, rotated and revoked."""

from __future__ import annotations

import getpass
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar
from uuid import UUID

import typer
from rich.table import Table

from contracts.scopes import EVERYTHING, SCOPES
from operations.api_keys import (
    By,
    Issued,
    KeyOver,
    KeyRefused,
    UnknownKey,
    create_key,
    revoke_key,
    rotate_key,
)
from runtime.cli.errors import UserError
from runtime.cli.tables import wide_console
from runtime.settings import load_settings
from runtime.stack.client import ensure_stack
from storage.api_keys import ApiKey, list_keys
from storage.database import PgConnection, make_engine, transaction
from storage.sight import EVERYTHING as ALL_ACCOUNTS

keys_app = typer.Typer(no_args_is_help=True, help="Keys of the HTTP API: who may call it, and what for.")

_T = TypeVar("_T")

_LIST = "See `masthead keys list`."
_DURATION = re.compile(r"(\d{1,5})([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
KeyId = Annotated[str, typer.Argument(metavar="KEY", help="Its id, as `masthead keys list` says.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; goes into the audit table.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print as JSON.")]
ASKED = "asked on the command line"


@keys_app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who uses it.")],
    scope: Annotated[
        list[str],
        typer.Option(
            "--scope", help="What it may do, as `masthead keys scopes` says; repeatable. * is everything."
        ),
    ],
    mode: Annotated[str, typer.Option(help="Which accounts it sees: live, test or both.")] = "live",
    account: Annotated[
        str | None, typer.Option(help="Id of the one account it sees; it is of that account's mode.")
    ] = None,
    expires_in: Annotated[
        str | None, typer.Option(help="As 90d or 12h; by default it does not expire.")
    ] = None,
    reason: Reason = ASKED,
    as_json: AsJson = False,
) -> None:
    """Make a key and print its secret, which is not shown again."""
    if mode not in ("live", "test", "both"):
        raise UserError(f"--mode {mode!r} is none", remedy="Use live, test or both.")
    now = datetime.now(UTC)
    bound = _id(account, "an account's id", "--account: ") if account else None
    expires_at = now + _duration(expires_in, "--expires-in") if expires_in else None
    with _database() as connection:
        issued = _told(
            lambda: create_key(
                connection,
                name=name,
                scopes=scope,
                mode=None if mode == "both" or bound else mode,
                account_id=bound,
                expires_at=expires_at,
                now=now,
                by=_by(reason),
            )
        )
    _print_issued(issued, as_json)


@keys_app.command("list")
def list_all(as_json: AsJson = False) -> None:
    """List keys, without their secrets."""
    with _database() as connection:
        found = list_keys(connection)
    if as_json:
        _print_json([key._asdict() for key in found])
        return
    table = Table("key", "name", "scopes", "mode", "account", "state", "last used")
    for key in found:
        table.add_row(
            key.id,
            key.name,
            ", ".join(key.scopes),
            key.mode or "both",
            key.account_id or "all",
            _state(key, datetime.now(UTC)),
            f"{key.last_used_at:%Y-%m-%d %H:%M}" if key.last_used_at else "never",
        )
    wide_console().print(table)


@keys_app.command("scopes")
def list_scopes() -> None:
    """List what keys may do."""
    table = Table("scope", "what it lets", "for keys of one account")
    for name, scope in SCOPES.items():
        table.add_row(name, scope.about, "yes" if scope.for_accounts else "")
    table.add_row(EVERYTHING, "everything", "")
    wide_console().print(table)


@keys_app.command("rotate")
def rotate(
    key: KeyId,
    overlap: Annotated[
        str, typer.Option(help="How long the secret before still opens, up to 30d; 0s ends it at once.")
    ] = "24h",
    reason: Reason = ASKED,
    as_json: AsJson = False,
) -> None:
    """Make a new secret and print it. The one before stays good for a while."""
    key_id, lasting = _id(key), _duration(overlap, "--overlap")
    with _database() as connection:
        now = datetime.now(UTC)
        issued = _told(
            lambda: rotate_key(
                connection, key_id, overlap=lasting, now=now, by=_by(reason), sight=ALL_ACCOUNTS
            )
        )
    _print_issued(issued, as_json)


@keys_app.command("revoke")
def revoke(key: KeyId, reason: Reason = ASKED) -> None:
    """Let KEY, with all its secrets, open nothing any more. Running APIs know it within two seconds."""
    key_id = _id(key)
    with _database() as connection:
        revoked = _told(
            lambda: revoke_key(connection, key_id, now=datetime.now(UTC), by=_by(reason), sight=ALL_ACCOUNTS)
        )
    print(f"{revoked.id} ({revoked.name}) is revoked.")


@contextmanager
def _database() -> Iterator[PgConnection]:
    """A connection to the stack's database in one transaction."""
    with ensure_stack(load_settings(), workers=False) as stack:
        engine = make_engine(stack.database_url)
        try:
            with transaction(engine) as connection:
                yield connection
        finally:
            engine.dispose()


def _told(work: Callable[[], _T]) -> _T:
    """`work`; what is wrong with what was asked for becomes a UserError."""
    try:
        return work()
    except (UnknownKey, KeyOver) as error:
        raise UserError(str(error), remedy=_LIST) from None
    except KeyRefused as error:
        remedy = "`masthead keys scopes` lists them." if error.field == "scopes" else None
        raise UserError(f"{error.field}: {error}", remedy=remedy) from None


def _id(text: str, what: str = "an API key's id", where: str = "") -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise UserError(f"{where}{text!r} is not {what}", remedy=_LIST if not where else None) from None


def _duration(text: str, where: str) -> timedelta:
    found = _DURATION.fullmatch(text)
    if found is None:
        raise UserError(
            f"{where}: {text!r} is no length of time", remedy="Write it like 90d, 12h, 30m or 0s."
        )
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return f"revoked {key.revoked_at:%Y-%m-%d}"
    if key.expires_at is not None:
        word = "expired" if key.expires_at <= now else "expires"
        return f"{word} {key.expires_at:%Y-%m-%d}"
    return "open"


def _by(reason: str) -> By:
    return By(getpass.getuser(), reason)


def _print_issued(issued: Issued, as_json: bool) -> None:
    if as_json:
        _print_json({**issued.key._asdict(), "secret": issued.secret})
        return
    print(f"key    {issued.key.id}")
    print(f"secret {issued.secret}")
    print("The secret is not shown again: store it where the API is called.", file=sys.stderr)


def _print_json(value: object) -> None:
    print(
        json.dumps(value, default=lambda each: each.isoformat() if isinstance(each, datetime) else str(each))
    )
