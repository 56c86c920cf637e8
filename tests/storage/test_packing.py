"""Binary forms: what Postgres reads from them is what the text forms say."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from struct import pack

import psycopg
import pytest
from sqlalchemy import Engine

from storage.copying import copy_packed, id_array
from storage.database import make_engine, transaction
from storage.packing import (
    NULL,
    big_field,
    day_field,
    decimal_field,
    id_field,
    int_field,
    small_field,
    text_field,
)
from tests.conftest import PostgresForTests

ID = "019b7c3e-1111-7abc-8def-0123456789ab"
TABLE = "packed (id uuid, t text, s smallint, i integer, b bigint, d date, n numeric)"


@pytest.fixture(scope="module")
def engine(pg_server: PostgresForTests) -> Engine:
    return make_engine(pg_server.fresh_database("packing"))


@pytest.mark.parametrize(
    ("day", "number"),
    [
        (date(2026, 12, 1), "1"),
        (date(1999, 12, 31), "0.0825"),
        (date(2000, 1, 1), "-12.500"),
        (date(2104, 2, 29), "0"),
        (date(1, 1, 1), "123456789012345678901234.5678"),
        (date(2026, 1, 1), "10000"),
        (date(2026, 1, 1), "0.00"),
    ],
)
def test_rows_come_back_as_they_went(engine: Engine, day: date, number: str) -> None:
    fields = (id_field(ID), text_field("Köln\t\\N"), small_field(-7), int_field(70_000), big_field(-(2**40)))
    row = pack(">h", 7) + b"".join((*fields, day_field(day), decimal_field(number)))
    nothing = pack(">h", 7) + NULL * 7
    with transaction(engine) as connection:
        connection.execute(f"create temporary table {TABLE} on commit drop".encode())
        copy_packed(connection, "packed", "id, t, s, i, b, d, n", [row, nothing])
        found = connection.execute("select id::text, t, s, i, b, d, n::text from packed").fetchall()
    assert found == [(ID, "Köln\t\\N", -7, 70_000, -(2**40), day, number), (None,) * 7]
    assert str(Decimal(number)) == number


def test_nothing_to_copy_is_no_error(engine: Engine) -> None:
    with transaction(engine) as connection:
        copy_packed(connection, "no_such_table", "id", [])


def test_what_the_database_refuses_is_its_own_error(engine: Engine) -> None:
    row = pack(">h", 4) + text_field("neither") + text_field("X") + big_field(1) + text_field("")
    with transaction(engine) as connection, pytest.raises(psycopg.errors.CheckViolation):
        copy_packed(connection, "number_series", "mode, code, last_number, last_hash", [row])


@pytest.mark.parametrize("ids", [[], [ID], [ID, "00000000-0000-0000-0000-000000000000", ID]])
def test_ids_go_as_an_array(engine: Engine, ids: list[str]) -> None:
    with transaction(engine) as connection:
        row = connection.execute(
            "select %s::uuid[]::text[], cardinality(%s)", (id_array(ids),) * 2
        ).fetchone()
    assert row == (ids, len(ids))
