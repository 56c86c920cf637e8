"""The inbox of webhooks: each delivery stored once under its key, taken in order, decided once.

The row is written by one statement, in autocommit, before the sender is answered. A repetition finds its key there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from uuid_utils import uuid7

from storage.database import PgConnection

PARKED = "webhook"  # the kind of parked work
PURGED_AT_ONCE = 5000

# Order of parameters: endpoint, key, kind, object, occurred (or NULL), headers (JSON), body.
STORE_ONE = """
    insert into webhook_delivery (endpoint_id, delivery_key, kind, object_key, occurred_at, headers, body)
    values (%s, %s, %s, %s, coalesce(%s, now()), %s, %s)
    on conflict (endpoint_id, delivery_key) do nothing
"""
# Order of parameters: endpoint, headers (JSON), then lists of keys, kinds, objects, instants, bodies.
STORE_MANY = """
    insert into webhook_delivery (endpoint_id, delivery_key, kind, object_key, occurred_at, headers, body)
    select %s, key, kind, object, coalesce(occurred, now()), %s, body
    from unnest(%s::text[], %s::text[], %s::text[], %s::timestamptz[], %s::bytea[])
        with ordinality as each(key, kind, object, occurred, body, place)
    order by place
    on conflict (endpoint_id, delivery_key) do nothing
"""

_COLUMNS = "id, delivery_key, kind, object_key, occurred_at, received_at, headers, body, attempts, effect"


class StoredDelivery(NamedTuple):
    """A delivery as it lies in the inbox. `effect` is set when it was applied before and is replayed."""

    id: int
    key: str
    kind: str
    object_key: str
    occurred_at: datetime
    received_at: datetime
    headers: Mapping[str, str]
    body: bytes
    attempts: int
    effect: str | None


class Decision(NamedTuple):
    """What became of a delivery: `status` is done or ignored, `effect` a few words."""

    id: int
    status: str
    effect: str


class Failure(NamedTuple):
    """A delivery that could not be applied: the kind of the error, and what was said (no personal data)."""

    delivery: StoredDelivery
    error_kind: str
    message: str


class Chosen(NamedTuple):
    """Which deliveries to apply again; what is None does not restrict. Times are those of arrival, `until` excluded."""

    connection: str | None = None
    ids: Sequence[int] | None = None
    key: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def take_batch(
    connection: PgConnection, endpoint: str, limit: int, among: Sequence[int] | None = None
) -> list[StoredDelivery]:
    """Lock up to `limit` deliveries that are to be applied now, in the order of arrival; of `among` alone if given.
    What another transaction holds is left to it."""
    chosen = "" if among is None else "and id = any(%(among)s)"
    rows = connection.execute(
        f"""
        select {_COLUMNS} from webhook_delivery
        where endpoint_id = %(endpoint)s and status = 'new' and (retry_at is null or retry_at <= now()) {chosen}
        order by id limit %(limit)s for update skip locked
        """.encode(),
        {"endpoint": endpoint, "limit": limit, "among": None if among is None else list(among)},
        binary=True,
    )
    return [StoredDelivery(*row) for row in rows]


def decide(connection: PgConnection, decisions: Sequence[Decision]) -> None:
    """Mark deliveries as applied, in the transaction of their effects, and close what was parked of them."""
    ids = [each.id for each in decisions]
    connection.execute(
        """
        update webhook_delivery d set status = x.status, effect = x.effect, decided_at = clock_timestamp(),
            retry_at = null
        from unnest(%s::bigint[], %s::text[], %s::text[]) as x(id, status, effect) where d.id = x.id
        """,
        (ids, [each.status for each in decisions], [each.effect for each in decisions]),
    )


def set_aside(connection: PgConnection, delivery: int) -> str | None:
    """Give up a parked delivery: it is ignored, and its park closed. Answers the name of its park; None when no parked
    delivery has that number."""
    done = connection.execute(
        "update webhook_delivery d set status = 'ignored', effect = coalesce(effect, 'skipped'),"
        " decided_at = clock_timestamp() from inbound_endpoint e where d.id = %s and d.status = 'parked'"
        " and e.id = d.endpoint_id returning e.mode, e.id::text",
        (delivery,),
    ).fetchone()
    if done is None:
        return None
    mode, endpoint = done
    connection.execute(
        "update parked set resolved_at = now(), resolution = 'skipped' where mode = %s and kind = %s"
        " and resolved_at is null and trace_key = %s",
        (mode, PARKED, trace_key(endpoint, delivery)),
    )
    return trace_key(endpoint, delivery)


def resolve_parks(connection: PgConnection, mode: str, endpoint: str, ids: Sequence[int]) -> None:
    """Close what is parked of deliveries that have now been applied."""
    connection.execute(
        "update parked set resolved_at = now(), resolution = 'applied' where mode = %s and kind = %s"
        " and resolved_at is null and trace_key = any(%s)",
        (mode, PARKED, [trace_key(endpoint, each) for each in ids]),
    )


def trace_key(endpoint: str, delivery: int) -> str:
    """How parked work names a delivery."""
    return f"webhook/{endpoint}/{delivery}"


def try_again(connection: PgConnection, failures: Sequence[Failure]) -> None:
    """Count a try of each and let it rest: a second, then twice as long each time."""
    rests = [timedelta(seconds=2**each.delivery.attempts) for each in failures]
    connection.execute(
        """
        update webhook_delivery d set attempts = d.attempts + 1, retry_at = clock_timestamp() + x.rest
        from unnest(%s::bigint[], %s::interval[]) as x(id, rest) where d.id = x.id and d.status = 'new'
        """,
        ([each.delivery.id for each in failures], rests),
    )


def park(connection: PgConnection, mode: str, endpoint: str, name: str, failures: Sequence[Failure]) -> None:
    """Put deliveries of the connection `name` that still wait among the parked work, once each while they are open
    there."""
    waiting = connection.execute(
        "update webhook_delivery set status = 'parked', attempts = attempts + 1, retry_at = null,"
        " decided_at = clock_timestamp() where id = any(%s) and status = 'new' returning id",
        ([each.delivery.id for each in failures],),
    )
    parked = {row[0] for row in waiting}
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into parked (id, mode, kind, trace_key, connection, error_kind, error_code, message, remedy)
            values (%s, %s, %s, %s, %s, %s, %s, %s, %s)
            on conflict (mode, kind, trace_key) where resolved_at is null do update
            set times = parked.times + 1, last_seen_at = now(), error_kind = excluded.error_kind,
                error_code = excluded.error_code, message = excluded.message
            """,
            [
                (
                    str(uuid7()),
                    mode,
                    PARKED,
                    trace_key(endpoint, each.delivery.id),
                    name,
                    each.error_kind,
                    each.delivery.kind,
                    f"{name}: webhook {each.delivery.kind} could not be applied: {each.message}",
                    "Correct what it meets, then: masthead connectors webhook replay --id "
                    f"{each.delivery.id} (or give it up: webhook skip {each.delivery.id} --reason WHY).",
                )
                for each in failures
                if each.delivery.id in parked
            ],
        )


