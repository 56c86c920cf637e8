"""Messages to subscribers' webhook endpoints in the database: what waits, what came of it, and each attempt."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from storage.copying import id_array
from storage.database import PgConnection
from storage.events import Event

FAILED_AT_ONCE = 5_000


class NewMessage(NamedTuple):
    """A message to insert: an event, for an endpoint."""

    id: str
    endpoint_id: str
    event: Event


class DueMessage(NamedTuple):
    """A message that is to be sent. `attempts` are all so far, `tries` those since its schedule began."""

    id: str
    event_at: datetime
    kind: str
    account_id: str | None
    subject_id: str
    event_version: int
    attempts: int
    tries: int


class AttemptRow(NamedTuple):
    """What came of one attempt: for the log, and for the message's row (`ended` with a status of 'delivered' or
    'failed', else the next attempt's instant). `attempts` is what the message had before."""

    message_id: str
    attempts: int
    at: datetime
    status: int | None
    milliseconds: int
    error_kind: str | None
    response: str | None
    becomes: str
    next_attempt_at: datetime | None


def insert_messages(connection: PgConnection, messages: Sequence[NewMessage]) -> int:
    """Insert those that are new; answers how many. An endpoint gets one message for an event, whatever happens."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            insert into webhook_message (id, endpoint_id, event_epoch, event_xid, event_id, event_at, kind, account_id,
                                         subject_id, event_version, next_attempt_at)
            select n.id, n.endpoint_id, e.epoch, e.xid, e.id, e.at, e.kind, e.account_id, e.subject_id, e.version, now()
            from unnest(%s::uuid[], %s::uuid[], %s::smallint[], %s::text[], %s::bigint[])
                 as n (id, endpoint_id, epoch, xid, event_id)
            join event_log e on e.xid = n.xid::xid8 and e.id = n.event_id and e.epoch = n.epoch
            on conflict (endpoint_id, event_epoch, event_xid, event_id) do nothing
            """,
            (
                id_array(each.id for each in messages),
                id_array(each.endpoint_id for each in messages),
                [each.event.at.epoch for each in messages],
                [str(each.event.at.xid) for each in messages],
                [each.event.at.id for each in messages],
            ),
        )
        return cursor.rowcount


def due_messages(connection: PgConnection, endpoint_id: str, now: datetime, limit: int) -> list[DueMessage]:
    """Up to `limit` messages of the endpoint that are due at `now`, those due first before the others."""
    rows = connection.execute(
        "select id::text, event_at, kind, account_id::text, subject_id::text, event_version, attempts, tries"
        " from webhook_message where endpoint_id = %s and status = 'pending' and next_attempt_at <= %s"
        " order by next_attempt_at, id limit %s",
        (endpoint_id, now, limit),
    )
    return [DueMessage(*row) for row in rows]


def next_due(connection: PgConnection, endpoint_id: str) -> datetime | None:
    """When the endpoint's next message is due; None when none waits."""
    row = connection.execute(
        "select next_attempt_at from webhook_message where endpoint_id = %s and status = 'pending'"
        " order by next_attempt_at limit 1",
        (endpoint_id,),
    ).fetchone()
    return row[0] if row else None


def record_attempts(connection: PgConnection, attempts: Sequence[AttemptRow]) -> list[str]:
    """Write the attempts down, and into the rows of those messages that nobody else has moved meanwhile; answers the
    ids of these."""
    with connection.cursor() as cursor:
        cursor.executemany(
            "insert into webhook_attempt (message_id, no, at, status, milliseconds, error_kind, response)"
            " values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
            [
                (
                    each.message_id,
                    each.attempts + 1,
                    each.at,
                    each.status,
                    each.milliseconds,
                    each.error_kind,
                    each.response,
                )
                for each in attempts
            ],
        )
        cursor.execute(
            """
            update webhook_message m
            set status = a.becomes, attempts = m.attempts + 1, tries = m.tries + 1, error_kind = a.error_kind,
                next_attempt_at = a.next_attempt_at, ended_at = case when a.becomes <> 'pending' then a.at end
            from unnest(%s::uuid[], %s::int[], %s::timestamptz[], %s::text[], %s::text[], %s::timestamptz[])
                 as a (id, attempts, at, error_kind, becomes, next_attempt_at)
            where m.id = a.id and m.status = 'pending' and m.attempts = a.attempts
            returning m.id::text
            """,
            (
                id_array(each.message_id for each in attempts),
                [each.attempts for each in attempts],
                [each.at for each in attempts],
                [each.error_kind for each in attempts],
                [each.becomes for each in attempts],
                [each.next_attempt_at for each in attempts],
            ),
        )
        return [row[0] for row in cursor]


