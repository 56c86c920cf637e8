"""The rows of calls to other systems.

`first_sent_at` is set exactly while a send may have been applied that nobody knows the outcome of, and once the
outcome is known; it is null while surely nothing was applied. `last_sent_at` is when the last send began, or, once it
is known to have ended without an answer, when it ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from storage.database import PgConnection

COLUMNS = """
    id::text, connection, capability, method, key, mode, account_id::text, trace_key, request, request_version, status,
    attempts, first_sent_at, last_sent_at, answer, error_kind, error_code, message, workflow_id, created_at, ended_at,
    clock_timestamp()
"""


class NoSuchCall(LookupError):
    """There is no call of that id."""


class CallRow(NamedTuple):
    """A call. now: the database's clock at the reading, the one clock by which keys expire."""

    id: str
    connection: str
    capability: str
    method: str
    key: str
    mode: str
    account_id: str | None
    trace_key: str | None
    request: Any
    request_version: int
    status: str
    attempts: int
    first_sent_at: datetime | None
    last_sent_at: datetime | None
    answer: Any
    error_kind: str | None
    error_code: str | None
    message: str | None
    workflow_id: str | None
    created_at: datetime
    ended_at: datetime | None
    now: datetime


def insert_call(
    connection: PgConnection,
    *,
    call_id: str,
    to: str,
    method: str,
    key: str,
    mode: str,
    request: Any,
    account_id: str | None,
    trace_key: str | None,
    workflow_id: str | None,
) -> bool:
    """Write the intent of a call; False when one with the same mode, connection, method and key is there."""
    done = connection.execute(
        """
        insert into connector_call (id, connection, capability, method, key, mode, account_id, trace_key, request,
                                    status, workflow_id)
        values (%s, %s, %s, %s, %s, %s, %s, %s, %s, 'intent', %s)
        on conflict (mode, connection, method, key) do nothing
        """,
        (
            call_id,
            to,
            method.partition(".")[0],
            method,
            key,
            mode,
            account_id,
            trace_key,
            Jsonb(request),
            workflow_id,
        ),
    )
    return done.rowcount == 1


def find_call(connection: PgConnection, *, mode: str, to: str, method: str, key: str) -> CallRow | None:
    """The call of a key."""
    row = connection.execute(
        f"select {COLUMNS} from connector_call"
        " where mode = %s and connection = %s and method = %s and key = %s".encode(),
        (mode, to, method, key),
    ).fetchone()
    return CallRow(*row) if row else None


def calls_of_key(connection: PgConnection, mode: str, method: str, key: str) -> list[CallRow]:
    """The calls of a key, at whatever connection."""
    rows = connection.execute(
        f"select {COLUMNS} from connector_call where mode = %s and method = %s and key = %s order by id".encode(),
        (mode, method, key),
    )
    return [CallRow(*row) for row in rows]


def read_call(connection: PgConnection, call_id: str, *, lock: bool = False) -> CallRow:
    """The call. Raises NoSuchCall."""
    row = connection.execute(
        f"select {COLUMNS} from connector_call where id = %s {'for update' if lock else ''}".encode(),
        (call_id,),
    ).fetchone()
    if row is None:
        raise NoSuchCall(f"there is no call {call_id}")
    return CallRow(*row)


def change_call(connection: PgConnection, call_id: str, changes: Mapping[str, Any]) -> None:
    """Set columns of a locked row by name; `request` and `answer` are JSON."""
    given = {
        name: Jsonb(value) if name in ("request", "answer") and value is not None else value
        for name, value in changes.items()
    }
    names = ", ".join(f"{name} = %({name})s" for name in given)
    connection.execute(
        f"update connector_call set {names} where id = %(id)s".encode(), {**given, "id": call_id}
    )


def older_parked(connection: PgConnection, call: CallRow) -> list[str]:
    """Parked calls of the same connection about the same thing that are older than `call`, locked in id order."""
    if call.trace_key is None:
        return []
    rows = connection.execute(
        """
        select id::text from connector_call
        where connection = %s and mode = %s and status = 'parked' and trace_key = %s and created_at < %s
        order by id for update
        """,
        (call.connection, call.mode, call.trace_key, call.created_at),
    )
    return [row[0] for row in rows]


def has_newer(connection: PgConnection, call: CallRow) -> bool:
    """Whether a later call of the same method tells of the same thing and was not given up."""
    # With an account its index serves this; what belongs to none, as products, is little.
    owner = "account_id = %s" if call.account_id else "account_id is null and %s::text is null"
    row = connection.execute(
        f"""
        select exists (
            select from connector_call
            where mode = %s and connection = %s and method = %s and trace_key = %s and created_at > %s
              and {owner}
              and status in ('intent', 'sent', 'unknown', 'parked', 'succeeded'))
        """.encode(),
        (
            call.mode,
            call.connection,
            call.method,
            call.trace_key,
            call.created_at,
            call.account_id,
        ),
    ).fetchone()
    return bool(row and row[0])


# A call whose process is another's is followed by that one.
_UNATTENDED = """
    id > %(after)s and created_at < clock_timestamp() - %(idle)s
    and (last_sent_at is null or last_sent_at < clock_timestamp() - %(idle)s)
    and (workflow_id is null or workflow_id = 'call/' || connection || '/' || method || '/' || key)
"""


def unattended_calls(
    connection: PgConnection, *, intents: bool, after: str, idle: timedelta, limit: int
) -> list[CallRow]:
    """Calls behind the id `after`, in its order, that nobody touched for `idle` and no other workflow waits for: those
    that are intents, or those on their way or in doubt. Ids are in order of time."""
    # Few calls are in the partial index of the second; the first are found along the primary key.
    status = "status = 'intent'" if intents else "status in ('sent', 'unknown')"
    rows = connection.execute(
        f"select {COLUMNS} from connector_call where {status} and {_UNATTENDED} order by id limit %(limit)s".encode(),
        {"after": after, "idle": idle, "limit": limit},
    )
    return [CallRow(*row) for row in rows]
