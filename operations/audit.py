"""The audit trail: each operator action with its actor and reason, written once."""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

from sqlalchemy import Engine

from storage.database import PgConnection, transaction


def record_action(engine: Engine, *, key: str, actor: str, action: str, subject: str, reason: str) -> None:
    """Append an action. `key` names this one action, so that a repeated call writes nothing more."""
    with transaction(engine) as connection:
        append_action(connection, key=key, actor=actor, action=action, subject=subject, reason=reason)


def append_action(
    connection: PgConnection, *, key: str, actor: str, action: str, subject: str, reason: str
) -> None:
    """Append an action in the caller's transaction: it is told of if, and only if, it is done. `key` as above."""
    connection.execute(
        "insert into audit (id, actor, action, subject, reason) values (%s, %s, %s, %s, %s)"
        " on conflict (id) do nothing",
        (str(uuid5(NAMESPACE_URL, f"masthead:audit:{key}")), actor, action, subject, reason),
    )
