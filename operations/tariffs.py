"""What rating needs of the catalog in the database, compiled, and compiled again when the catalog has changed."""

from __future__ import annotations

import threading
from typing import NamedTuple

from sqlalchemy import Engine

from domain.price_book import PriceBook
from domain.tax import TaxTable
from operations.billrun.shapes import ShapeMemo
from operations.catalog import read_catalog
from storage.database import transaction


class Tariff(NamedTuple):
    """One state of the catalog: prices, taxes, and what has been rated by them already."""

    book: PriceBook
    taxes: TaxTable
    memo: ShapeMemo


class Tariffs:
    """The tariff of one database; one of these per process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._revision: object = None
        self._tariff: Tariff | None = None

    def current(self) -> Tariff:
        """The tariff of the catalog as it is now. Asking costs one small query."""
        with self._lock:
            with transaction(self._engine, read_only_snapshot=True) as connection:
                row = connection.execute("select count(*), max(id::text) from catalog_load").fetchone()
                if self._tariff is None or row != self._revision:
                    rows = read_catalog(connection)
                    book = PriceBook(rows.plans, rows.plan_products, rows.product_tax, rows.price_ids)
                    self._tariff = Tariff(book, TaxTable(rows.tax_rates), ShapeMemo())
                    self._revision = row
            return self._tariff
