"""Scenarios played on accounts of one test clock, by the steps of a clock's activity."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from domain.account import commands as verbs
from domain.account.acting import instant_of
from domain.catalog import Catalog
from domain.periods import local_date, start_of_day
from domain.simulation.outcome import outcome as comparable
from domain.simulation.play import Played, Refusal
from domain.simulation.scenario import Scenario
from operations.accounts.commands import AccountCommands, CommandRefused
from operations.accounts.unit import build
from operations.catalog import load_catalog
from operations.rule_books import load_rule_book
from operations.subscriptions import follow_up_subscription, settle_subscription
from operations.tariffs import Tariffs
from operations.test_clocks.clocks import ClockAccount, attach_accounts, create_clock, set_declines
from operations.test_clocks.playing import play_step
from runtime.clock_play import declines_of
from storage.database import transaction
from storage.whole.journal import read_journal
from storage.whole.reading import read_whole

_MOMENT = timedelta(seconds=1)


class OnOneClock:
    """Accounts of one clock, which begins where `first` begins earliest on earth."""

    def __init__(self, engine: Engine, catalog: Catalog, first: date) -> None:
        self.engine = engine
        self.tariffs = Tariffs(engine)
        self.commands = AccountCommands(engine, self.tariffs)
        load_catalog(engine, catalog)
        at = start_of_day(first, ZoneInfo("Pacific/Kiritimati")).astimezone(UTC)
        self.clock = create_clock(engine, "dunning", at)

    def play(self, name: str, scenario: Scenario) -> dict[str, Any]:
        """All steps of `scenario` on a new account called `name`; what it comes to."""
        load_rule_book(self.engine, scenario.rules, name)
        account = ClockAccount(external_key=name, terms=scenario.account, rule_book=name)
        [own] = attach_accounts(self.engine, self.clock.id, [account])
        set_declines(self.engine, self.clock.id, name, declines_of(scenario))
        zone = ZoneInfo(scenario.account.timezone)
        now = self._until(own, start_of_day(instant_of(scenario.steps[0].at, zone).date(), zone))
        refused = []
        for place, step in enumerate(scenario.steps):
            if isinstance(step, verbs.PaymentFails):
                continue
            if isinstance(step, verbs.Bill):
                day = step.to or instant_of(step.at, zone).date()
                now = self._until(own, max(start_of_day(day, zone), now + _MOMENT))
                continue
            named = step.model_copy(update={"name": f"{name} main"}) if step.do == "subscribe" else step
            try:
                self.commands.carry_out(own, f"{name}/{place}", named, now)
            except CommandRefused as reason:
                refused.append(Refusal(place, local_date(now, zone), step.do, str(reason)))
        return self._told(own, name, scenario, refused)

    def _until(self, account: str, to: datetime) -> datetime:
        while True:
            step = play_step(self.engine, self.tariffs.current(), account, to)
            for subscription in step.waiting:
                settle_subscription(self.engine, subscription, step.at, self.tariffs.current())
                follow_up_subscription(self.engine, subscription, step.at)
            if step.arrived:
                return step.at

    def _told(self, own: str, name: str, scenario: Scenario, refused: list[Refusal]) -> dict[str, Any]:
        with transaction(self.engine) as connection:
            tariff = self.tariffs.current()
            rows = read_whole(connection, own, tariff.book, lock=False)
            account, _ = build(rows, tariff, datetime.now(UTC))
            account.journal = read_journal(connection, own, rows.invoice_ids)
        account.subscriptions = {
            key.removeprefix(f"{name} "): replace(each, name=key.removeprefix(f"{name} "))
            for key, each in account.subscriptions.items()
        }
        return comparable(Played(scenario, account, refused))
