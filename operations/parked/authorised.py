"""Once a connection is authorised again, all that waited for it is tried again together."""

from __future__ import annotations

from contracts.parked import Action, Decided
from operations.parked.decide import CannotDecide, Decision, decide
from storage.database import PgConnection
from storage.parked import open_of_connection


def retry_unauthorised(connection: PgConnection, name: str, *, actor: str) -> list[Decided]:
    """Retry every call of the connection that was parked because its credentials were refused. Tell the workflows of
    what is answered after the commit; one that is not told looks by itself."""
    decision = Decision(Action.RETRY, actor, "the connection was authorised again")
    decided = []
    for park_id in open_of_connection(connection, name, "unauthorized"):
        try:
            decided.append(decide(connection, park_id, decision))
        except CannotDecide:
            continue  # somebody decided otherwise meanwhile
    return decided
