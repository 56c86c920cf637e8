"""API keys as rows: only hashes of their secrets are stored, of the present one and of those before."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from storage.database import PgConnection

_COLUMNS = (
    "k.id::text, k.name, k.scopes, k.mode, k.account_id::text, k.created_at, k.expires_at, k.rotated_at,"
    " k.revoked_at, k.last_used_at"
)


class ApiKey(NamedTuple):
    """A key without its secret. `mode` and `account_id` are None where it is not bound to one."""

    id: str
    name: str
    scopes: list[str]
    mode: str | None
    account_id: str | None
    created_at: datetime
    expires_at: datetime | None
    rotated_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None


class OpenKey(NamedTuple):
    """A key that opens the API now, until `until` (None: for good)."""

    id: str
    name: str
    scopes: list[str]
    mode: str | None
    account_id: str | None
    until: datetime | None


def hash_key(key: str) -> bytes:
    """What is stored of a key. Keys are random and long, so that a plain hash suffices."""
    return hashlib.sha256(key.encode("utf-8", "replace")).digest()


def open_key(connection: PgConnection, key_hash: bytes) -> OpenKey | None:
    """The key that `key_hash` opens: its present secret, or one before that is still valid. Notes to the hour that
    it was used."""
    row = connection.execute(
        """
        select k.id::text, k.name, k.scopes, k.mode, k.account_id::text, least(k.expires_at, f.valid_until),
               k.last_used_at is null or k.last_used_at < now() - interval '1 hour'
        from (select id, null::timestamptz as valid_until from api_key where key_hash = %(hash)s
              union all
              select api_key_id, valid_until from api_key_retired where key_hash = %(hash)s and valid_until > now()) f
        join api_key k on k.id = f.id
        where k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
        """,
        {"hash": key_hash},
    ).fetchone()
    if row is None:
        return None
    if row[6]:
        connection.execute("update api_key set last_used_at = now() where id = %s", (row[0],))
    return OpenKey(*row[:6])


def insert_key(
    connection: PgConnection,
    key_id: str,
    key_hash: bytes,
    *,
    name: str,
    scopes: Sequence[str],
    mode: str | None,
    account_id: str | None,
    expires_at: datetime | None,
) -> None:
    """Write a new key."""
    connection.execute(
        "insert into api_key (id, key_hash, name, scopes, mode, account_id, expires_at)"
        " values (%s, %s, %s, %s, %s, %s, %s)",
        (key_id, key_hash, name, list(scopes), mode, account_id, expires_at),
    )


def retire_secret(connection: PgConnection, key_id: str, valid_until: datetime) -> None:
    """Keep the present secret of a key among those before: it opens until `valid_until`. Older ones that would be
    valid longer end then, too."""
    connection.execute(
        "update api_key_retired set valid_until = %s where api_key_id = %s and valid_until > %s",
        (valid_until, key_id, valid_until),
    )
    connection.execute(
        "insert into api_key_retired (key_hash, api_key_id, valid_until) select key_hash, id, %s from api_key"
        " where id = %s",
        (valid_until, key_id),
    )


def replace_secret(connection: PgConnection, key_id: str, key_hash: bytes, now: datetime) -> None:
    """Give a key another secret."""
    connection.execute(
        "update api_key set key_hash = %s, rotated_at = %s where id = %s", (key_hash, now, key_id)
    )


def mark_revoked(connection: PgConnection, key_id: str, now: datetime) -> None:
    """Let a key open nothing any more; the first time counts."""
    connection.execute(
        "update api_key set revoked_at = coalesce(revoked_at, %s) where id = %s", (now, key_id)
    )


def find_key(connection: PgConnection, key_id: str, *, lock: bool = False) -> ApiKey | None:
    """The key of that id, whatever its state."""
    row = connection.execute(
        f"select {_COLUMNS} from api_key k where k.id = %s {'for update' if lock else ''}".encode(), (key_id,)
    ).fetchone()
    return ApiKey(*row) if row else None


def list_keys(
    connection: PgConnection, *, mode: str | None = None, after: str | None = None, limit: int | None = None
) -> list[ApiKey]:
    """Keys by id, oldest first, behind `after`; all without `limit`; with `mode` only those bound to it."""
    conditions: dict[str, Any] = {"mode": mode, "after": after, "limit": limit}
    rows = connection.execute(
        f"""
        select {_COLUMNS} from api_key k
        where (%(mode)s::text is null or k.mode = %(mode)s) and (%(after)s::uuid is null or k.id > %(after)s::uuid)
        order by k.id limit %(limit)s
        """.encode(),
        conditions,
    )
    return [ApiKey(*row) for row in rows]
