"""An engine that is away for long, in sight: one entry of parked work for all documents that wait for it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from operations.tax.documents import TAX
from storage.database import PgConnection
from storage.parked import Park, park
from storage.tax_documents import resolve_tax_park, unsettled

# An outage that is shorter than this is nobody's business.
IN_SIGHT_AFTER = timedelta(minutes=15)


def note_away(connection: PgConnection, to: str, why: str) -> None:
    """Show that documents wait for an engine, once the oldest has waited for long."""
    waiting, since = unsettled(connection, to)
    if since is None or datetime.now(UTC) - since < IN_SIGHT_AFTER:
        return
    park(
        connection,
        Park(
            kind=TAX,
            trace_key=f"{to}/away",
            error_kind="tax_engine_away",
            message=(
                f"{waiting:,} documents wait to be recorded at {to}, the oldest since {since:%Y-%m-%d %H:%M} UTC: "
                f"{why}"
            ),
            remedy=f"Get {to} back (masthead connectors check {to}): then they are recorded by themselves.",
            connection=to,
        ),
    )


def note_back(connection: PgConnection, to: str) -> None:
    """The engine answers again."""
    resolve_tax_park(connection, f"{to}/away", "back")
