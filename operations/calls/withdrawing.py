"""Giving up calls that surely were not applied."""

from __future__ import annotations

from contracts.connector_call import CallStatus
from storage.calls import change_call, read_call
from storage.database import PgConnection
from storage.parked import resolve_parks_of_call


def withdraw(connection: PgConnection, call_id: str) -> bool:
    """Give a call up, if surely nothing of it was applied: it fails, and no try that is still under way sends it.
    Whether it was given up; one in doubt stays as it is."""
    row = read_call(connection, call_id, lock=True)
    if row.first_sent_at is not None or CallStatus(row.status) not in (CallStatus.INTENT, CallStatus.PARKED):
        return False
    change_call(connection, row.id, {"status": CallStatus.FAILED.value, "ended_at": row.now})
    resolve_parks_of_call(connection, row.id, "withdrawn")
    return True
