"""A scenario played on a live account, day by day, as the sweep, the account's dunning and payment runs would: what it
comes to is told in the words of the simulation, so that it can be compared."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

from psycopg.types.json import Jsonb
from sqlalchemy import Engine
from uuid_utils import uuid7

from contracts.dunning import CaseStanding, Hold, Release
from domain.account import commands as verbs
from domain.account.access import grants
from domain.account.acting import instant_of
from domain.account.days import bill_only
from domain.account.state import AccountState
from domain.catalog import Catalog
from domain.periods import start_of_day
from domain.simulation.outcome import outcome as comparable
from domain.simulation.play import Played
from domain.simulation.scenario import Scenario
from operations.accounts.commands import Outcome, accepted, carry_out
from operations.accounts.unit import build, changing
from operations.catalog import load_catalog
from operations.charges.begin import Ask, begin
from operations.charges.outcome import ChargeStatus, Told, outcome
from operations.dunning.holding import hold, release
from operations.dunning.look import dun, open_overdue_cases
from operations.tariffs import Tariffs
from storage.database import transaction
from storage.dunning import CaseRow, last_case, open_case
from storage.whole.reading import read_whole

_DAY = timedelta(days=1)
# What a live account's days leave to runs over all accounts, and what only a simulation tells of.
NOT_COMPARED = ("journal", "revenue", "trial_balance", "broken_laws", "refused")


class LiveAccount:
    """One live account in the database that goes through a scenario."""

    def __init__(self, engine: Engine, scenario: Scenario, catalog: Catalog) -> None:
        self.engine = engine
        self.scenario = scenario
        self.zone = ZoneInfo(scenario.account.timezone)
        self.refused: list[str] = []
        self.declines: dict[date, str] = {}
        self.tariffs = Tariffs(engine)
        load_catalog(engine, catalog)
        self.id = self._open()

    def _open(self) -> str:
        own, terms, book = str(uuid7()), self.scenario.account, f"book {uuid4()}"
        rules = self.scenario.rules.model_dump(mode="json", by_alias=True, exclude_unset=True)
        days = terms.payment_terms_days
        with transaction(self.engine) as connection:
            connection.execute(
                "insert into rule_book (name, version, definition) values (%s, 1, %s)", (book, Jsonb(rules))
            )
            connection.execute(
                "insert into account (id, mode, external_key, currency, time_zone, locale, bill_cycle_day, tax_region,"
                " tax_inclusive, tax_treatment, auto_pay, payment_terms_days, rule_book)"
                " values (%s, 'live', %s, %s, %s, 'en', %s, %s, %s, %s, %s, %s, %s)",
                (
                    own,
                    own,
                    terms.currency,
                    terms.timezone,
                    terms.bill_cycle_day,
                    terms.tax.region,
                    terms.tax.inclusive,
                    terms.tax.treatment.value,
                    terms.auto_pay,
                    self.scenario.policy.payment_terms_days if days is None else days,
                    book,
                ),
            )
            connection.execute(
                "insert into payment_method (id, account_id, connection, method) values (%s, %s, 'cards', 'pm_1')",
                (str(uuid7()), own),
            )
        return own

    def play(self) -> LiveAccount:
        """All days, from the first step to the last."""
        days: dict[date, list[verbs.Step]] = {}
        for step in self.scenario.steps:
            first = instant_of(step.at, self.zone).date()
            if isinstance(step, verbs.PaymentFails):
                for no in range(((step.until or first) - first).days + 1):
                    self.declines[first + no * _DAY] = step.code
                continue
            last = (step.to or first) if isinstance(step, verbs.Bill) else first
            for no in range((last - first).days + 1):
                days.setdefault(first + no * _DAY, []).append(step)
        day = min(days)
        while day <= max(days):
            self.day(day, days.get(day, []))
            day += _DAY
        return self

    def day(self, day: date, steps: list[verbs.Step]) -> None:
        """One day: what is dated for its beginning, then its steps."""
        at = start_of_day(day, self.zone)
        with transaction(self.engine) as connection:
            tariff = self.tariffs.current()
            open_overdue_cases(connection, tariff, at, 100)
            case = open_case(connection, self.id)
            if case is not None and case.next_at is not None and case.next_at <= at:
                dun(connection, tariff, self.id, at)
        self.charge(day, at)
        for step in steps:
            if isinstance(step, verbs.Bill):
                with (
                    transaction(self.engine) as connection,
                    changing(connection, self.tariffs.current(), self.id, at) as unit,
                ):
                    bill_only(unit.account)
                self.charge(day, at)
            else:
                self.step(step, at)
            self.hear(at)

    def step(self, step: verbs.Step, at: datetime) -> None:
        """A command."""
        named = step.model_copy(update={"name": f"{self.id} main"}) if step.do == "subscribe" else step
        with transaction(self.engine) as connection:
            found = carry_out(connection, self.tariffs.current(), self.id, str(uuid4()), named, at)
        if "refused" in found.answer:
            self.refused.append(found.answer["refused"])

    def charge(self, day: date, at: datetime) -> None:
        """A payment run over the account, answered by the scenario's gateway."""
        with transaction(self.engine) as connection:
            begun = begin(connection, self.tariffs.current(), [self.id], Ask(at)).begun
        for each in begun:
            code = self.declines.get(day)
            told = Told(ChargeStatus.SUCCEEDED if code is None else ChargeStatus.FAILED, code=code)
            with transaction(self.engine) as connection:
                outcome(connection, self.tariffs.current(), each.charge_id, told, at)
            self.hear(at)

    @property
    def first(self) -> date:
        """The local day of the first step."""
        return instant_of(self.scenario.steps[0].at, self.zone).date()

    def sweep(self, at: datetime) -> int:
        """The sweep over all accounts, as of `at`."""
        with transaction(self.engine) as connection:
            return open_overdue_cases(connection, self.tariffs.current(), at, 100)

    def hear(self, at: datetime) -> None:
        """The account's dunning hears that something changed."""
        with transaction(self.engine) as connection:
            if open_case(connection, self.id) is not None:
                dun(connection, self.tariffs.current(), self.id, at)

    async def hold(self, order: Hold, at: datetime) -> None:
        """Hold its dunning, as an operator does. Raises CommandRefused."""
        await asyncio.to_thread(self._order, hold, order, at)

    async def release(self, order: Release, at: datetime) -> None:
        """Let its dunning go on. Raises CommandRefused."""
        await asyncio.to_thread(self._order, release, order, at)

    def _order(self, act: Callable[..., Outcome], order: Hold | Release, at: datetime) -> None:
        with transaction(self.engine) as connection:
            found = act(connection, self.tariffs.current(), self.id, order, at)
        accepted(found)

    def dun(self, at: datetime) -> CaseStanding:
        with transaction(self.engine) as connection:
            return dun(connection, self.tariffs.current(), self.id, at)

    def case(self) -> CaseRow | None:
        with transaction(self.engine) as connection:
            return last_case(connection, self.id)

    def account(self) -> AccountState:
        """As the database has it."""
        with transaction(self.engine) as connection:
            tariff = self.tariffs.current()
            return build(read_whole(connection, self.id, tariff.book, lock=False), tariff, datetime.now(UTC))[
                0
            ]

    def told(self) -> dict[str, Any]:
        """What the account comes to, but for what is not compared."""
        account = self.account()
        account.subscriptions = {
            name.removeprefix(f"{self.id} "): replace(each, name=name.removeprefix(f"{self.id} "))
            for name, each in account.subscriptions.items()
        }
        return told(comparable(Played(self.scenario, account, [])))

    def events(self, kinds: str) -> list[str]:
        """The kinds of the account's events that are like `kinds`, in their order."""
        with transaction(self.engine) as connection:
            rows = connection.execute(
                "select kind from event_log where account_id = %s and kind like %s order by id",
                (self.id, kinds),
            )
            return [row[0] for row in rows]

    def mails(self) -> list[tuple[int, str]]:
        """The mails that dunning asked for: (day as a number, template), in order."""
        with transaction(self.engine) as connection:
            return connection.execute(
                "select version, substr(kind, 8) from event_log where account_id = %s and kind like 'notice.%%'"
                " order by 1, 2",
                (self.id,),
            ).fetchall()

    def access(self, at: datetime) -> bool:
        """Whether its reader may read at `at`."""
        with transaction(self.engine) as connection:
            row = connection.execute(
                "select exists (select from entitlement_grant where account_id = %s"
                " and starts_at <= %s and coalesce(ends_at > %s, true))",
                (self.id, at, at),
            ).fetchone()
        assert row is not None
        return bool(row[0])


def readable(account: AccountState) -> bool:
    """Whether the rules give access on the account's day."""
    now = start_of_day(account.today, account.zone)
    return any(
        each.starts_at <= now and (each.ends_at is None or each.ends_at > now)
        for each in grants(account, dunned=True)
    )


def told(found: dict[str, Any]) -> dict[str, Any]:
    """An outcome without what is not compared."""
    return {name: value for name, value in found.items() if name not in NOT_COMPARED}
