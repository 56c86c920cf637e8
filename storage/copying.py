"""Bulk data in Postgres' own text forms: rows for COPY are joined into one buffer a table,
and arrays into one literal, which is several times cheaper than a call a row or value."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from domain.periods import iso
from storage.database import PgConnection

_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def field(value: object) -> str:
    """One value as COPY's text form reads it: None is NULL, and nothing in a text can break out of its column."""
    if value is None:
        return r"\N"
    return str(value).translate(_ESCAPES)


def id_array(ids: Iterable[str]) -> str:
    """Ids as the literal of a uuid[] parameter: ten times cheaper than handing the driver a list of texts."""
    return "{" + ",".join(ids) + "}"


def date_array(days: Iterable[date | None]) -> str:
    """Days as the literal of a date[] parameter."""
    return "{" + ",".join("NULL" if day is None else iso(day) for day in days) + "}"


def copy_rows(connection: PgConnection, table: str, columns: str, rows: Iterable[str]) -> None:
    """COPY finished rows (tab-separated `field`s, no line end) into `table` (`columns`: comma-separated names).

    Raises psycopg.errors.* for what the database refuses; nothing of the call is kept then.
    """
    data = "\n".join(rows)
    if not data:
        return
    with connection.cursor() as cursor, cursor.copy(f"copy {table} ({columns}) from stdin") as copy:
        copy.write(data + "\n")
