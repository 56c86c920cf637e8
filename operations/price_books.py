"""The compiled price book of the catalog in the database, read again when the catalog has changed."""

from __future__ import annotations

import threading

from sqlalchemy import Engine

from domain.price_book import PriceBook
from domain.tax import TaxTable
from operations.catalog import read_catalog
from storage.database import transaction


class PriceBooks:
    """One per process: compiling a catalog costs milliseconds, asking whether it changed microseconds."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._stamp: tuple[object, ...] | None = None
        self._book: PriceBook | None = None
        self._taxes = TaxTable(())

    def current(self) -> PriceBook:
        """The book of the catalog as it is now."""
        with self._lock:
            with transaction(self._engine, read_only_snapshot=True) as connection:
                with connection.cursor() as cursor:
                    cursor.execute(
                        "select (select count(*) from plan_version), (select max(loaded_at) from plan_version),"
                        " (select count(*) from tax_rate), (select max(id::text) from tax_rate)"
                    )
                    stamp = cursor.fetchone()
                if self._book is None or stamp != self._stamp:
                    rows = read_catalog(connection)
                    self._book = PriceBook(rows.plans, rows.plan_products, rows.product_tax, rows.price_ids)
                    self._taxes = TaxTable(rows.tax_rates)
                    self._stamp = stamp
            return self._book

    def taxes(self) -> TaxTable:
        """The tax table that came with the book last read."""
        return self._taxes
