"""Parked work: what could not go on, and is open until it is resolved."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb
from uuid_utils import uuid7

from storage.database import PgConnection
from storage.storable import storable

_NAMES = [
    "id",
    "kind",
    "account",
    "trace_key",
    "error_kind",
    "message",
    "remedy",
    "times",
    "opened_at",
    "last_seen_at",
    "bill_run_id",
    "mode",
    "connection",
    "method",
    "call_id",
    "error_code",
    "fields",
    "workflow_id",
    "next_retry_at",
]
_LISTED = """
    select p.id::text, p.kind, a.external_key, coalesce(c.trace_key, p.trace_key), p.error_kind, p.message, p.remedy,
           p.times, p.opened_at, p.last_seen_at, p.bill_run_id::text, p.mode, p.connection, p.method, p.call_id::text,
           p.error_code, p.fields, p.workflow_id, p.next_retry_at
    from parked p left join account a on a.id = p.account_id left join connector_call c on c.id = p.call_id
"""
FILTERS = {
    "mode": "p.mode",
    "connection": "p.connection",
    "kind": "p.kind",
    "error_kind": "p.error_kind",
    "code": "p.error_code",
    "method": "p.method",
    "account": "a.external_key",
    "trace_key": "coalesce(c.trace_key, p.trace_key)",
}


class Park(NamedTuple):
    """Work to be parked. trace_key: unique among the open ones of its kind and mode."""

    kind: str
    trace_key: str
    error_kind: str
    message: str
    remedy: str
    mode: str = "live"
    account_id: str | None = None
    connection: str | None = None
    call_id: str | None = None
    method: str | None = None
    payload: Any = None
    fields: Mapping[str, str] | None = None
    error_code: str | None = None
    workflow_id: str | None = None


class ParkRow(NamedTuple):
    """What acting on parked work needs to know of it. open: nobody has resolved it yet."""

    id: str
    kind: str
    mode: str
    connection: str | None
    call_id: str | None
    method: str | None
    payload: Any
    remedy: str
    workflow_id: str | None
    open: bool
    resolution: str | None


def park(connection: PgConnection, work: Park) -> str:
    """Park, once while it is open: a repetition counts `times` up and renews what is said. Answers the row's id."""
    row = connection.execute(
        """
        insert into parked (id, mode, kind, trace_key, account_id, error_kind, message, remedy, connection, call_id,
                            method, payload, fields, error_code, workflow_id)
        values (%(id)s, %(mode)s, %(kind)s, %(trace_key)s, %(account_id)s, %(error_kind)s, %(message)s, %(remedy)s,
                %(connection)s, %(call_id)s, %(method)s, %(payload)s, %(fields)s, %(error_code)s, %(workflow_id)s)
        on conflict (mode, kind, trace_key) where resolved_at is null do update
        set times = parked.times + 1, last_seen_at = now(), error_kind = excluded.error_kind,
            message = excluded.message, remedy = excluded.remedy, payload = excluded.payload,
            fields = excluded.fields, error_code = excluded.error_code, workflow_id = excluded.workflow_id
        returning id::text
        """,
        {
            **storable(work._asdict()),
            "id": str(uuid7()),
            "payload": None if work.payload is None else Jsonb(storable(work.payload)),
            "fields": Jsonb(storable(dict(work.fields))) if work.fields else None,
        },
    ).fetchone()
    if row is None:
        raise RuntimeError("the row just parked cannot be read")
    return str(row[0])


def read_park(connection: PgConnection, park_id: str, *, lock: bool = False) -> ParkRow | None:
    """The parked work of that id, open or resolved."""
    row = connection.execute(
        b"""
        select id::text, kind, mode, connection, call_id::text, method, payload, remedy, workflow_id,
               resolved_at is null, resolution
        from parked where id = %s
        """
        + (b" for update" if lock else b""),
        (park_id,),
    ).fetchone()
    return ParkRow(*row) if row else None


def change_payload(connection: PgConnection, park_id: str, payload: Any) -> None:
    """What is sent instead, for work that is no call."""
    connection.execute("update parked set payload = %s where id = %s", (Jsonb(payload), park_id))


def resolve_park(connection: PgConnection, park_id: str, resolution: str) -> None:
    """Close an open one."""
    connection.execute(
        "update parked set resolved_at = now(), resolution = %s where id = %s and resolved_at is null",
        (resolution, park_id),
    )


def resolve_parks_of_call(connection: PgConnection, call_id: str, resolution: str) -> None:
    """Close what is open of a call."""
    connection.execute(
        "update parked set resolved_at = now(), resolution = %s where call_id = %s and resolved_at is null",
        (resolution, call_id),
    )


