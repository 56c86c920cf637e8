"""The hold on external writes: whether one is open, what it waits for, and its end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from psycopg.types.json import Jsonb

from storage.database import PgConnection


class WritesHeld(Exception):
    """Nothing may be changed at other systems now. The message says why, and what ends it."""


class WriteHold(NamedTuple):
    """An open hold. since: what happened outside from then on is not in the rows. asked: what each gateway answered,
    by connection."""

    id: str
    reason: str
    since: datetime
    began_at: datetime
    asked: Mapping[str, Any]

    @property
    def in_words(self) -> str:
        """For an operator."""
        return f"external writes are held: {self.reason}. `masthead reconcile` asks the gateways and ends it"


def open_hold(connection: PgConnection, *, lock: bool = False) -> WriteHold | None:
    """The hold that is open, None where everything may go out. lock: others that lock it wait for this transaction."""
    row = connection.execute(
        b"select id::text, reason, since, began_at, asked from write_hold where released_at is null"
        + (b" for update" if lock else b"")
    ).fetchone()
    return WriteHold(*row) if row else None


def check_not_held(connection: PgConnection) -> None:
    """The one gate of whatever changes something at another system: ask it in the transaction that begins to send.
    Raises WritesHeld."""
    hold = open_hold(connection)
    if hold is not None:
        raise WritesHeld(hold.in_words)


def note_asked(connection: PgConnection, hold_id: str, gateway: str, answer: Mapping[str, Any]) -> None:
    """Write down what the gateway `gateway` answered."""
    connection.execute(
        "update write_hold set asked = asked || %s where id = %s", (Jsonb({gateway: dict(answer)}), hold_id)
    )


def release_hold(connection: PgConnection, hold_id: str, actor: str, reason: str) -> bool:
    """End the hold; False where somebody has ended it before."""
    done = connection.execute(
        "update write_hold set released_at = now(), released_by = %s, release_reason = %s"
        " where id = %s and released_at is null",
        (actor, reason, hold_id),
    )
    return done.rowcount == 1
