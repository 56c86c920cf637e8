"""What rating needs of the catalog and the rule books in the database, compiled; again when one of them changed."""

from __future__ import annotations

import threading
from typing import Any, NamedTuple

from sqlalchemy import Engine

from domain.account.state import PriceNames
from domain.catalog import Catalog
from domain.delivered import Delivered
from domain.price_book import PriceBook
from domain.rule_book import RuleBook
from domain.tax import Rounding, TaxPolicy, TaxTable
from operations.billrun.shapes import ShapeMemo
from operations.catalog import as_catalog, read_catalog
from operations.rule_books import DEFAULT_RULE_BOOK, read_rule_books
from storage.database import PgConnection, transaction
from storage.round_trip import TakesStatements

_NO_RULES = RuleBook()
_REVISION = "select count(*), max(id::text), (select count(*) from rule_book) from catalog_load"


class Tariff(NamedTuple):
    """One state of the catalog and the rule books: prices, taxes, what has been rated by them already, and the names
    that price ids stand for. `rule_books` by name; `rules` is the one that holds where an account names none.
    `delivered`: the plans that deliver content or parcels, and what."""

    book: PriceBook
    taxes: TaxTable
    memo: ShapeMemo
    catalog: Catalog
    names: PriceNames
    rule_books: dict[str, RuleBook]
    delivered: dict[str, Delivered]

    @property
    def tax_policy(self) -> TaxPolicy:
        """How accounts are taxed whose rows say nothing else: on top, rounded as the rule book says."""
        return TaxPolicy(rounding=Rounding(self.rules().policy.tax_rounding))

    def rules(self, name: str | None = None) -> RuleBook:
        """The rule book called `name`, the default one for None. Raises LookupError for a name that is not loaded."""
        if name is None:
            return self.rule_books.get(DEFAULT_RULE_BOOK) or _NO_RULES
        try:
            return self.rule_books[name]
        except KeyError:
            raise LookupError(
                f"there is no rule book {name!r}: masthead rules load FILE --name {name}"
            ) from None


class Tariffs:
    """The tariff of one database; one of these per process."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = threading.Lock()
        self._known: tuple[object, Tariff] | None = None

    def current(self, connection: PgConnection | None = None) -> Tariff:
        """The tariff of the catalog as it is now. Asking costs one small query, in the transaction of `connection`, by
        default in one of its own."""
        if connection is None:
            with transaction(self._engine) as own:
                return self.current(own)
        return self.of_revision(connection, self.ask(connection))

    def ask(self, connection: TakesStatements) -> Any:
        """Ask for the revision of the catalog, with what else a round trip asks for."""
        return connection.execute(_REVISION)

    def of_revision(self, connection: PgConnection, answer: Any) -> Tariff:
        """The tariff of the revision that `ask` was answered."""
        revision = answer.fetchone()
        known = self._known
        if known is None or known[0] != revision:
            with self._lock:
                known = self._known
                if known is None or known[0] != revision:
                    known = self._known = _read(connection, revision)
        return known[1]


def _revision(connection: PgConnection) -> object:
    return connection.execute(_REVISION).fetchone()


def _read(connection: PgConnection, revision: object) -> tuple[object, Tariff]:
    """The tariff with its revision, all of one revision, though each statement may see another."""
    while True:
        tariff = read_tariff(connection)
        now = _revision(connection)
        if now == revision:
            return revision, tariff
        revision = now


def read_tariff(connection: PgConnection) -> Tariff:
    """The tariff of the catalog and the rule books as `connection` sees them."""
    rows = read_catalog(connection)
    books = read_rule_books(connection)
    default = books.get(DEFAULT_RULE_BOOK) or RuleBook()
    return Tariff(
        PriceBook(
            rows.plans, rows.plan_products, rows.product_tax, rows.price_ids, default.policy.zero_usage
        ),
        TaxTable(rows.tax_rates),
        ShapeMemo(),
        as_catalog(rows),
        {price_id: (key[0], key[3]) for key, price_id in rows.price_ids.items()},
        books,
        rows.delivered,
    )