def resolve_parks_of(connection: PgConnection, kind: str, trace_key: str) -> None:
    """Close what is open of a kind about one thing: it could be done after all."""
    connection.execute(
        "update parked set resolved_at = now(), resolution = 'carried out' where kind = %s and trace_key = %s"
        " and resolved_at is null",
        (kind, trace_key),
    )


def park_of_call(connection: PgConnection, call_id: str) -> str | None:
    """The open park of a call."""
    row = connection.execute(
        "select id::text from parked where call_id = %s and resolved_at is null", (call_id,)
    ).fetchone()
    return row[0] if row else None


def open_of_connection(connection: PgConnection, name: str, error_kind: str) -> list[str]:
    """The ids of a connection's open calls of one error kind, oldest first."""
    rows = connection.execute(
        "select id::text from parked where connection = %s and error_kind = %s and resolved_at is null"
        " and call_id is not null order by opened_at, id",
        (name, error_kind),
    )
    return [row[0] for row in rows]


def open_parks(
    connection: PgConnection, limit: int, filters: Mapping[str, str] | None = None, after: str | None = None
) -> list[dict[str, Any]]:
    """Parked work that is still open, oldest first; `account` is the account's external key.

    filters: by the names in FILTERS. after: the id of the last one seen, to go on behind it.
    """
    conditions = ["p.resolved_at is null", *(f"{FILTERS[name]} = %({name})s" for name in filters or {})]
    if after is not None:
        conditions.append("(p.opened_at, p.id) > (select opened_at, id from parked where id = %(after)s)")
    with connection.cursor() as cursor:
        cursor.execute(
            f"{_LISTED} where {' and '.join(conditions)} order by p.opened_at, p.id limit %(limit)s".encode(),
            {**(filters or {}), "limit": limit, "after": after},
        )
        return [dict(zip(_NAMES, row, strict=True)) for row in cursor]


def grouped_parks(
    connection: PgConnection,
    limit: int,
    filters: Mapping[str, str] | None = None,
    after: tuple[int, str] | None = None,
) -> list[dict[str, Any]]:
    """Open parked work by connection, method, kind and code, the largest group first; traces: how many different
    things it is about; sample: the id of the oldest. after: count and sample of the last group seen, to go on behind
    it."""
    conditions = ["p.resolved_at is null", *(f"{FILTERS[name]} = %({name})s" for name in filters or {})]
    names = [
        "count",
        "traces",
        "kind",
        "connection",
        "method",
        "error_kind",
        "code",
        "since",
        "message",
        "sample",
    ]
    behind = "" if after is None else "where count < %(size)s or (count = %(size)s and sample > %(sample)s)"
    size, sample = after or (None, None)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            select * from (
            select count(*) as count, count(distinct coalesce(c.trace_key, p.trace_key)) as traces, p.kind,
                   p.connection, p.method, p.error_kind, p.error_code, min(p.opened_at),
                   (array_agg(p.message order by p.opened_at, p.id))[1],
                   (array_agg(p.id::text order by p.opened_at, p.id))[1] as sample
            from parked p left join account a on a.id = p.account_id left join connector_call c on c.id = p.call_id
            where {" and ".join(conditions)}
            group by p.kind, p.connection, p.method, p.error_kind, p.error_code
            ) causes {behind}
            order by count desc, sample limit %(limit)s
            """.encode(),
            {**(filters or {}), "limit": limit, "size": size, "sample": sample},
        )
        return [dict(zip(names, row, strict=True)) for row in cursor]


def one_park(connection: PgConnection, park_id: str) -> dict[str, Any] | None:
    """One, open or resolved, with `payload` (what was sent, unmasked), `resolution` and `resolved_at`."""
    with connection.cursor() as cursor:
        cursor.execute(f"{_LISTED} where p.id = %s".encode(), (park_id,))
        row = cursor.fetchone()
        if row is None:
            return None
        cursor.execute(
            "select coalesce(p.payload, c.request), p.resolution, p.resolved_at, c.status, c.attempts, c.first_sent_at"
            " from parked p left join connector_call c on c.id = p.call_id where p.id = %s",
            (park_id,),
        )
        more = cursor.fetchone()
    if more is None:
        return None
    names = ("payload", "resolution", "resolved_at", "call_status", "attempts", "first_sent_at")
    return dict(zip(_NAMES, row, strict=True)) | dict(zip(names, more, strict=True))
