"""Accounts on clocks without Temporal: the steps of a clock's activity, and what episodes do between them, in a row."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime
from pathlib import Path

from sqlalchemy import Engine

from contracts.test_clock import Clock
from domain.account import commands as verbs
from domain.account.terms import AccountTerms, TaxTerms
from operations.accounts.commands import AccountCommands
from operations.billrun.rate import TaxStep
from operations.catalog import load_catalog
from operations.dump import dump
from operations.fulfilment.sending import FulfilledBy, nothing_connected
from operations.subscriptions import follow_up_subscription, settle_subscription
from operations.tariffs import Tariffs
from operations.test_clocks.clocks import (
    ClockAccount,
    arrived,
    attach_accounts,
    create_clock,
    order_advance,
)
from operations.test_clocks.playing import play_step
from runtime.catalog_source import read_catalog_file
from storage.database import transaction
from storage.test_clocks import accounts_behind

CATALOG = Path(__file__).parents[2] / "examples" / "catalog.yaml"
FIRST = date(2026, 1, 5)
TERMS = AccountTerms(currency="USD", timezone="America/New_York", tax=TaxTerms(region="US-NY"))
NOBODY = "00000000-0000-0000-0000-000000000000"


def instant(day: date | str) -> datetime:
    """The beginning of a day in New York, in winter."""
    found = date.fromisoformat(day) if isinstance(day, str) else day
    return datetime(found.year, found.month, found.day, 5, tzinfo=UTC)


class Clocked:
    """A database with the example catalog, its clocks and its accounts."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.tariffs = Tariffs(engine)
        self.commands = AccountCommands(engine, self.tariffs)
        load_catalog(engine, read_catalog_file(CATALOG).catalog)
        self.given = 0
        self.fulfilled_by: FulfilledBy = nothing_connected

    def clock(self, name: str = "clock", *, at: date | str = FIRST) -> Clock:
        return create_clock(self.engine, name, instant(at))

    def account(self, clock: Clock, key: str, terms: AccountTerms = TERMS) -> str:
        return attach_accounts(self.engine, clock.id, [ClockAccount(external_key=key, terms=terms)])[0]

    def do(self, account: str, step: verbs.Step) -> str:
        """Carry out a command; the id of its subscription."""
        self.given += 1
        done = self.commands.carry_out(account, f"command {self.given}", step, datetime.now(UTC))
        return str(done.answer["subscription"]["id"])

    def subscribe(self, account: str, name: str, plan: str = "digital-welcome") -> str:
        return self.do(account, verbs.Subscribe(at=FIRST, do="subscribe", plan=plan, name=name))

    def advance(self, clock: Clock, to: date | str | datetime) -> int:
        """Play all accounts up to `to`; how many steps it took."""
        target = to if isinstance(to, datetime) else instant(to)
        order_advance(self.engine, clock.id, target)
        with transaction(self.engine) as connection:
            accounts = accounts_behind(connection, clock.id, target, after=NOBODY, limit=1000)
        steps = sum(self.play(account, target) for account in accounts)
        arrived(self.engine, clock.id)
        return steps

    def play(self, account: str, target: datetime, asking: TaxStep | None = None) -> int:
        steps = 0
        while True:
            steps += 1
            step = play_step(self.engine, self.tariffs.current(), account, target, asking)
            if step.arrived:
                return steps
            for subscription in step.waiting:
                self.tick(subscription, step.at)

    def tick(self, subscription: str, at: datetime) -> None:
        """What an episode does when it is told what time it is."""
        settle_subscription(self.engine, subscription, at, self.tariffs.current())
        follow_up_subscription(self.engine, subscription, at, fulfilled_by=self.fulfilled_by)

    def dump(self, mode: str | None = None) -> list[str]:
        """The canonical dump, or its lines of one mode."""
        lines = dump(self.engine)
        return [line for line in lines if mode is None or f'"mode":"{mode}"' in line]

    def follow_ups(self, subscription: str) -> list[tuple[str, str, str | None]]:
        """Day, key and outcome of what the subscription demanded, in the order of time."""
        return self.rows(
            "select (due_at at time zone 'America/New_York')::date::text, key, outcome from follow_up"
            " where subscription_id = %s order by due_at, key",
            subscription,
        )

    def rows(self, query: str, *parameters: object) -> list[tuple]:
        with transaction(self.engine) as connection:
            return connection.execute(query.encode(), parameters).fetchall()


def events(clocked: Clocked, kinds: Iterable[str]) -> int:
    """How many events of these kinds there are."""
    [(count,)] = clocked.rows("select count(*) from event_log where kind = any(%s)", list(kinds))
    return int(count)
