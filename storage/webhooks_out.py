"""Subscribers' webhook endpoints in the database. Messages to them are in storage.webhook_messages."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from storage.copying import id_array
from storage.database import PgConnection
from storage.events import Cursor, current_epoch


class Endpoint(NamedTuple):
    """An endpoint as it may be shown. `waiting` counts its messages that wait to be sent, up to 1,000."""

    id: str
    mode: str
    url: str
    kinds: list[str]
    description: str
    status: str
    disabled_reason: str | None
    previous_secret_until: datetime | None
    failures: int
    failing_since: datetime | None
    held_until: datetime | None
    version: int
    created_at: datetime
    waiting: int


class Destination(NamedTuple):
    """Where to send, and how the endpoint has fared. The secrets are encrypted; neither is ever shown."""

    mode: str
    url: str
    status: str
    secret: bytes
    previous_secret: bytes | None
    previous_secret_until: datetime | None
    failures: int
    failing_since: datetime | None
    held_until: datetime | None
    version: int

    def __repr__(self) -> str:
        return f"Destination(status={self.status!r}, failures={self.failures})"


class Subscriber(NamedTuple):
    """An endpoint that events are for, and where in the log it begins."""

    id: str
    mode: str
    kinds: list[str]
    begins: Cursor


_SHOWN = """
    select e.id::text, e.mode, e.url, e.kinds, e.description, e.status, e.disabled_reason, e.previous_secret_until,
           e.failures, e.failing_since, e.held_until, e.version, e.created_at,
           (select count(*) from (select from webhook_message m where m.endpoint_id = e.id and m.status = 'pending'
                                  limit 1000) waiting)
    from webhook_endpoint e where e.status <> 'deleted'
"""


def list_endpoints(
    connection: PgConnection,
    *,
    mode: str | None = None,
    after: str | None = None,
    limit: int | None = None,
) -> list[Endpoint]:
    """Endpoints of `mode` (None: of every one), oldest first, behind the one with the id `after`; up to `limit` of
    them."""
    rows = connection.execute(
        f"{_SHOWN} and (%(mode)s::text is null or e.mode = %(mode)s)"
        " and (%(after)s::uuid is null or e.id > %(after)s::uuid) order by e.id limit %(limit)s".encode(),
        {"mode": mode, "after": after, "limit": limit},
    )
    return [Endpoint(*row) for row in rows]


def find_endpoint(connection: PgConnection, endpoint_id: str) -> Endpoint | None:
    """The endpoint with this id, unless it was deleted."""
    row = connection.execute(f"{_SHOWN} and e.id = %s".encode(), (endpoint_id,)).fetchone()
    return Endpoint(*row) if row else None


def endpoint_at(connection: PgConnection, mode: str, url: str) -> str | None:
    """The id of the endpoint at `url`."""
    row = connection.execute(
        "select id::text from webhook_endpoint where mode = %s and url = %s and status <> 'deleted'",
        (mode, url),
    ).fetchone()
    return row[0] if row else None


def insert_endpoint(
    connection: PgConnection,
    endpoint_id: str,
    *,
    mode: str,
    url: str,
    kinds: Sequence[str],
    description: str,
    secret: bytes,
) -> bool:
    """Insert an endpoint; False when there is one at this URL. Events of transactions that run now are for it, and so
    may be a few that ended shortly before."""
    with connection.cursor() as cursor:
        cursor.execute(
            "insert into webhook_endpoint (id, mode, url, kinds, description, secret, from_epoch, from_xid)"
            " values (%s, %s, %s, %s, %s, %s, %s, pg_snapshot_xmin(pg_current_snapshot()))"
            " on conflict (mode, url) where status <> 'deleted' do nothing",
            (endpoint_id, mode, url, list(kinds), description, secret, current_epoch(connection)),
        )
        return cursor.rowcount == 1


def lock_destination(connection: PgConnection, endpoint_id: str) -> Destination | None:
    """The endpoint, locked until the transaction ends."""
    return _destination(connection, endpoint_id, b" for update")


def read_destination(connection: PgConnection, endpoint_id: str) -> Destination | None:
    """The endpoint; also a deleted one."""
    return _destination(connection, endpoint_id, b"")


def _destination(connection: PgConnection, endpoint_id: str, lock: bytes) -> Destination | None:
    row = connection.execute(
        b"select mode, url, status, secret, previous_secret, previous_secret_until, failures, failing_since,"
        b" held_until, version from webhook_endpoint where id = %s" + lock,
        (endpoint_id,),
    ).fetchone()
    return Destination(*row) if row else None


def change_endpoint(connection: PgConnection, endpoint_id: str, columns: dict[str, Any]) -> int:
    """Set `columns` (names from our code, never from outside), raise the version and call the endpoint's workflow.
    Answers the new version."""
    assignments = "".join(f"{name} = %({name})s, " for name in columns)
    row = connection.execute(
        f"update webhook_endpoint set {assignments} version = version + 1, calls = calls + 1"
        " where id = %(endpoint_id)s returning version".encode(),
        {**columns, "endpoint_id": endpoint_id},
    ).fetchone()
    if row is None:
        raise LookupError(f"there is no webhook endpoint {endpoint_id}")
    return int(row[0])


def begin_anew(connection: PgConnection, endpoint_id: str) -> None:
    """Let the endpoint's events begin with those of transactions that run now."""
    connection.execute(
        "update webhook_endpoint set from_epoch = %s, from_xid = pg_snapshot_xmin(pg_current_snapshot())"
        " where id = %s",
        (current_epoch(connection), endpoint_id),
    )


