"""The business time of an account: the wall clock's for a live one."""

from __future__ import annotations

from datetime import UTC, datetime

from storage.database import PgConnection


def business_now(connection: PgConnection, account_id: str) -> datetime:
    """The instant at which a command on the account counts, now."""
    return datetime.now(UTC)