def fail_waiting(connection: PgConnection, endpoint_id: str, error_kind: str) -> int:
    """End up to `FAILED_AT_ONCE` messages that wait for the endpoint as failed; answers how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update webhook_message set status = 'failed', error_kind = %s, next_attempt_at = null, ended_at = now()"
            " where id in (select id from webhook_message where endpoint_id = %s and status = 'pending'"
            " order by next_attempt_at limit %s)",
            (error_kind, endpoint_id, FAILED_AT_ONCE),
        )
        return cursor.rowcount


def send_again(connection: PgConnection, endpoint_id: str, message_id: str) -> bool:
    """Let one message be sent from now on, whatever has become of it; False when the endpoint has none of this id."""
    with connection.cursor() as cursor:
        cursor.execute(
            "update webhook_message set status = 'pending', tries = 0, next_attempt_at = now(), ended_at = null,"
            " error_kind = null where id = %s and endpoint_id = %s",
            (message_id, endpoint_id),
        )
        return cursor.rowcount == 1


def send_failed_again(connection: PgConnection, endpoint_id: str, since: datetime, limit: int) -> list[str]:
    """Let up to `limit` failed messages about events since `since` be sent from now on; answers their ids."""
    rows = connection.execute(
        "update webhook_message set status = 'pending', tries = 0, next_attempt_at = now(), ended_at = null,"
        " error_kind = null where id in (select id from webhook_message where endpoint_id = %s"
        " and status = 'failed' and event_at >= %s order by id limit %s) returning id::text",
        (endpoint_id, since, limit),
    )
    return [each for (each,) in rows]


def list_messages(
    connection: PgConnection, endpoint_id: str, *, status: str | None, after: str | None, limit: int
) -> list[dict[str, Any]]:
    """The endpoint's messages, newest first, behind the one with id `after`, with their last ten attempts."""
    rows = connection.execute(
        """
        select jsonb_build_object('id', m.id, 'kind', m.kind, 'event_at', m.event_at, 'subject_id', m.subject_id,
            'account_id', m.account_id, 'status', m.status, 'attempts', m.attempts, 'error_kind', m.error_kind,
            'next_attempt_at', m.next_attempt_at, 'created_at', m.created_at, 'ended_at', m.ended_at, 'log', coalesce((
                select jsonb_agg(to_jsonb(a) - 'message_id' order by a.no) from (
                    select * from webhook_attempt where message_id = m.id order by no desc limit 10) a), '[]'))
        from webhook_message m
        where m.endpoint_id = %(endpoint)s and (%(status)s::text is null or m.status = %(status)s)
          and (%(after)s::uuid is null or m.id < %(after)s::uuid)
        order by m.id desc limit %(limit)s
        """,
        {"endpoint": endpoint_id, "status": status, "after": after, "limit": limit},
    )
    return [row for (row,) in rows]


def forget_messages(connection: PgConnection, ended_before: datetime, limit: int) -> int:
    """Remove up to `limit` messages that ended before `ended_before`, with their attempts, but not those that are
    parked; answers how many."""
    with connection.cursor() as cursor:
        cursor.execute(
            "delete from webhook_message where id in (select m.id from webhook_message m where m.ended_at < %s"
            " and not exists (select from parked p where p.kind = 'webhook_out' and p.trace_key = 'msg_' || m.id"
            " and p.resolved_at is null) order by m.ended_at limit %s)",
            (ended_before, limit),
        )
        return cursor.rowcount
