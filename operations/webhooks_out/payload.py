"""What a message says: which event, and how the thing that it is about stands now. Ids and states, no personal data."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from storage.copying import id_array
from storage.database import PgConnection
from storage.webhook_messages import DueMessage

# By the first word of an event's kind: its subject's state, as (id, object). External keys are left out: publishers put
# e-mail addresses there. Amounts are minor units.
_STATES = {
    "subscription": """
        select id::text, jsonb_build_object('account_id', account_id, 'status', status, 'starts_on', starts_on,
            'trial_ends_on', trial_ends_on, 'ends_on', ends_on, 'charged_through', charged_through, 'version', version)
        from subscription where id = any(%(ids)s::uuid[])
    """,
    "invoice": """
        select id::text, jsonb_build_object('account_id', account_id, 'status', status, 'series', series,
            'number', number, 'currency', currency, 'total', total, 'balance', balance, 'issued_on', issued_on,
            'due_on', due_on)
        from invoice where id = any(%(ids)s::uuid[])
    """,
    "entitlement": """
        select id::text, jsonb_build_object('subscriber', subscriber, 'feature', feature, 'source_kind', source_kind,
            'source_id', source_id, 'starts_at', starts_at, 'ends_at', ends_at, 'because', ends_because,
            'allowance_count', allowance_count, 'allowance_period', allowance_period, 'version', version)
        from entitlement_grant where account_id = any(%(accounts)s::uuid[]) and id = any(%(ids)s::uuid[])
    """,
    "webhook_endpoint": """
        select id::text, jsonb_build_object('status', status, 'version', version)
        from webhook_endpoint where id = any(%(ids)s::uuid[])
    """,
}


def message_name(message_id: str) -> str:
    """The message's id as its receiver sees it (`webhook-id`): the same at every attempt."""
    return f"msg_{message_id}"


def bodies(connection: PgConnection, messages: Sequence[DueMessage]) -> list[bytes]:
    """The JSON body of each message: {type, timestamp, data}. `timestamp` is when the event happened; `data` has the
    subject's `id` and its state as it is now, so that a late or repeated message does no harm, and `event_version`,
    the subject's version that the event made."""
    wanted: dict[str, dict[str, str | None]] = defaultdict(dict)
    for message in messages:
        wanted[_sort(message)][message.subject_id] = message.account_id
    states = {sort: _states(connection, sort, subjects) for sort, subjects in wanted.items()}
    return [_body(message, states[_sort(message)].get(message.subject_id, {})) for message in messages]


def _states(
    connection: PgConnection, sort: str, subjects: Mapping[str, str | None]
) -> dict[str, dict[str, Any]]:
    query = _STATES.get(sort)
    if query is None:
        return {}
    accounts = {account for account in subjects.values() if account is not None}
    parameters = {"ids": id_array(subjects), "accounts": id_array(accounts)}
    return dict(connection.execute(query.encode(), parameters).fetchall())


def _body(message: DueMessage, state: dict[str, Any]) -> bytes:
    data = {
        "id": message.subject_id,
        "account_id": message.account_id,
        **state,
        "event_version": message.event_version,
    }
    told = {"type": message.kind, "timestamp": _instant(message.event_at), "data": data}
    return json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()


def _sort(message: DueMessage) -> str:
    return message.kind.partition(".")[0]


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
