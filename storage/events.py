"""The event log: appending, reading by a cursor that misses nothing, and how far readers are behind.

An id is taken before its transaction commits, so the order of ids is not the order in which events can be seen,
and a cursor on the id alone skips what commits late. Readers therefore go by (epoch, xid, id) and stop before the
oldest transaction that is still running anywhere on the server. A restore begins transaction ids anew and raises the
epoch, which is the default of `event_log.epoch`; rows of an older epoch come first and are all final.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from storage.copying import copy_rows, field
from storage.database import PgConnection
from storage.round_trip import RoundTrip, TakesStatements

LAG_COUNTED_UP_TO = 100_000
WALKED_AT_ONCE = 10_000
FEW = 20  # so many are inserted by one statement, which may be in a round trip; COPY takes several turns


class NewEvent(NamedTuple):
    """An event to append: readers look up the rest by subject."""

    kind: str
    account_id: str | None
    subject_id: str
    version: int


class Cursor(NamedTuple):
    """The place of an event in the order of reading; as a reader's cursor, the last event that it is done with."""

    epoch: int
    xid: int
    id: int


START = Cursor(0, 0, 0)


class Event(NamedTuple):
    """An event as read."""

    at: Cursor
    kind: str
    account_id: str | None
    subject_id: str
    version: int


class Batch(NamedTuple):
    """Wanted events in order; `upto` is where the reader stands after them and after the `passed` rows in all."""

    events: list[Event]
    upto: Cursor
    passed: int


class ReaderLag(NamedTuple):
    """How long the oldest transaction that holds readers back has been running, in seconds (0: there is none), and
    how many events the slowest cursor has before it (counted up to `LAG_COUNTED_UP_TO`)."""

    oldest_transaction_seconds: float
    events_behind: int


def append_events(connection: TakesStatements, events: Iterable[NewEvent]) -> None:
    """Append events in the caller's transaction: they exist if, and only if, what they tell of does."""
    events = list(events)
    if not events:
        return
    if len(events) <= FEW or isinstance(connection, RoundTrip):
        for first in range(0, len(events), FEW):
            few = events[first : first + FEW]
            places = ", ".join(["(%s, %s, %s, %s)"] * len(few))
            connection.execute(
                f"insert into event_log (kind, account_id, subject_id, version) values {places}".encode(),
                [value for event in few for value in event],
            )
        return
    rows = ("\t".join(map(field, event)) for event in events)
    copy_rows(connection, "event_log", "kind, account_id, subject_id, version", rows)


