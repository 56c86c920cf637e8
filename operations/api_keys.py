"""Keys of the HTTP API: made, rotated and revoked, each with an audit row. A secret is answered once and not kept."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from uuid_utils import uuid7

from contracts.scopes import EVERYTHING, SCOPES
from operations.audit import append_action
from storage.api_keys import (
    ApiKey,
    find_key,
    hash_key,
    insert_key,
    mark_revoked,
    replace_secret,
    retire_secret,
)
from storage.database import PgConnection
from storage.sight import EVERYTHING as ALL_ACCOUNTS
from storage.sight import Sight

LONGEST_OVERLAP = timedelta(days=30)
LONGEST_NAME = 100


class UnknownKey(LookupError):
    """There is no API key with this id."""


class KeyRefused(ValueError):
    """A key that cannot be made or rotated. `field` says what is wrong with what was asked for, the message why and
    what to do."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class KeyOver(Exception):
    """The key is revoked or has expired."""


class By(NamedTuple):
    """Who acts and why. `scopes`: what may be given away; a key may not make one that can do more than itself."""

    actor: str
    reason: str
    scopes: Collection[str] = (EVERYTHING,)


class Issued(NamedTuple):
    """A key with its secret, which is shown this once."""

    key: ApiKey
    secret: str

    def __repr__(self) -> str:
        return f"Issued({self.key.id})"


def create_key(
    connection: PgConnection,
    *,
    name: str,
    scopes: Sequence[str],
    mode: str | None,
    account_id: str | None,
    expires_at: datetime | None,
    now: datetime,
    by: By,
) -> Issued:
    """Make a key. `mode` None: it sees live and test accounts; a key bound to an account is of the account's mode.
    Raises KeyRefused."""
    wanted = _checked_scopes(scopes, account_id, by)
    if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
        raise KeyRefused(
            "name", f"give the key a name of one line and up to {LONGEST_NAME} characters: who uses it"
        )
    if expires_at is not None and expires_at <= now:
        raise KeyRefused("expires_at", "it would have expired already; give an instant that lies ahead")
    if account_id is not None:
        mode = _mode_of(connection, account_id, mode)
    key_id, secret = str(uuid7()), _new_secret()
    insert_key(
        connection,
        key_id,
        hash_key(secret),
        name=name.strip(),
        scopes=wanted,
        mode=mode,
        account_id=account_id,
        expires_at=expires_at,
    )
    _audit(connection, "create", key_id, by)
    return Issued(read_key(connection, key_id), secret)


def rotate_key(
    connection: PgConnection, key_id: str, *, overlap: timedelta, now: datetime, by: By, sight: Sight
) -> Issued:
    """Give a key a new secret. The one before opens the API for `overlap` longer, up to 30 days; those that were
    still valid from earlier rotations end with it at the latest. Raises UnknownKey, KeyOver and KeyRefused."""
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise KeyRefused("overlap", f"is not between 0 and {LONGEST_OVERLAP.days} days")
    key = read_key(connection, key_id, sight=sight, lock=True)
    if key.revoked_at is not None:
        raise KeyOver(f"the key was revoked on {key.revoked_at:%Y-%m-%d}: make a new one")
    if key.expires_at is not None and key.expires_at <= now:
        raise KeyOver(f"the key expired on {key.expires_at:%Y-%m-%d}: make a new one")
    _may_give(key.scopes, by)
    secret = _new_secret()
    retire_secret(connection, key_id, now + overlap)
    replace_secret(connection, key_id, hash_key(secret), now)
    _audit(connection, "rotate", key_id, by)
    return Issued(read_key(connection, key_id), secret)


def revoke_key(connection: PgConnection, key_id: str, *, now: datetime, by: By, sight: Sight) -> ApiKey:
    """Let a key, with all its secrets, open nothing any more. Repeating it changes nothing. Raises UnknownKey."""
    key = read_key(connection, key_id, sight=sight, lock=True)
    if key.revoked_at is None:
        mark_revoked(connection, key_id, now)
        _audit(connection, "revoke", key_id, by)
    return read_key(connection, key_id)


def read_key(
    connection: PgConnection, key_id: str, *, sight: Sight = ALL_ACCOUNTS, lock: bool = False
) -> ApiKey:
    """The key of that id, if `sight` has it. Raises UnknownKey."""
    key = find_key(connection, key_id, lock=lock)
    if key is None or (sight.mode is not None and key.mode != sight.mode):
        raise UnknownKey(f"there is no API key {key_id}")
    return key


def _checked_scopes(scopes: Sequence[str], account_id: str | None, by: By) -> list[str]:
    wanted = sorted(set(scopes))
    if not wanted:
        raise KeyRefused("scopes", "name at least one scope: what the key may do")
    unknown = [scope for scope in wanted if scope not in SCOPES and scope != EVERYTHING]
    if unknown:
        raise KeyRefused("scopes", f"there is no scope {unknown[0][:60]!r}; there are: {', '.join(SCOPES)}")
    if account_id is not None:
        wide = [scope for scope in wanted if scope == EVERYTHING or not SCOPES[scope].for_accounts]
        if wide:
            narrow = ", ".join(name for name, scope in SCOPES.items() if scope.for_accounts)
            raise KeyRefused(
                "scopes", f"a key for one account cannot have the scope {wide[0]!r}, only: {narrow}"
            )
    _may_give(wanted, by)
    return wanted


def _may_give(scopes: Collection[str], by: By) -> None:
    more = set(scopes) - set(by.scopes)
    if more and EVERYTHING not in by.scopes:
        raise KeyRefused(
            "scopes", f"your own key lacks {sorted(more)[0]!r}, and a key cannot give more than it has"
        )


def _mode_of(connection: PgConnection, account_id: str, wanted: str | None) -> str:
    row = connection.execute("select mode from account where id = %s", (account_id,)).fetchone()
    if row is None or (wanted is not None and row[0] != wanted):
        raise KeyRefused(
            "account_id", f"there is no account {account_id}" + (f" in {wanted} mode" if wanted else "")
        )
    return str(row[0])


def _new_secret() -> str:
    return "mh_" + secrets.token_urlsafe(32)


def _audit(connection: PgConnection, action: str, key_id: str, by: By) -> None:
    append_action(
        connection,
        key=str(uuid7()),
        actor=by.actor,
        action=f"api-keys.{action}",
        subject=f"api-key/{key_id}",
        reason=by.reason,
    )
