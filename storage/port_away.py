"""How a connector's port on Postgres tells that our own database is away: as something that passes by itself.

Raised raw, it would count as a fault of the connector or its vendor, and a call that was never sent would be parked.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from connectors.sdk.errors import Transient
from storage.database import DATABASE_AWAY


@contextmanager
def told_as_transient(connection: str) -> Iterator[None]:
    """Raise connectors.sdk.errors.Transient where the database is away. connection: for whom it was asked."""
    try:
        yield
    except DATABASE_AWAY as away:
        raise Transient(f"{connection}: our own database is away ({type(away).__name__})") from away
