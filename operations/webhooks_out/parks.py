"""What subscribers were not told, among the parked work."""

from __future__ import annotations

from collections.abc import Sequence

from uuid_utils import uuid7

from contracts.names import webhook_delivery_id
from operations.webhooks_out.payload import message_name
from storage.database import PgConnection

WEBHOOK_OUT = "webhook_out"  # the kind of parked work


def park_messages(connection: PgConnection, mode: str, messages: Sequence[tuple[str, str]]) -> None:
    """Park messages, (id, kind of the last error) each, whose schedule has ended without success."""
    with connection.cursor() as cursor:
        cursor.executemany(
            """
            insert into parked (id, mode, kind, trace_key, account_id, error_kind, message, remedy)
            select %s, %s, %s, %s, m.account_id, %s, 'all attempts to tell ' || m.endpoint_id || ' of ' || m.kind
                   || ' failed', %s || m.endpoint_id || ' --message ' || m.id
            from webhook_message m where m.id = %s
            on conflict (mode, kind, trace_key) where resolved_at is null do update
            set times = parked.times + 1, last_seen_at = now(), error_kind = excluded.error_kind
            """,
            [
                (
                    str(uuid7()),
                    mode,
                    WEBHOOK_OUT,
                    message_name(message_id),
                    error_kind,
                    "See the answers with `masthead webhooks deliveries`, then: masthead webhooks resend ",
                    message_id,
                )
                for message_id, error_kind in messages
            ],
        )


def park_endpoint(
    connection: PgConnection, mode: str, endpoint_id: str, error_kind: str, message: str
) -> None:
    """Park an endpoint that was switched off because of its answers."""
    connection.execute(
        """
        insert into parked (id, mode, kind, trace_key, error_kind, message, remedy)
        values (%s, %s, %s, %s, %s, %s, %s)
        on conflict (mode, kind, trace_key) where resolved_at is null do update
        set times = parked.times + 1, last_seen_at = now(), error_kind = excluded.error_kind, message = excluded.message
        """,
        (
            str(uuid7()),
            mode,
            WEBHOOK_OUT,
            webhook_delivery_id(endpoint_id),
            error_kind,
            message,
            f"Ask its owner. Then: masthead webhooks enable {endpoint_id}, and for what it missed: "
            f"masthead webhooks resend {endpoint_id} --since INSTANT; or delete it",
        ),
    )


def close_parks_of_endpoint(connection: PgConnection, endpoint_id: str, resolution: str) -> None:
    """Close the parks of an endpoint and of all messages to it."""
    close_parks(connection, [webhook_delivery_id(endpoint_id)], resolution)
    connection.execute(
        "update parked p set resolved_at = now(), resolution = %s from webhook_message m where m.endpoint_id = %s"
        " and p.kind = %s and p.resolved_at is null and p.trace_key = 'msg_' || m.id",
        (resolution, endpoint_id, WEBHOOK_OUT),
    )


def close_parks(connection: PgConnection, keys: Sequence[str], resolution: str) -> None:
    """Close the parks with these trace keys: somebody has acted."""
    connection.execute(
        "update parked set resolved_at = now(), resolution = %s where kind = %s and resolved_at is null"
        " and trace_key = any(%s)",
        (resolution, WEBHOOK_OUT, list(keys)),
    )
