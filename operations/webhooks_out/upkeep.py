"""What is forgotten after its time."""

from __future__ import annotations

from datetime import datetime, timedelta

from storage.database import PgConnection
from storage.webhook_messages import forget_messages

KEPT = timedelta(days=30)
AT_ONCE = 2_000


def forget_old_messages(connection: PgConnection, now: datetime) -> int:
    """Remove messages that ended 30 days ago, with their attempts: 2,000 at a time; answers how many."""
    return forget_messages(connection, now - KEPT, AT_ONCE)