def replay(connection: PgConnection, chosen: Chosen) -> int:
    """Let chosen deliveries be applied again; answers how many. Their effects have to bear that, as handlers' do."""
    done = connection.execute(
        """
        update webhook_delivery d set status = 'new', attempts = 0, retry_at = null, decided_at = null
        from inbound_endpoint e
        where e.id = d.endpoint_id and d.status <> 'new'
          and (%(connection)s::text is null or e.connection = %(connection)s)
          and (%(ids)s::bigint[] is null or d.id = any(%(ids)s))
          and (%(key)s::text is null or d.delivery_key = %(key)s)
          and (%(status)s::text is null or d.status = %(status)s)
          and (%(since)s::timestamptz is null or d.received_at >= %(since)s)
          and (%(until)s::timestamptz is null or d.received_at < %(until)s)
        """,
        {**chosen._asdict(), "ids": None if chosen.ids is None else list(chosen.ids)},
    )
    return done.rowcount


def purge(connection: PgConnection, endpoint: str, before: datetime) -> int:
    """Remove up to `PURGED_AT_ONCE` decided deliveries of an endpoint that came before `before`; answers how many. What
    waits or is parked stays."""
    done = connection.execute(
        """
        delete from webhook_delivery where id in (
            select id from webhook_delivery
            where endpoint_id = %s and status in ('done', 'ignored') and received_at < %s
            order by id limit %s for update skip locked)
        """,
        (endpoint, before, PURGED_AT_ONCE),
    )
    return done.rowcount
