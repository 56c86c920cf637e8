"""Requests that may be sent again: the answer is stored with the effect, and a repetition is given that answer.

All functions work in the caller's transaction. A use case of one transaction calls `begin` first and `finish` last: the
answer exists if, and only if, the effect does, and whoever asks meanwhile is told so at once by a lock that the
transaction holds. Work of several transactions (a checkout) calls `claim` in the first, which leaves a mark that all
can see, and `finish` in the last; `release` where nothing came of it. A claim that nobody settled lapses, and the
next request with that key does the work again: such work has to be safe to begin twice by itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple

from storage.database import PgConnection
from storage.json_text import json_text
from storage.round_trip import Answer, RoundTrip, TakesStatements, round_trip

KEPT = timedelta(days=30)
# One request in so many forgets up to ten times as many.
_FORGOTTEN_AT_ONCE = 20


class Asked(NamedTuple):
    """A request: who asks, the key it was sent with, and a digest of what it asks for."""

    api_key_id: str
    key: str
    fingerprint: bytes


class Stored(NamedTuple):
    """An answer as it went out, byte by byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Beginning(NamedTuple):
    """What the database answers to a request that begins: whether its lock was free, and what is stored."""

    lock: Answer
    found: Answer


class KeyReused(ValueError):
    """The key was sent before with another request."""


class StillRunning(Exception):
    """The first request with that key has not been answered yet."""


def begin(connection: PgConnection, asked: Asked) -> Stored | None:
    """The stored answer, or None where the work is to be done: now, in this transaction, which nobody else does as
    long as it is open. Raises KeyReused and StillRunning."""
    with round_trip(connection) as trip:
        beginning = begin_with(trip, asked)
    return begun(asked, beginning)


def begin_with(trip: RoundTrip, asked: Asked) -> Beginning:
    """As `begin`, with what else `trip` asks for; what came of it says `begun`."""
    # Two statements: the second sees what was committed before the lock was taken.
    lock = trip.execute("select pg_try_advisory_xact_lock(%s)", (_lock_number(asked),))
    found = trip.execute(
        "select fingerprint, status, headers, body, coalesce(claimed_until > now(), false)"
        " from idempotency_key where api_key_id = %s and key = %s and expires_at > now()",
        (asked.api_key_id, asked.key),
    )
    return Beginning(lock, found)


def begun(asked: Asked, beginning: Beginning) -> Stored | None:
    """What `begin` answers, and raises."""
    lock, found = beginning
    if lock.fetchone() != (True,):
        raise StillRunning
    row = found.fetchone()
    if row is None:
        return None
    fingerprint, status, headers, body, claimed = row
    if bytes(fingerprint) != asked.fingerprint:
        raise KeyReused
    if status is not None:
        return Stored(status, headers or {}, bytes(body))
    if claimed:
        raise StillRunning
    return None


def finish(
    connection: TakesStatements, asked: Asked, answer: Stored, *, account_id: str | None = None
) -> None:
    """Store the answer, for 30 days. `account_id`: whose data it holds. Now and then, those whose time is over go."""
    _write(connection, asked, account_id, answer, None)
    if _lock_number(asked) % _FORGOTTEN_AT_ONCE:
        return
    connection.execute(
        """
        delete from idempotency_key where ctid = any(array(
            select ctid from idempotency_key where expires_at < now()
            order by expires_at limit %s for update skip locked))
        """,
        (10 * _FORGOTTEN_AT_ONCE,),
    )


def claim(connection: PgConnection, asked: Asked, lasting: timedelta) -> Stored | None:
    """As `begin`, for work that goes on after this transaction: until it is finished or released, or `lasting` is
    over, others are told that it is going on."""
    stored = begin(connection, asked)
    if stored is None:
        _write(connection, asked, None, None, lasting)
    return stored


def release(connection: PgConnection, asked: Asked) -> None:
    """Forget a claim of which nothing came, so that the same key may be sent again at once."""
    connection.execute(
        "delete from idempotency_key where api_key_id = %s and key = %s and fingerprint = %s and status is null",
        asked,
    )


def _lock_number(asked: Asked) -> int:
    digest = hashlib.sha256(f"{asked.api_key_id}/{asked.key}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _write(
    connection: TakesStatements,
    asked: Asked,
    account_id: str | None,
    answer: Stored | None,
    lasting: timedelta | None,
) -> None:
    values: dict[str, Any] = {
        **asked._asdict(),
        "account_id": account_id,
        "status": answer.status if answer else None,
        "headers": json_text(dict(answer.headers)) if answer else None,
        "body": answer.body if answer else None,
        "lasting": lasting,
        "kept": KEPT,
    }
    connection.execute(
        """
        insert into idempotency_key (api_key_id, key, fingerprint, account_id, status, headers, body, claimed_until,
                                     expires_at)
        values (%(api_key_id)s, %(key)s, %(fingerprint)s, %(account_id)s, %(status)s, %(headers)s::jsonb, %(body)s,
                now() + %(lasting)s::interval, now() + %(kept)s::interval)
        on conflict (api_key_id, key) do update
        set fingerprint = excluded.fingerprint, account_id = excluded.account_id, status = excluded.status,
            headers = excluded.headers, body = excluded.body, created_at = excluded.created_at,
            claimed_until = excluded.claimed_until, expires_at = excluded.expires_at
        """,
        values,
    )