def record_health(
    connection: PgConnection,
    endpoint_id: str,
    failures: int,
    failing_since: datetime | None,
    held_until: datetime | None,
) -> None:
    """Write down how the endpoint fares."""
    connection.execute(
        "update webhook_endpoint set failures = %s, failing_since = %s, held_until = %s where id = %s"
        " and (failures, failing_since, held_until) is distinct from (%s, %s::timestamptz, %s::timestamptz)",
        (
            failures,
            failing_since,
            held_until,
            endpoint_id,
            *(failures, failing_since, held_until),
        ),
    )


def subscribers(connection: PgConnection) -> list[Subscriber]:
    """The endpoints that events are for."""
    rows = connection.execute(
        "select id::text, mode, kinds, from_epoch, from_xid::text::bigint from webhook_endpoint"
        " where status = 'enabled' order by id"
    )
    return [Subscriber(each, mode, kinds, Cursor(epoch, xid, 0)) for each, mode, kinds, epoch, xid in rows]


def call_endpoints(connection: PgConnection, endpoints: Collection[str]) -> None:
    """Ask for the workflows of `endpoints`, as part of what they are asked for."""
    connection.execute(
        "update webhook_endpoint set calls = calls + 1 where id = any(%s::uuid[])", (id_array(endpoints),)
    )


def called_endpoints(connection: PgConnection) -> list[tuple[str, int]]:
    """The endpoints whose workflow has been asked for and not yet called, with the number of the call."""
    return connection.execute(
        "select id::text, calls from webhook_endpoint where calls <> calls_answered order by id"
    ).fetchall()


def calls_answered(connection: PgConnection, answered: Sequence[tuple[str, int]]) -> None:
    """The workflows have been called; one that was asked for again meanwhile stays to be called."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "update webhook_endpoint set calls_answered = %s where id = %s and calls_answered < %s",
            [(call, endpoint, call) for endpoint, call in answered],
        )


def neglected_endpoints(connection: PgConnection, before: datetime) -> list[str]:
    """Endpoints that are not held back and have a message that should have been sent before `before`: somebody ended
    their workflow, or it is behind."""
    rows = connection.execute(
        "select e.id::text from webhook_endpoint e where (e.held_until is null or e.held_until < %s)"
        " and exists (select from webhook_message m where m.endpoint_id = e.id and m.status = 'pending'"
        " and m.next_attempt_at < %s) order by e.id",
        (before, before),
    )
    return [each for (each,) in rows]
