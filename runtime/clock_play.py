"""A scenario played on a test clock of the running system: rows, commands, workflows, and what it all comes to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Engine
from temporalio.client import Client

from contracts.names import TASK_QUEUE
from contracts.test_clock import Clock, ClockStatus
from domain.account import commands as verbs
from domain.account.acting import instant_of
from domain.account.state import AccountState
from domain.periods import local_date, start_of_day
from domain.simulation.outcome import outcome
from domain.simulation.play import Played, Refusal, play
from domain.simulation.scenario import MisplacedStep, Scenario
from operations.accounts.commands import AccountCommands, CommandRefused
from operations.accounts.unit import build
from operations.catalog import load_catalog
from operations.rule_books import load_rule_book
from operations.tariffs import read_tariff
from operations.test_clocks.clocks import (
    ClockAccount,
    attach_accounts,
    create_clock,
    read_clock,
    set_declines,
)
from runtime.scenario_source import ScenarioSource
from storage.database import transaction
from storage.whole.journal import read_journal
from storage.whole.reading import read_whole
from workflows.clock_starts import advance_clock

_DAY = timedelta(days=1)
_MOMENT = timedelta(seconds=1)
LOOK_EVERY_SECONDS = 0.05


class ClockFailed(Exception):
    """The clock could not go on; the message says why."""


class NotPlayable(MisplacedStep):
    """A step that cannot happen on a clock."""


class PlayedOnClock(NamedTuple):
    """A played scenario: the clock, the account in the database, what it came to there and in memory."""

    scenario: Scenario
    clock: Clock
    account_id: str
    account: AccountState
    found: dict[str, Any]
    simulated: dict[str, Any]

    @property
    def equal(self) -> bool:
        """Whether both came to the same."""
        return self.found == self.simulated

    @property
    def differing(self) -> list[str]:
        """The parts of the outcome that differ."""
        return [part for part in self.simulated if self.found.get(part) != self.simulated[part]]


async def wait_for_clock(
    engine: Engine,
    clock_id: str,
    to: datetime,
    *,
    seconds: float,
    told: Callable[[Clock], None] | None = None,
) -> Clock:
    """Wait until the clock stands at `to` or beyond. Raises ClockFailed, and TimeoutError after `seconds`."""
    async with asyncio.timeout(seconds):
        while True:
            clock = await asyncio.to_thread(read_clock, engine, clock_id)
            if told is not None:
                told(clock)
            if clock.status is ClockStatus.FAILED:
                raise ClockFailed(f"clock {clock.name} cannot go on: {clock.problem}")
            if clock.status is not ClockStatus.ADVANCING and clock.frozen_at >= to:
                return clock
            await asyncio.sleep(LOOK_EVERY_SECONDS)


class ClockPlay:
    """One scenario on one clock. Its subscriptions and its rule book are called after the clock, for their names are
    the database's."""

    def __init__(
        self, engine: Engine, client: Client, source: ScenarioSource, name: str, queue: str = TASK_QUEUE
    ) -> None:
        self._queue = queue
        self._engine = engine
        self._client = client
        self._scenario: Scenario = source.scenario
        self._catalog = source.catalog
        self._name = name
        self._zone = ZoneInfo(self._scenario.account.timezone)
        self._commands = AccountCommands(engine)
        self._refused: list[Refusal] = []
        self._account_id = ""
        self._clock: Clock | None = None

    async def play(self, told: Callable[[verbs.Step], None] | None = None) -> PlayedOnClock:
        """All steps, and the same in memory. `told` hears of each step before it is taken. Raises NotPlayable,
        ClockFailed, and what commands and clocks refuse to begin with."""
        check_playable(self._scenario)
        await asyncio.to_thread(self._open)
        for place, step in enumerate(self._scenario.steps):
            if told is not None:
                told(step)
            await self._step(place, step)
        return await asyncio.to_thread(self._compared)

    def _open(self) -> None:
        load_catalog(self._engine, self._catalog)
        load_rule_book(self._engine, self._scenario.rules, self._name)
        begins = instant_of(self._scenario.steps[0].at, self._zone)
        self._clock = create_clock(self._engine, self._name, begins.astimezone(UTC))
        account = ClockAccount(external_key=self._name, terms=self._scenario.account, rule_book=self._name)
        [self._account_id] = attach_accounts(self._engine, self._clock.id, [account])
        set_declines(self._engine, self._clock.id, self._name, declines_of(self._scenario))

    async def _step(self, place: int, step: verbs.Step) -> None:
        if isinstance(step, verbs.PaymentFails):
            return  # the account was told of all of them at the beginning
        if isinstance(step, verbs.Bill):
            day = step.to or instant_of(step.at, self._zone).date()
            await self._advance(start_of_day(day, self._zone))
            return
        at = instant_of(step.at, self._zone)
        if isinstance(step.at, datetime) and at > self._now():
            await self._advance(at)
        try:
            await asyncio.to_thread(self._carry_out, place, step)
        except CommandRefused as refused:
            reason = str(refused).replace(f"{self._name} ", "")
            self._refused.append(Refusal(place, local_date(self._now(), self._zone), step.do, reason))

    def _carry_out(self, place: int, step: verbs.Step) -> None:
        self._commands.carry_out(self._account_id, f"{self._name}/{place}", self._named(step), self._now())

    async def _advance(self, to: datetime) -> None:
        """Up to `to`, and at least a moment further, so that the day on which the clock stands is billed once more."""
        assert self._clock is not None  # noqa: S101
        to = max(to, self._now() + _MOMENT)
        await advance_clock(self._client, self._clock.id, to, queue=self._queue)
        self._clock = await wait_for_clock(self._engine, self._clock.id, to, seconds=300)

    def _now(self) -> datetime:
        assert self._clock is not None  # noqa: S101
        return self._clock.frozen_at

    def _named(self, step: verbs.Step) -> verbs.Step:
        if isinstance(step, verbs.Subscribe):
            return step.model_copy(update={"name": f"{self._name} {step.name}"})
        if hasattr(step, "subscription"):
            return step.model_copy(update={"subscription": f"{self._name} {step.subscription}"})
        return step

    def _compared(self) -> PlayedOnClock:
        assert self._clock is not None  # noqa: S101
        with transaction(self._engine) as connection:
            tariff = read_tariff(connection)
            rows = read_whole(connection, self._account_id, tariff.book, lock=False)
            account, _ = build(rows, tariff, self._now())
            account.journal = read_journal(connection, self._account_id, rows.invoice_ids)
        prefix = f"{self._name} "
        account.subscriptions = {
            name.removeprefix(prefix): replace(each, name=name.removeprefix(prefix))
            for name, each in account.subscriptions.items()
        }
        found = outcome(Played(self._scenario, account, self._refused))
        simulated = outcome(play(self._scenario, self._catalog))
        return PlayedOnClock(self._scenario, self._clock, self._account_id, account, found, simulated)


