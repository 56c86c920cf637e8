"""The event log: appending, reading by a cursor that misses nothing, and how far readers are behind.

An id is taken before its transaction commits, so the order of ids is not the order in which events can be seen,
and a cursor on the id alone skips what commits late. Readers therefore go by (epoch, xid, id) and stop before the
oldest transaction that is still running anywhere on the server. A restore begins transaction ids anew and raises the
epoch, which is the default of `event_log.epoch`; rows of an older epoch come first and are all final.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import LiteralString, NamedTuple

from storage.copying import copy_rows, field
from storage.database import PgConnection
from storage.round_trip import RoundTrip, TakesStatements

LAG_COUNTED_UP_TO = 100_000
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
    """Wanted events in order; `upto` is where the reader stands after them and whatever it passed over, and `more`
    whether the next batch may be read at once."""

    events: list[Event]
    upto: Cursor
    more: bool


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
    only: LiteralString = "true",
) -> Batch:
    """Up to `limit` events behind `after`, only those of `kinds` and not of `but` (LIKE patterns) for which `only`
    holds, a condition in SQL on a row of `event_log`. A reader that wants few passes over all the others at once.
    `upto` is `after` where there is nothing to read yet."""
    epoch = current_epoch(connection)
    at = after
    while True:
        batch = _read_epoch(connection, at, limit, _Wanted(kinds, but, only), final=at.epoch < epoch)
        if batch.upto != at or at.epoch >= epoch:
            return batch if batch.upto != at else Batch([], after, more=False)
        at = Cursor(at.epoch + 1, 0, 0)


class _Wanted(NamedTuple):
    kinds: Sequence[str]
    but: Sequence[str]
    only: LiteralString

    @property
    def condition(self) -> LiteralString:
        if not self.kinds:
            return "false"
        conditions: list[LiteralString] = [self.only]
        if "%" not in self.kinds:
            conditions.append("kind like any(%(kinds)s)")
        if self.but:
            conditions.append("not kind like any(%(but)s)")
        return " and ".join(conditions)


def _read_epoch(
    connection: PgConnection, after: Cursor, limit: int, wanted: _Wanted, *, final: bool
) -> Batch:
    # The newest event that can be read now is the end of a walk along the index, which is without a sort: a CASE lets
    # the planner expect that many are wanted, also where it has no statistics yet.
    horizon: LiteralString = "" if final else "and xid < pg_snapshot_xmin(pg_current_snapshot())"
    behind: LiteralString = (
        f"(xid, id) > (%(xid)s::text::xid8, %(id)s) {horizon}"
        " and case when epoch = %(epoch)s then true else false end"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            with newest as (select xid, id from event_log where {behind} order by xid desc, id desc limit 1)
            select n.xid::text::bigint, n.id, e.*
            from newest n left join lateral (
                select xid::text::bigint, id, kind, account_id::text, subject_id::text, version from event_log
                where {behind} and case when {wanted.condition} then true else false end
                order by event_log.xid, event_log.id limit %(limit)s) e on true
            order by e.xid, e.id
            """.encode(),
            {
                "xid": after.xid,
                "id": after.id,
                "epoch": after.epoch,
                "limit": limit,
                "kinds": list(wanted.kinds),
                "but": list(wanted.but),
            },
        )
        rows = cursor.fetchall()
    if not rows:
        return Batch([], after, more=False)
    events = [Event(Cursor(after.epoch, *row[2:4]), *row[4:]) for row in rows if row[3] is not None]
    if len(events) == limit:
        return Batch(events, events[-1].at, more=True)
    return Batch(events, Cursor(after.epoch, *rows[0][:2]), more=final)


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
