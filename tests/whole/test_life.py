"""One account lives on the database by commands, usage, bill runs and its episodes, in any order and two at once; after
each step it is what it is in memory."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from itertools import permutations
from typing import Any, ClassVar
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from pydantic import TypeAdapter
from sqlalchemy import Engine

from domain.account import commands as verbs
from domain.account.acting import attempt
from domain.account.commands import Step
from domain.account.days import advance, bill_by
from domain.account.state import AccountState, Subscription, snapshot
from domain.simulation.outcome import outcome
from domain.simulation.play import Played, open_world
from domain.simulation.scenario import Scenario
from operations.accounts.commands import AccountCommands, CommandRefused
from operations.subscriptions import follow_up_subscription, settle_subscription
from operations.verify import verify
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.domain.publisher import CATALOG, PLANS
from tests.whole.test_at_once import Together

STEP: TypeAdapter[Any] = TypeAdapter(Step)
FIRST = date(2026, 1, 15)
DAY = timedelta(days=1)
LAST = (
    FIRST + 330 * DAY
)  # after a year of payment terms invoices would be dunned, which live accounts leave to others


def _do(verb: str, **fields: Any) -> Any:
    return st.fixed_dictionaries({"do": st.just(verb), **fields})


plans = st.sampled_from(PLANS)
behaviours = st.sampled_from([None, "end_of_period", "restart_period", "immediate_with_proration"])
commands = st.one_of(
    _do("change_plan", to=plans, behaviour=behaviours),
    _do("change_quantity", quantity=st.integers(1, 4)),
    _do("pause"),
    _do("pause", days=st.sampled_from([1, 10, 45])),
    _do("resume"),
    _do("cancel", when=st.sampled_from(["now", "end_of_period"])),
    _do("reactivate"),
    _do("pay", amount=st.sampled_from([None, "5"])),
    _do("grant_credit", amount=st.sampled_from(["1", "30"])),
    _do("set_bill_cycle_day", day=st.sampled_from([1, 15, 31])),
)
runs = st.just({"do": "bill"})


class Life(RuleBasedStateMachine):
    """The account on the database (`mirror`), and in memory (`model`)."""

    engine: ClassVar[Engine]

    @initialize(plan=plans, zone=st.sampled_from(["UTC", "Pacific/Auckland", "Pacific/Honolulu"]))
    def begin(self, plan: str, zone: str) -> None:
        account = {
            "currency": "USD",
            "timezone": zone,
            "auto_pay": False,
            "payment_terms_days": 365,
            "tax": {"region": "US-NY"},
        }
        first = {"at": str(FIRST), "do": "subscribe", "plan": plan}
        self.scenario = Scenario.model_validate({"account": account, "catalog": "-", "steps": [first]})
        self.model: AccountState = open_world(self.scenario, CATALOG)
        self.mirror = Together(self.engine, self.scenario, CATALOG, own_rules=False, runs=True)
        self.day = FIRST
        self.command({"do": "subscribe", "plan": plan}, again=False)

    @rule(days=st.sampled_from([1, 3, 7, 13, 20, 31]))
    def days_pass(self, days: int) -> None:
        self.day = min(self.day + days * DAY, LAST)
        advance(self.model, self.day)

    @rule(asked=commands, again=st.booleans())
    def command(self, asked: dict[str, Any], again: bool) -> None:
        """A command, which may come twice."""
        step, own = self.step(asked), str(uuid4())
        refused = self.in_memory(step)
        answers = [self.carried_out(step, own) for _ in range(1 + again)]
        assert [answer is None for answer in answers] == [refused] * len(answers)
        assert answers == answers[:1] * len(answers)

    @rule(quantity=st.integers(1, 20))
    def usage(self, quantity: int) -> None:
        step = self.step({"do": "usage", "meter": "articles", "quantity": quantity})
        self.in_memory(step)
        self.mirror.step(step)

    @rule()
    def bill(self) -> None:
        self.in_memory(self.step({"do": "bill"}))
        self.mirror.bill(self.day)

    @rule(days=st.integers(1, 20))
    def bill_ahead(self, days: int) -> None:
        """A run dated ahead, which takes nobody there."""
        self.model, _ = bill_by(self.model, self.day + days * DAY)
        self.mirror.bill(self.day + days * DAY, self.noon())

    @rule()
    def episodes_come(self) -> None:
        """What the workflows of its subscriptions do as soon as a worker is there."""
        with transaction(self.engine) as connection:
            found = connection.execute(
                "select id::text from subscription where account_id = %s", (self.mirror.account_id,)
            ).fetchall()
        for (own,) in found:
            settle_subscription(self.engine, own, self.noon(), self.mirror.tariff)
            follow_up_subscription(self.engine, own, self.noon())

    @rule(pair=st.tuples(commands, st.one_of(commands, runs)))
    def two_at_once(self, pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
        """What comes of it is what comes of one of the orders."""
        steps = [self.step(each) for each in pair]
        before = self.model
        orders = []
        for order in permutations(steps):
            self.model = snapshot(before)
            for step in order:
                self.in_memory(step)
            orders.append(self.model)
        self.mirror.at_once(steps)
        found = self.on_the_database()
        told = [self.told(each) for each in orders]
        assert found in told
        self.model = orders[told.index(found)]

    @invariant()
    def it_is_what_it_is_in_memory(self) -> None:
        assert self.on_the_database() == self.told(self.model)

    def step(self, asked: dict[str, Any]) -> Any:
        given = {key: value for key, value in asked.items() if value is not None and key != "days"}
        if "days" in asked:
            given["until"] = str(self.day + asked["days"] * DAY)
        return STEP.validate_python({**given, "at": str(self.day)})

    def in_memory(self, step: Any) -> bool:
        """Take the step in memory; whether it was refused."""
        refused = attempt(self.model, step)
        if refused is not None:
            self.model = refused[0]
        return refused is not None

    def carried_out(self, step: verbs.Step, command: str) -> dict[str, Any] | None:
        """What the command came to; None where it was refused."""
        carry_out = AccountCommands(self.engine).carry_out
        try:
            return carry_out(self.mirror.account_id, command, self.mirror._named(step), self.noon()).answer
        except CommandRefused:
            return None

    def noon(self) -> datetime:
        return datetime.combine(self.day, time(12), ZoneInfo(self.scenario.account.timezone))

    def on_the_database(self) -> dict[str, Any]:
        """What the account comes to when its days until today are counted, which nobody may have recorded yet."""
        account = self.mirror.account()
        advance(account, self.day)
        return self.told(account)

    def told(self, account: AccountState) -> dict[str, Any]:
        found = outcome(Played(self.scenario, snapshot(account)))
        assert found["broken_laws"] == []
        # What is to come, which no report shows.
        found["ahead"] = [_ahead(each) for each in account.subscriptions.values()]
        return found


def _ahead(subscription: Subscription) -> tuple[Any, ...]:
    terms, later = subscription.terms, subscription.later
    return (
        *(terms.status, terms.ends_on, terms.charged_through, terms.arrears_through, terms.next_bill_on),
        *(
            subscription.resumes_on,
            subscription.canceled_on,
            subscription.term_end,
            terms.anchor,
            terms.interval,
        ),
        later and (later[0], later[1].plan, later[1].quantity),
        [(each.plan, each.quantity, each.starts_on, each.ends_on) for each in terms.items],
        subscription.entitled,
        subscription.pauses,
        subscription.moved,
    )


@pytest.fixture(scope="module")
def engine(pg_server: PostgresForTests) -> Iterator[Engine]:
    found = make_engine(pg_server.fresh_database("life"))
    yield found
    found.dispose()


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("examples", "steps"), [(4, 10), pytest.param(40, 30, marks=pytest.mark.deep)], ids=["few", "many"]
)
def test_an_account_on_the_database_is_what_it_is_in_memory(
    engine: Engine, examples: int, steps: int
) -> None:
    Life.engine = engine
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert [(law.law, law.violations) for law in verify(engine) if not law.ok] == []
