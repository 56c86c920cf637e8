"""Bulk data in Postgres' own forms: rows for COPY are joined into one buffer a table,
and arrays into one value, which is several times cheaper than a call a row or value."""

from __future__ import annotations

from collections.abc import Iterable

from storage.database import PgConnection
from storage.packing import IdArray, pack_ids

# What stands before and after the rows in COPY's binary form.
BINARY_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
BINARY_TRAILER = b"\xff\xff"

_ESCAPES = str.maketrans({"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"})


def field(value: object) -> str:
    """One value as COPY's text form reads it: None is NULL, and nothing in a text can break out of its column."""
    if value is None:
        return r"\N"
    return str(value).translate(_ESCAPES)


def id_array(ids: Iterable[str]) -> IdArray:
    """Ids as a uuid[] parameter: many times cheaper than handing the driver a list of texts."""
    return pack_ids(ids)


def copy_rows(connection: PgConnection, table: str, columns: str, rows: Iterable[str]) -> None:
    """COPY finished rows (tab-separated `field`s, no line end) into `table` (`columns`: comma-separated names).

    Raises psycopg.errors.* for what the database refuses; nothing of the call is kept then.
    """
    data = "\n".join(rows)
    if not data:
        return
    with connection.cursor() as cursor, cursor.copy(f"copy {table} ({columns}) from stdin") as copy:
        copy.write(data + "\n")


def copy_packed(connection: PgConnection, table: str, columns: str, rows: Iterable[bytes]) -> None:
    """COPY finished rows in binary form, whole or in pieces (a count of fields, then `storage.packing`), into `table`.

    Raises psycopg.errors.* for what the database refuses; nothing of the call is kept then.
    """
    data = b"".join(rows)
    if not data:
        return
    statement = f"copy {table} ({columns}) from stdin (format binary)"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(BINARY_HEADER + data + BINARY_TRAILER)
