"""What the catalog counts by: products and meters, by name."""

from __future__ import annotations

from typing import Any, NamedTuple

from psycopg.rows import dict_row

from storage.database import PgConnection

Row = dict[str, Any]


class CatalogNames(NamedTuple):
    """Products and meters with their columns, by code."""

    products: list[Row]
    meters: list[Row]


def catalog_names(connection: PgConnection) -> CatalogNames:
    """All that were loaded."""
    with connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute("select code, name, tax_category from product order by code")
        products = cursor.fetchall()
        cursor.execute("select code, name, unit from meter order by code")
        return CatalogNames(products, cursor.fetchall())


def catalog_revision(connection: PgConnection) -> str:
    """Another text whenever a load has changed something."""
    row = connection.execute(
        "select count(*) || '/' || coalesce(max(id::text), '') from catalog_load"
    ).fetchone()
    return str(row[0]) if row else ""
