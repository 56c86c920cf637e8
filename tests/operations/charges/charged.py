"""Billed fleets whose accounts pay by card, for tests of charging them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Engine
from uuid_utils import uuid7

from bench.fleet import DUE, build_fleet
from domain.rule_book import RuleBook
from operations.accounts.unit import Changing, changing
from operations.charges.begin import Ask, Beginning, begin
from operations.charges.outcome import Came, ChargeStatus, Told, outcome
from operations.rule_books import load_rule_book
from operations.tariffs import Tariffs
from operations.verify import verify
from storage.database import transaction
from tests.operations.billed import bill

NOW = datetime(2026, 12, 1, 15, tzinfo=UTC)


class Fleet:
    """A database of accounts that were billed on DUE and pay by a card at the connection `cards`."""

    def __init__(self, engine: Engine, accounts: int = 12, *, billed_on: Sequence[date] = (DUE,)) -> None:
        self.engine = engine
        self.tariffs = Tariffs(engine)
        build_fleet(engine, accounts)
        for day in billed_on:
            bill(engine, day)
        self.do("update account set auto_pay = true")
        self.accounts = [row[0] for row in self.rows("select id::text from account order by id")]
        for account in self.accounts:
            self.give_card(account)

    @classmethod
    def there(cls, engine: Engine) -> Fleet:
        """The fleet that a database has already."""
        fleet = cls.__new__(cls)
        fleet.engine, fleet.tariffs = engine, Tariffs(engine)
        fleet.accounts = [row[0] for row in fleet.rows("select id::text from account order by id")]
        return fleet

    def do(self, statement: str, *values: object) -> None:
        """Carry out one statement."""
        with transaction(self.engine) as connection:
            connection.execute(statement.encode(), values)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of one query."""
        with transaction(self.engine) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def give_card(self, account: str, connection: str = "cards", token: str = "pm_card_visa") -> None:
        """A default payment method."""
        self.do(
            "insert into payment_method (id, account_id, connection, method) values (%s, %s, %s, %s)",
            str(uuid7()), account, connection, token,
        )  # fmt: skip

    def rule(self, rules: RuleBook) -> None:
        """Load a rule book as the default one."""
        load_rule_book(self.engine, rules)

    @contextmanager
    def changing(self, account: str) -> Iterator[Changing]:
        """The account whole, in a transaction of its own."""
        with (
            transaction(self.engine) as connection,
            changing(connection, self.tariffs.current(), account, NOW) as unit,
        ):
            yield unit

    def begin(self, *accounts: str, now: datetime = NOW, **ask: Any) -> Beginning:
        """Begin to charge `accounts`, by default all, in a transaction of its own."""
        with transaction(self.engine) as connection:
            return begin(connection, self.tariffs.current(), accounts or self.accounts, Ask(now, **ask))

    def tell(self, charge_id: str, status: str, now: datetime = NOW, **told: Any) -> Came:
        """Write down what a charge came to."""
        found = Told(ChargeStatus(status), **told)
        with transaction(self.engine) as connection:
            return outcome(connection, self.tariffs.current(), charge_id, found, now)

    def invoices(self, account: str) -> list[tuple[Any, ...]]:
        """(status, balance) of the account's invoices, in their order."""
        return self.rows("select status, balance from invoice where account_id = %s order by number", account)

    def payments(self, account: str) -> list[tuple[Any, ...]]:
        """(status, amount, code) of the account's payments, in their order."""
        return self.rows(
            "select status, amount, code from payment where account_id = %s order by no", account
        )

    def collecting(self, account: str) -> Any:
        """The account's collecting state as it is stored."""
        found = self.rows("select history->'collecting' from account_history where account_id = %s", account)
        return found[0][0] if found else None

    def lawful(self) -> None:
        """The laws of the books hold."""
        broken = [(law.law, law.violations) for law in verify(self.engine) if not law.ok]
        assert broken == [], broken
