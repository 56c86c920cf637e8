"""The calls of many charges at once: written down, on their way, answered, each in one statement."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from storage.calls import COLUMNS, CallRow
from storage.database import PgConnection
from storage.write_holds import check_not_held


def insert_calls(
    connection: PgConnection,
    calls: Sequence[tuple[str, str, str, str, str, Mapping[str, Any]]],
    *,
    method: str,
    workflow_id: str | None,
) -> None:
    """Write the intents of calls of `method`: (id, connection, key, mode, account, request) each. Raises psycopg's
    UniqueViolation where a key was used before: keys of charges are new under their account's lock."""
    ids, connections, keys, modes, accounts, requests = (list(column) for column in zip(*calls, strict=True))
    connection.execute(
        "insert into connector_call (id, connection, capability, method, key, mode, account_id, request, status,"
        " workflow_id) select id, connection, split_part(%(method)s, '.', 1), %(method)s, key, mode, account_id,"
        " request, 'intent', %(workflow)s from unnest(%(ids)s::uuid[], %(connections)s::text[], %(keys)s::text[],"
        " %(modes)s::text[], %(accounts)s::uuid[], %(requests)s::jsonb[])"
        " c (id, connection, key, mode, account_id, request)",
        {
            "method": method,
            "workflow": workflow_id,
            "ids": ids,
            "connections": connections,
            "keys": keys,
            "modes": modes,
            "accounts": accounts,
            "requests": [json.dumps(request) for request in requests],
        },
    )


def read_calls(connection: PgConnection, calls: Sequence[str]) -> dict[str, CallRow]:
    """The calls by their ids."""
    rows = connection.execute(
        f"select {COLUMNS} from connector_call where id = any(%s::uuid[])".encode(), (list(calls),)
    )
    return {row[0]: CallRow(*row) for row in rows}


def begin_sends(connection: PgConnection, calls: Sequence[str]) -> list[CallRow]:
    """Note that those of `calls` that are untouched intents go out now; answers them as they then are. Commit before
    sending. Raises WritesHeld while external writes are held."""
    check_not_held(connection)
    rows = connection.execute(
        f"""
        update connector_call set status = 'sent', attempts = attempts + 1, first_sent_at = clock_timestamp(),
               last_sent_at = clock_timestamp()
        where id in (select id from connector_call where id = any(%s::uuid[]) and status = 'intent'
                     and first_sent_at is null and request_version = 1 order by id for update skip locked)
        returning {COLUMNS}
        """.encode(),
        (list(calls),),
    )
    return [CallRow(*row) for row in rows]


def end_sends(connection: PgConnection, answers: Mapping[str, Any]) -> list[str]:
    """Store the answers of calls that were on their way, by their ids; answers those that still were. The others have
    been settled by somebody else meanwhile."""
    rows = connection.execute(
        """
        update connector_call c set status = 'succeeded', answer = a.answer, ended_at = clock_timestamp(),
               error_kind = null, error_code = null, message = null
        from unnest(%s::uuid[], %s::jsonb[]) a (id, answer) where c.id = a.id and c.status in ('sent', 'unknown')
        returning c.id::text
        """,
        (list(answers), [json.dumps(answer) for answer in answers.values()]),
    )
    return [row[0] for row in rows]


def untold_charges(connection: PgConnection, idle: timedelta, limit: int) -> list[tuple[str, str]]:
    """(charge, its call) of charges that do not say yet what their call does, since `idle` at least: whoever carried
    them on has died, or the call was settled by its own process or by a person."""
    return connection.execute(
        """
        select c.id::text, l.id::text
        from charge c
        join connector_call l on l.mode = c.mode and l.connection = c.connection and l.method = 'payment.charge'
            and l.key = 'charge:' || c.account_id || ':' || c.no
        where (c.status in ('failed', 'withdrawn') and l.status = 'succeeded'
               and l.answer->>'status' = 'succeeded' and l.ended_at < clock_timestamp() - %(idle)s
               and c.created_at > now() - interval '60 days')
           or c.ended_at is null and c.status in ('intent', 'unknown')
          and ((l.status in ('succeeded', 'failed') and l.ended_at < clock_timestamp() - %(idle)s)
               or (l.status = 'skipped' and (l.first_sent_at is null or l.error_kind = 'unknown'))
               or (c.status = 'intent' and l.first_sent_at is not null and l.status in ('unknown', 'parked', 'skipped')
                   and l.last_sent_at < clock_timestamp() - %(idle)s))
        order by c.id limit %(limit)s
        """,
        {"idle": idle, "limit": limit},
    ).fetchall()


def give_back_unsent(connection: PgConnection, mode: str, to: str, method: str, key: str) -> None:
    """End the call with that key as failed if it was never sent: what it was for has ended without it."""
    connection.execute(
        "update connector_call set status = 'failed', ended_at = now() where mode = %s and connection = %s"
        " and method = %s and key = %s and status = 'intent' and first_sent_at is null",
        (mode, to, method, key),
    )