def declines_of(scenario: Scenario) -> dict[date, str]:
    """On which days charges are declined in `scenario`, and with which code."""
    zone = ZoneInfo(scenario.account.timezone)
    found: dict[date, str] = {}
    for step in scenario.steps:
        if isinstance(step, verbs.PaymentFails) and scenario.account.auto_pay:
            day = instant_of(step.at, zone).date()
            while day <= (step.until or instant_of(step.at, zone).date()):
                found[day] = step.code
                day += _DAY
    return found


def check_playable(scenario: Scenario) -> None:
    """Raises NotPlayable for a scenario that a clock would play otherwise: a clock bills every day."""
    zone = ZoneInfo(scenario.account.timezone)
    stands = instant_of(scenario.steps[0].at, zone).date()
    for place, step in enumerate(scenario.steps):
        day = instant_of(step.at, zone).date()
        if isinstance(step, verbs.Usage | verbs.MoveTimeZone):
            raise NotPlayable(place, f"{step.do} is not played on a clock")
        if isinstance(step, verbs.PaymentFails):
            if not scenario.account.auto_pay:
                raise NotPlayable(
                    place, "a failed payment without automatic payment is not played on a clock"
                )
            continue
        if day != stands:
            raise NotPlayable(
                place, f"a clock bills every day: add {{at: {stands}, do: bill, to: {day}}} before this step"
            )
        if isinstance(step, verbs.Bill):
            stands = step.to or day
