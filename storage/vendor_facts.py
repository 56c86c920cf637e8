"""What vendors told, one row an object: the latest that happened there, in whatever order it came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from uuid_utils import uuid7

from storage.database import PgConnection

APPLIED = "fact"
SUPERSEDED = "superseded"

# Each object's latest delivery, and how many tell of it for the first time: one with another effect was skipped, or
# applied by somebody else, and is not counted yet. Rows are written in the order of their
# keys, so that two transactions never wait for each other in a ring. `now()` would be wrong for changed_at: it is the
# start of the transaction, which may lie before a change that another one committed meanwhile.
_WRITE = """
    with taken as (
        select d.object_key, d.kind, d.occurred_at, d.delivery_key, d.body,
               count(*) filter (where d.effect is null or d.effect not in ('fact', 'superseded'))
                   over (partition by d.object_key) as fresh,
               row_number() over (partition by d.object_key order by d.occurred_at desc, d.delivery_key desc) as place
        from webhook_delivery d where d.id = any(%(ids)s)),
    latest as (
        select t.*, row_number() over (order by object_key) as no from taken t where place = 1),
    written as (
        insert into vendor_fact as f (id, mode, connection, object_key, kind, occurred_at, delivery_key, payload, seen,
                                      version)
        select (%(new)s::uuid[])[no], %(mode)s, %(name)s, object_key, kind, occurred_at, delivery_key,
               convert_from(body, 'UTF8')::jsonb, fresh, 1
        from latest order by object_key
        on conflict (mode, connection, object_key) do update set
            seen = f.seen + excluded.seen,
            kind = case when {newer} then excluded.kind else f.kind end,
            occurred_at = case when {newer} then excluded.occurred_at else f.occurred_at end,
            delivery_key = case when {newer} then excluded.delivery_key else f.delivery_key end,
            payload = case when {newer} then excluded.payload else f.payload end,
            version = case when {newer} then f.version + 1 else f.version end,
            changed_at = case when {newer} then clock_timestamp() else f.changed_at end
        returning f.id, f.object_key, f.delivery_key, f.version),
    told as (
        insert into event_log (kind, subject_id, version)
        select 'vendor.fact', w.id, w.version
        from written w join latest l using (object_key, delivery_key))
    select object_key, delivery_key from written
""".replace("{newer}", "(excluded.occurred_at, excluded.delivery_key) >= (f.occurred_at, f.delivery_key)")


def record_facts(
    connection: PgConnection, mode: str, name: str, deliveries: Sequence[tuple[int, str, str]]
) -> list[str]:
    """Write what `deliveries` (id in the inbox, object key, delivery key) of the connection `name` tell, with an event
    `vendor.fact` for each object that changed. Answers for each delivery whether it is the fact now, or superseded.

    The latest by (instant there, delivery key) wins, so that every order ends in the same rows. `seen` counts distinct
    deliveries. Raises psycopg.errors.DataError for a body that is no JSON that Postgres can keep.
    """
    rows = connection.execute(
        _WRITE.encode(),
        {
            "ids": [each[0] for each in deliveries],
            "new": [str(uuid7()) for _ in {each[1] for each in deliveries}],
            "mode": mode,
            "name": name,
        },
    )
    now_valid = set(rows.fetchall())
    return [APPLIED if (about, key) in now_valid else SUPERSEDED for _, about, key in deliveries]


def latest_fact(connection: PgConnection, mode: str, name: str, object_key: str) -> Mapping[str, Any] | None:
    """The latest that the connection `name` told of an object; None when it told nothing."""
    row = connection.execute(
        "select payload from vendor_fact where mode = %s and connection = %s and object_key = %s",
        (mode, name, object_key),
    ).fetchone()
    return row[0] if row else None
