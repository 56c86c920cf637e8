"""From the event log to messages: a reader with its own cursor makes, for each event, one message to each endpoint
that wants it, in the transaction that moves the cursor. The endpoints' workflows are asked for in one of its own."""

from __future__ import annotations

from typing import NamedTuple

from uuid_utils import uuid7

from operations.webhooks_out.kinds import like_patterns, wants
from storage.copying import id_array
from storage.database import PgConnection
from storage.events import Event, move_cursor, read_batch, read_cursor
from storage.webhook_messages import NewMessage, insert_messages
from storage.webhooks_out import Subscriber, call_endpoints, subscribers

CURSOR = "webhooks-out"
EVENTS_AT_ONCE = 1_000


class FannedOut(NamedTuple):
    """What one batch came to: whether the reader went on (else there is nothing to read yet), whether more may be read
    at once, and how many messages were made."""

    moved: bool
    more: bool
    messages: int


def fan_out(connection: PgConnection, *, limit: int = EVENTS_AT_ONCE) -> FannedOut:
    """Make the messages of the next events. `connection` must be in autocommit: the transaction is this function's.

    One snapshot for all that is read: an endpoint that was there before an event is then seen with it. Raises
    psycopg's SerializationFailure when another reader moved the cursor meanwhile; nothing is written then.

    The endpoints are called afterwards, outside of the snapshot: deliveries write how they fare into the same rows all
    the time, which would undo the batch for everybody. After a crash between the two `neglected_endpoints` finds
    whoever was not called, by the messages that wait.
    """
    done, endpoints = _fan_out(connection, limit)
    if endpoints:
        call_endpoints(connection, endpoints)
    return done


def _fan_out(connection: PgConnection, limit: int) -> tuple[FannedOut, set[str]]:
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        listening = subscribers(connection)
        seen = read_cursor(connection, CURSOR)
        kinds = like_patterns({kind for each in listening for kind in each.kinds})
        batch = read_batch(connection, seen, limit=limit, kinds=kinds)
        if batch.upto == seen:
            return FannedOut(moved=False, more=False, messages=0), set()
        messages = _messages(connection, listening, batch.events)
        made = insert_messages(connection, messages) if messages else 0
        move_cursor(connection, CURSOR, seen, batch.upto)
        return FannedOut(True, batch.more, made), {each.endpoint_id for each in messages} if made else set()


def _messages(connection: PgConnection, listening: list[Subscriber], events: list[Event]) -> list[NewMessage]:
    # Few kinds and many events: who wants a kind is asked once.
    wanting = {
        kind: [each for each in listening if wants(each.kinds, kind)]
        for kind in {event.kind for event in events}
    }
    in_test_mode = _in_test_mode(connection, events)
    return [
        NewMessage(str(uuid7()), subscriber.id, event)
        for event in events
        for subscriber in wanting[event.kind]
        if event.at >= subscriber.begins
        and subscriber.mode == ("test" if (event.account_id or event.subject_id) in in_test_mode else "live")
    ]


# Whose mode an event without an account has, by the first word of its kind.
_SUBJECTS = {
    "checkout": "select id::text from checkout where id = any(%s::uuid[]) and mode = 'test'",
    "vendor": "select id::text from vendor_fact where id = any(%s::uuid[]) and mode = 'test'",
    "webhook_endpoint": "select id::text from webhook_endpoint where id = any(%s::uuid[]) and mode = 'test'",
}
_ACCOUNTS = "select id::text from account where id = any(%s::uuid[]) and mode = 'test'"


def _in_test_mode(connection: PgConnection, events: list[Event]) -> set[str]:
    """Which accounts of these events are in test mode, and which subjects of those that have no account."""
    wanted = {_ACCOUNTS: {event.account_id for event in events if event.account_id}}
    for word, query in _SUBJECTS.items():
        of_kind = (each for each in events if each.account_id is None and each.kind.startswith(f"{word}."))
        wanted[query] = {event.subject_id for event in of_kind}
    return {
        found
        for query, ids in wanted.items()
        if ids
        for (found,) in connection.execute(query.encode(), (id_array(ids),))
    }
