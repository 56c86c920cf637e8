"""Where each flow of a connection stands in the event log, and what each record was last brought to."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from storage.database import PgConnection
from storage.events import Cursor, current_epoch
from storage.storable import storable

LIVE, BACKFILL, INBOUND = "live", "backfill", "inbound"
_LARGEST_ID = 2**63 - 1


class Lane(NamedTuple):
    """One reading of the log for one flow of one connection."""

    connection: str
    flow: str
    lane: str


class LaneRow(NamedTuple):
    """Where a lane stands. asked: when it was last asked to begin anew, by which a reader that began before knows.
    until: where a backfill ends, None when it has none or is done. doubts: how often in a row nobody knew whether a
    batch was applied."""

    cursor: Cursor
    inbound_cursor: str | None
    until: Cursor | None
    asked: datetime | None
    written: int
    unchanged: int
    parked: int
    trouble: str | None
    doubts: int = 0


class SyncedRow(NamedTuple):
    """What a record was last brought to. payload: what a person wants sent instead, once."""

    fingerprint: bytes | None
    vendor_id: str | None
    due_at: datetime | None
    tries: int
    payload: Any


class SyncedChange(NamedTuple):
    """What is now known of a record. fingerprint None keeps what is stored; due_at None takes a date away."""

    subject: str
    account_id: str | None
    fingerprint: bytes | None
    version: int
    vendor_id: str | None
    due_in_seconds: float | None
    tries: int


def hold(session: PgConnection, connection: str) -> bool:
    """Be the only one that keeps `connection` in step, for as long as the session lives: a worker that was thought
    dead could else write an older state after a newer one. False while another does."""
    row = session.execute(
        "select pg_try_advisory_lock(hashtextextended(%s, 0))", (f"masthead:sync:{connection}",)
    ).fetchone()
    return row is not None and bool(row[0])


def end_of_log(connection: PgConnection) -> Cursor:
    """A cursor behind everything that is final, and before everything else."""
    row = connection.execute("select pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1").fetchone()
    if row is None:
        raise RuntimeError("the server does not tell its oldest transaction")
    return Cursor(current_epoch(connection), int(row[0]), _LARGEST_ID)


def open_lanes(connection: PgConnection, name: str, flow: str, *, history: bool) -> None:
    """Make the lanes of a flow that has none yet: the live one begins now, and with `history` a backfill tells what
    was before, behind it in priority."""
    with connection.transaction():
        end = end_of_log(connection)
        made = _insert_lane(connection, Lane(name, flow, LIVE), end)
        if made and history:
            _insert_lane(connection, Lane(name, flow, BACKFILL), Cursor(0, 0, 0), until=end)


def open_inbound_lane(connection: PgConnection, name: str, flow: str) -> None:
    """Make the lane of an inbound flow, with nothing read yet."""
    _insert_lane(connection, Lane(name, flow, INBOUND), Cursor(0, 0, 0))


def _insert_lane(connection: PgConnection, lane: Lane, at: Cursor, until: Cursor | None = None) -> bool:
    done = connection.execute(
        "insert into sync_lane (connection, flow, lane, epoch, xid, event_id, state)"
        " values (%s, %s, %s, %s, %s::text::xid8, %s, %s) on conflict do nothing",
        (*lane, *at, Jsonb({"until": list(until)}) if until else None),
    )
    return done.rowcount == 1


def read_lane(connection: PgConnection, lane: Lane) -> LaneRow | None:
    """Where the lane stands; None when there is no such lane."""
    row = connection.execute(
        "select epoch, xid::text::bigint, event_id, inbound_cursor, state, requested_reset_at, written, unchanged,"
        " parked from sync_lane where (connection, flow, lane) = (%s, %s, %s)",
        lane,
    ).fetchone()
    if row is None:
        return None
    state = row[4] or {}
    until = Cursor(*state["until"]) if state.get("until") else None
    written, unchanged, parked = row[6:]
    trouble = state.get("trouble")
    doubts = int(state.get("doubts") or 0)
    return LaneRow(Cursor(*row[:3]), row[3], until, row[5], written, unchanged, parked, trouble, doubts)


def move_lane(
    connection: PgConnection,
    lane: Lane,
    seen: LaneRow,
    to: Cursor,
    *,
    inbound_cursor: str | None = None,
    ends: bool = False,
) -> bool:
    """Move the lane from where it was `seen`, in the transaction of what came of the events in between. False, and
    nothing is moved, when it no longer stands there or was asked to begin anew. ends: a backfill is done."""
    done = connection.execute(
        """
        update sync_lane set epoch = %s, xid = %s::text::xid8, event_id = %s, inbound_cursor = %s, moved_at = now(),
               state = case when %s then coalesce(state, '{}') - 'until' else state end
        where (connection, flow, lane) = (%s, %s, %s)
          and (epoch, xid, event_id) = (%s, %s::text::xid8, %s) and inbound_cursor is not distinct from %s
          and requested_reset_at is not distinct from %s
        """,
        (*to, inbound_cursor, ends, *lane, *seen.cursor, seen.inbound_cursor, seen.asked),
    )
    return done.rowcount == 1


def count_lane(connection: PgConnection, lane: Lane, *, written: int, unchanged: int, parked: int) -> None:
    """Add to what came of the lane's records."""
    connection.execute(
        "update sync_lane set written = written + %s, unchanged = unchanged + %s, parked = parked + %s"
        " where (connection, flow, lane) = (%s, %s, %s)",
        (written, unchanged, parked, *lane),
    )


