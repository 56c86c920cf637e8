"""What is known about connections beside their configuration: that they are there, how they are, who must act."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from psycopg.types.json import Jsonb

from storage.database import PgConnection


class ConnectionRow(NamedTuple):
    """A connection as configured. fingerprint: of its configuration, secrets as references."""

    name: str
    connector: str
    mode: str
    enabled: bool
    fingerprint: str


class ConnectionState(NamedTuple):
    """A connection as last seen. needs_authorisation: why a person has to authorise it anew. healthy and detail: what
    the last look found, None when there was none."""

    name: str
    connector: str
    mode: str
    enabled: bool
    fingerprint: str
    needs_authorisation: str | None
    first_seen_at: datetime
    last_seen_at: datetime
    healthy: bool | None
    detail: str | None
    last_health_at: datetime | None


def note_connections(connection: PgConnection, rows: Iterable[ConnectionRow]) -> None:
    """Note the connections that a process starts with.

    One that now is another connector's or of another mode loses its token and its budget, which belong to another
    account. One whose configuration has changed is tried again where it was marked: a person has seen to it.
    """
    with connection.cursor() as cursor:
        for row in sorted(
            rows
        ):  # in one order, so that processes that start together do not wait for each other
            cursor.execute(
                "select connector, mode, config_fingerprint from connection where name = %s for update",
                (row.name,),
            )
            before = cursor.fetchone()
            if before is not None and before[:2] != (row.connector, row.mode):
                cursor.execute("delete from connection_token where connection = %s", (row.name,))
                cursor.execute("delete from rate_bucket where connection = %s", (row.name,))
            changed = before is not None and before != (row.connector, row.mode, row.fingerprint)
            if changed:
                cursor.execute(
                    "update connection_token set marked_reason = null where connection = %s", (row.name,)
                )
            cursor.execute(
                """
                insert into connection (name, connector, mode, enabled, config_fingerprint)
                values (%s, %s, %s, %s, %s)
                on conflict (name) do update
                set connector = excluded.connector, mode = excluded.mode, enabled = excluded.enabled,
                    config_fingerprint = excluded.config_fingerprint, last_seen_at = now(),
                    needs_authorisation = case when %s then null else connection.needs_authorisation end
                """,
                (*row, changed),
            )


def connection_states(connection: PgConnection) -> list[ConnectionState]:
    """Every connection that was ever seen, by name."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select name, connector, mode, enabled, config_fingerprint, needs_authorisation, first_seen_at, last_seen_at,
                   (last_health->>'ok')::boolean, last_health->>'detail', last_health_at
            from connection order by name
            """
        )
        return [ConnectionState(*row) for row in cursor]


def note_health(connection: PgConnection, name: str, *, healthy: bool, detail: str) -> None:
    """What a look at the connection found. A healthy one takes our credentials, so that a mark is over, unless its
    token is marked."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            update connection
            set last_health = %(health)s, last_health_at = now(),
                needs_authorisation = case when %(healthy)s and not exists (
                    select from connection_token where connection = %(name)s and marked_reason is not null)
                    then null else needs_authorisation end
            where name = %(name)s
            """,
            {"health": Jsonb({"ok": healthy, "detail": detail}), "healthy": healthy, "name": name},
        )


def note_refused(connection: PgConnection, name: str, reason: str) -> None:
    """The connection's credentials are refused: `doctor` says so until a look finds it healthy again."""
    with connection.cursor() as cursor:
        cursor.execute("update connection set needs_authorisation = %s where name = %s", (reason, name))