def read_cursor(connection: PgConnection, name: str, *, lock: bool = False) -> Cursor:
    """Where the reader `name` stands; START when it has never moved. With `lock` a second reader of that name
    waits until this transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select epoch, xid::text::bigint, id from event_cursor where name = %s"
            + (" for update" if lock else ""),
            (name,),
        )
        row = cursor.fetchone()
    return Cursor(*row) if row else START


def move_cursor(connection: PgConnection, name: str, seen: Cursor, to: Cursor) -> bool:
    """Move the cursor `name` from `seen` to `to`, in the transaction of what the reader wrote, or after its effects.

    False, and nothing is moved, when it no longer stands at `seen`: another reader was faster, or it was reset.
    """
    with connection.cursor() as cursor:
        if seen == START:
            cursor.execute(
                "insert into event_cursor (name, epoch, xid, id) values (%s, %s, %s::text::xid8, %s)"
                " on conflict (name) do nothing",
                (name, *to),
            )
        else:
            cursor.execute(
                "update event_cursor set epoch = %s, xid = %s::text::xid8, id = %s, moved_at = now()"
                " where name = %s and (epoch, xid, id) = (%s, %s::text::xid8, %s)",
                (*to, name, *seen),
            )
        return cursor.rowcount == 1


def reset_cursor(connection: PgConnection, name: str) -> None:
    """Let the reader `name` begin anew."""
    with connection.cursor() as cursor:
        cursor.execute("delete from event_cursor where name = %s", (name,))


def current_epoch(connection: PgConnection) -> int:
    """The epoch that new events get."""
    with connection.cursor() as cursor:
        cursor.execute(
            "select pg_get_expr(d.adbin, d.adrelid)::smallint from pg_attrdef d"
            " join pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum"
            " where d.adrelid = 'event_log'::regclass and a.attname = 'epoch'"
        )
        row = cursor.fetchone()
    if row is None:
        raise RuntimeError("event_log.epoch has no default: run the migrations")
    return int(row[0])


def read_batch(
    connection: PgConnection,
    after: Cursor,
    *,
    limit: int = 500,
    kinds: Sequence[str] = ("%",),
    but: Sequence[str] = (),
) -> Batch:
    """Up to `limit` events after `after`, only those of `kinds` and not of `but` (LIKE patterns), found among the next
    `WALKED_AT_ONCE` rows: a reader that wants few moves its cursor past the many. `passed` is 0 when there is nothing
    to read yet."""
    epoch = current_epoch(connection)
    at = after
    while True:
        batch = _read_epoch(connection, at, limit, (kinds, but), final=at.epoch < epoch)
        if batch.passed or at.epoch >= epoch:
            return batch
        at = Cursor(at.epoch + 1, 0, 0)


def _read_epoch(
    connection: PgConnection,
    after: Cursor,
    limit: int,
    wanted: tuple[Sequence[str], Sequence[str]],
    *,
    final: bool,
) -> Batch:
    # One walk along the index, without a sort: it ends with the last event that is handed out.
    horizon = "" if final else "and xid < pg_snapshot_xmin(pg_current_snapshot())"
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            select xid::text::bigint, id, kind, account_id::text, subject_id::text, version, wanted, place
            from (select walked.*, row_number() over walk as place, lead(id) over walk is null as is_last,
                         kind like any(%(kinds)s) and not kind like any(%(but)s) as wanted
                  from (select xid, id, kind, account_id, subject_id, version from event_log
                        where (xid, id) > (%(xid)s::text::xid8, %(id)s) and epoch = %(epoch)s {horizon}
                        order by xid, id limit %(walked)s) walked
                  window walk as (order by xid, id)) placed
            where wanted or is_last
            order by xid, id limit %(limit)s
            """,
            {
                "xid": after.xid,
                "id": after.id,
                "epoch": after.epoch,
                "limit": limit,
                "walked": WALKED_AT_ONCE,
                "kinds": list(wanted[0]),
                "but": list(wanted[1]),
            },
        )
        rows = cursor.fetchall()
    if not rows:
        return Batch([], after, 0)
    events = [
        Event(Cursor(after.epoch, xid, no), kind, account_id, subject_id, version)
        for xid, no, kind, account_id, subject_id, version, is_wanted, _ in rows
        if is_wanted
    ]
    return Batch(events, Cursor(after.epoch, *rows[-1][:2]), rows[-1][7])


def reader_lag(connection: PgConnection) -> ReaderLag:
    """What holds readers back, and how far the slowest cursor is behind. Any transaction counts that has an id, in
    whatever database of the server, and prepared ones with it. Needs pg_read_all_stats to see those of other roles."""
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select coalesce(extract(epoch from max(clock_timestamp() - began)), 0)::float8 from (
                select xact_start as began from pg_stat_activity
                where backend_xid is not null and pid <> pg_backend_pid()
                union all select prepared from pg_prepared_xacts) running
            """
        )
        age = cursor.fetchone()
        cursor.execute(
            """
            with slowest as (select epoch, xid, id from event_cursor order by epoch, xid, id limit 1)
            select count(*) from (
                select from event_log e, slowest s
                where e.epoch > s.epoch or (e.epoch = s.epoch and (e.xid, e.id) > (s.xid, s.id))
                limit %s) ahead
            """,
            (LAG_COUNTED_UP_TO,),
        )
        behind = cursor.fetchone()
    return ReaderLag(float(age[0]) if age else 0.0, int(behind[0]) if behind else 0)