def note_trouble(connection: PgConnection, lane: Lane, trouble: str | None) -> None:
    """Why the lane sends nothing, for those who look; None when it goes on."""
    trouble = storable(trouble)
    connection.execute(
        "update sync_lane set state = coalesce(state, '{}') - 'trouble' || %s where (connection, flow, lane) ="
        " (%s, %s, %s) and coalesce(state->>'trouble', '') <> %s",
        (Jsonb({"trouble": trouble} if trouble else {}), *lane, trouble or ""),
    )


def rest_left(connection: PgConnection, lane: Lane) -> float:
    """The seconds until the lane shall be asked for again; 0 when it may be asked for now."""
    row = connection.execute(
        "select greatest(0, (state->>'ask_at')::float8 - extract(epoch from clock_timestamp())::float8) from sync_lane"
        " where (connection, flow, lane) = (%s, %s, %s)",
        lane,
    ).fetchone()
    return float(row[0] or 0) if row else 0.0


def note_rest(connection: PgConnection, lane: Lane, seconds: float) -> None:
    """Ask for the lane again after so long, whoever does."""
    connection.execute(
        "update sync_lane set state = coalesce(state, '{}') || jsonb_build_object('ask_at',"
        " extract(epoch from clock_timestamp())::float8 + %s::float8) where (connection, flow, lane) = (%s, %s, %s)",
        (seconds, *lane),
    )


def note_doubts(connection: PgConnection, lane: Lane, times: int) -> None:
    """How often in a row nobody knew whether a batch of the lane was applied."""
    connection.execute(
        "update sync_lane set state = coalesce(state, '{}') || %s where (connection, flow, lane) = (%s, %s, %s)",
        (Jsonb({"doubts": times}), *lane),
    )


def restart_lane(connection: PgConnection, lane: Lane, *, until: Cursor | None = None) -> None:
    """Let the lane read the whole log anew (`until`: up to there), whatever is being read of it now."""
    connection.execute(
        """
        insert into sync_lane (connection, flow, lane, state, requested_reset_at)
        values (%s, %s, %s, %s, clock_timestamp())
        on conflict (connection, flow, lane) do update
        set epoch = 0, xid = '0'::xid8, event_id = 0, inbound_cursor = null, moved_at = now(),
            state = excluded.state, requested_reset_at = excluded.requested_reset_at
        """,
        (*lane, Jsonb({"until": list(until)} if until else {})),
    )


def forget_written(connection: PgConnection, name: str, flow: str) -> int:
    """Let every record of a flow be written again when it is next looked at. Answers how many there are."""
    return connection.execute(
        "update synced_record set fingerprint = null where connection = %s and flow = %s", (name, flow)
    ).rowcount


def synced(connection: PgConnection, lane: Lane, subjects: Collection[str]) -> dict[str, SyncedRow]:
    """What the subjects' records were last brought to, by subject; those never written are missing."""
    rows = connection.execute(
        "select subject, fingerprint, vendor_id, due_at, tries, payload from synced_record"
        " where connection = %s and flow = %s and subject = any(%s)",
        (lane.connection, lane.flow, list(subjects)),
    )
    return {row[0]: SyncedRow(*row[1:]) for row in rows}


