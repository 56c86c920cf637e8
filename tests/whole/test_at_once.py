"""Two things at once on one account, command or bill run: what comes of it is one of the two serial orders."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from datetime import date, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter
from sqlalchemy import Engine

from domain.account import commands as verbs
from domain.account.acting import instant_of
from domain.account.commands import Step
from domain.simulation.outcome import outcome as comparable
from domain.simulation.play import play
from domain.simulation.scenario import Scenario
from operations.accounts.commands import AccountCommands, CommandRefused, CommandReused
from operations.verify import verify
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.domain.publisher import CATALOG, PLANS
from tests.whole.mirror import Mirror

_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
STEP: TypeAdapter[Any] = TypeAdapter(Step)
FIRST = date(2026, 1, 15)

plans = st.sampled_from(PLANS)
actions = st.one_of(
    st.just({"do": "bill"}),
    st.just({"do": "bill"}),
    st.fixed_dictionaries({"do": st.just("change_plan"), "to": plans}),
    st.fixed_dictionaries({"do": st.just("change_quantity"), "quantity": st.integers(1, 4)}),
    st.just({"do": "pause"}),
    st.just({"do": "cancel", "when": "now"}),
    st.just({"do": "cancel", "when": "end_of_period"}),
    st.fixed_dictionaries({"do": st.just("pay"), "amount": st.sampled_from([None, "5"])}),
)


@pytest.fixture(scope="module")
def engine(pg_server: PostgresForTests) -> Iterator[Engine]:
    found = make_engine(pg_server.fresh_database("at_once"))
    yield found
    found.dispose()


def scenario(steps: list[dict[str, Any]]) -> Scenario:
    account = {"currency": "USD", "auto_pay": False, "payment_terms_days": 365, "tax": {"region": "US-NY"}}
    return Scenario.model_validate({"account": account, "catalog": "-", "steps": steps})


def outcome(found: dict[str, Any]) -> dict[str, Any]:
    """What it comes to, whatever the order in which what was refused was asked for."""
    return {key: value for key, value in found.items() if key != "refused"}


def at_once(acts: Sequence[Callable[[], None]]) -> None:
    """Do all of it in the same moment, each in a thread of its own."""
    barrier = threading.Barrier(len(acts))
    failures: list[BaseException] = []

    def run(act: Callable[[], None]) -> None:
        barrier.wait()
        try:
            act()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(act,)) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


class Together(Mirror):
    """An account of which two things are asked in the same moment."""

    def do(self, step: Any, command: str | None = None) -> None:
        if isinstance(step, verbs.Bill):
            self.bill(step.at)
            return
        commands = AccountCommands(self.engine)
        with suppress(CommandRefused):
            commands.carry_out(self.account_id, command or str(uuid4()), self._named(step), self.now(step.at))

    def now(self, day: Any) -> Any:
        return instant_of(day, self.zone())


@pytest.mark.parametrize("deep", [pytest.param(60, marks=pytest.mark.deep), 8])
def test_two_at_once_are_one_of_the_serial_orders(engine: Engine, deep: int) -> None:
    @settings(max_examples=deep, deadline=None, suppress_health_check=_QUIET)
    @given(plan=plans, days=st.integers(0, 70), billed=st.booleans(), pair=st.tuples(actions, actions))
    def check(plan: str, days: int, billed: bool, pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
        day = FIRST + timedelta(days=days)
        before: list[dict[str, Any]] = [{"at": str(FIRST), "do": "subscribe", "plan": plan}]
        if billed:
            before.append({"at": str(FIRST), "do": "bill"})
        two = [{**each, "at": str(day)} for each in pair]
        orders = [
            outcome(comparable(play(scenario([*before, *order]), CATALOG))) for order in (two, two[::-1])
        ]
        account = Together(engine, scenario([*before, *two]), CATALOG, own_rules=False, runs=True)
        for step in account.scenario.steps[: len(before)]:
            account.step(step)
        at_once([partial(account.do, step) for step in account.scenario.steps[len(before) :]])
        account.look(account.now(day))
        assert outcome(account.told()) in orders

    check()


def test_the_same_command_twice_at_once_is_carried_out_once(engine: Engine) -> None:
    steps: list[dict[str, Any]] = [{"at": str(FIRST), "do": "subscribe", "plan": "basic"}]
    account = Together(engine, scenario([*steps]), CATALOG, own_rules=False, runs=True)
    account.step(account.scenario.steps[0])
    step = account._named(STEP.validate_python({"at": str(FIRST), "do": "grant_credit", "amount": "5"}))
    now = account.now(FIRST)
    told: list[tuple[bool, dict[str, Any]]] = []

    def ask() -> None:
        found = AccountCommands(engine).carry_out(account.account_id, "once", step, now)
        told.append((found.repeated, found.answer))

    at_once([ask, ask])
    assert sorted(repeated for repeated, _ in told) == [False, True]
    assert told[0][1] == told[1][1]
    assert account.account().credit.grants[0].amount == 500
    assert len(account.account().credit.grants) == 1
    other = STEP.validate_python({"at": str(FIRST), "do": "grant_credit", "amount": "6"})
    with pytest.raises(CommandReused, match="a new command needs an id of its own"):
        AccountCommands(engine).carry_out(account.account_id, "once", other, now)


def test_a_refused_command_leaves_nothing_and_is_refused_again(engine: Engine) -> None:
    account = Together(
        engine,
        scenario([{"at": str(FIRST), "do": "subscribe", "plan": "basic"}]),
        CATALOG,
        own_rules=False,
        runs=True,
    )
    account.step(account.scenario.steps[0])
    before = account.told()
    step = account._named(STEP.validate_python({"at": str(FIRST), "do": "resume"}))
    for _ in range(2):
        with pytest.raises(CommandRefused, match="is not paused"):
            AccountCommands(engine).carry_out(account.account_id, "resume", step, account.now(FIRST))
    assert account.told() == before
    with transaction(engine) as connection:
        row = connection.execute(
            "select count(*) from command where account_id = %s", (account.account_id,)
        ).fetchone()
    assert row == (1,)


def test_the_laws_hold_after_all_of_it(engine: Engine) -> None:
    assert [(law.law, law.violations) for law in verify(engine) if not law.ok] == []
