"""Rule books: loaded from files, kept in versions, the newest of a name holding."""

from __future__ import annotations

from psycopg.types.json import Jsonb
from sqlalchemy import Engine

from domain.proration import Unit
from domain.rule_book import RuleBook
from storage.database import PgConnection, transaction

DEFAULT_RULE_BOOK = "default"
_LOCK = 0x72756C65  # one load at a time; any number, as long as it is the same everywhere


class RuleBookRefused(ValueError):
    """A rule book that the books cannot follow; the message says which rule, and what to write instead."""


def load_rule_book(engine: Engine, rules: RuleBook, name: str = DEFAULT_RULE_BOOK) -> int | None:
    """Keep `rules` as the newest version of the rule book `name`; that version's number, None when it says what the
    newest one says already. Raises RuleBookRefused."""
    if rules.policy.proration is not Unit.DAY:
        raise RuleBookRefused(
            "policy.proration: second can be simulated, but not billed: the books keep whole days. Write proration: day"
        )
    with transaction(engine) as connection:
        connection.execute("select pg_advisory_xact_lock(%s)", (_LOCK,))
        known = read_rule_books(connection).get(name)
        if known == rules:
            return None
        row = connection.execute(
            "insert into rule_book (name, version, definition) values (%s, (select coalesce(max(version), 0) + 1"
            " from rule_book where name = %s), %s) returning version",
            (name, name, Jsonb(rules.model_dump(mode="json", by_alias=True, exclude_unset=True))),
        ).fetchone()
    return int(row[0]) if row else None


def read_rule_books(connection: PgConnection) -> dict[str, RuleBook]:
    """The newest version of each rule book, by name."""
    rows = connection.execute(
        "select distinct on (name) name, definition from rule_book order by name, version desc"
    )
    return {name: RuleBook.model_validate(definition) for name, definition in rows}