def due_subjects(connection: PgConnection, lane: Lane, limit: int) -> list[str]:
    """The subjects of the flow that are to be looked at again by now, the longest due first."""
    rows = connection.execute(
        "select subject from synced_record where connection = %s and flow = %s and due_at <= clock_timestamp()"
        " order by due_at limit %s",
        (lane.connection, lane.flow, limit),
    )
    return [row[0] for row in rows]


def make_due(connection: PgConnection, name: str, flow: str, subject: str, payload: Any = None) -> None:
    """Look at the record at once, written before or not; with `payload`, send that instead of what the map makes."""
    connection.execute(
        """
        insert into synced_record (connection, flow, subject, due_at, payload)
        values (%s, %s, %s, clock_timestamp(), %s)
        on conflict (connection, flow, subject) do update
        set due_at = excluded.due_at, fingerprint = null, tries = 0, payload = excluded.payload
        """,
        (name, flow, subject, None if payload is None else Jsonb(payload)),
    )


def record_synced(connection: PgConnection, lane: Lane, changes: Iterable[SyncedChange]) -> None:
    """Write down what the records were brought to, in the order of their subjects."""
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into synced_record (connection, flow, subject, account_id, fingerprint, version, vendor_id,
                                       synced_at, due_at, tries)
            values (%(connection)s, %(flow)s, %(subject)s, %(account_id)s, %(fingerprint)s, %(version)s, %(vendor_id)s,
                    case when %(fingerprint)s::bytea is not null then now() end,
                    clock_timestamp() + make_interval(secs => %(due)s::float8), %(tries)s)
            on conflict (connection, flow, subject) do update
            set fingerprint = coalesce(excluded.fingerprint, synced_record.fingerprint),
                account_id = coalesce(excluded.account_id, synced_record.account_id),
                version = excluded.version, vendor_id = coalesce(excluded.vendor_id, synced_record.vendor_id),
                synced_at = coalesce(excluded.synced_at, synced_record.synced_at),
                due_at = excluded.due_at, tries = excluded.tries,
                payload = case when excluded.due_at is not null then synced_record.payload end
            """,
            [
                {
                    **change._asdict(),
                    "vendor_id": storable(change.vendor_id),
                    "due": change.due_in_seconds,
                    "connection": lane.connection,
                    "flow": lane.flow,
                }
                for change in sorted(changes, key=lambda change: change.subject)
            ],
        )


def subject_of(connection: PgConnection, name: str, flows: Sequence[str], vendor_id: str) -> str | None:
    """Whose record the other system calls `vendor_id`, by what it answered when it was written."""
    row = connection.execute(
        "select subject from synced_record where connection = %s and flow = any(%s) and vendor_id = %s limit 1",
        (name, list(flows), storable(vendor_id)),
    ).fetchone()
    return row[0] if row else None


def resolve_parks(connection: PgConnection, mode: str, trace_keys: Collection[str], resolution: str) -> int:
    """Close what is parked of these trace keys: something newer went through."""
    if not trace_keys:
        return 0
    return connection.execute(
        "update parked set resolved_at = now(), resolution = %s where mode = %s and kind = 'sync'"
        " and resolved_at is null and trace_key = any(%s)",
        (resolution, mode, list(trace_keys)),
    ).rowcount


def events_behind(connection: PgConnection, after: Cursor, kinds: Sequence[str], limit: int) -> int:
    """How many of the next `limit` events behind `after` are of `kinds` (LIKE patterns), readable or not."""
    row = connection.execute(
        """
        select count(*) from (
            select kind from event_log
            where (xid, id) > (%(xid)s::text::xid8, %(id)s) and epoch = %(epoch)s or epoch > %(epoch)s
            order by xid, id limit %(limit)s) ahead
        where kind like any(%(kinds)s)
        """,
        {"epoch": after.epoch, "xid": after.xid, "id": after.id, "kinds": list(kinds), "limit": limit},
    ).fetchone()
    return int(row[0]) if row else 0


def settle_due(
    connection: PgConnection, lane: Lane, subjects: Collection[str], in_seconds: float | None
) -> None:
    """Look at the records again after so long; None: not before something new is told of them."""
    if subjects:
        connection.execute(
            "update synced_record set due_at = clock_timestamp() + make_interval(secs => %s::float8)"
            " where connection = %s and flow = %s and subject = any(%s)",
            (in_seconds, lane.connection, lane.flow, sorted(subjects)),
        )
