"""Reading parked work."""

from __future__ import annotations

from typing import Any

from storage.database import PgConnection


def open_parks(connection: PgConnection, limit: int) -> list[dict[str, Any]]:
    """Parked work that is still open, oldest first; `account` is the account's external key."""
    names = "id kind account trace_key error_kind message remedy times opened_at last_seen_at bill_run_id"
    with connection.cursor() as cursor:
        cursor.execute(
            """
            select p.id::text, p.kind, a.external_key, p.trace_key, p.error_kind, p.message, p.remedy, p.times,
                   p.opened_at, p.last_seen_at, p.bill_run_id::text
            from parked p left join account a on a.id = p.account_id
            where p.resolved_at is null order by p.opened_at, p.id limit %s
            """,
            (limit,),
        )
        return [dict(zip(names.split(), row, strict=True)) for row in cursor]
