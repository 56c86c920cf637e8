"""Accounts live on the database by commands, usage, bill runs, episodes and transfers, in any order and two at once;
after each step they are what they are in memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import partial
from itertools import permutations
from typing import Any, ClassVar
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from pydantic import TypeAdapter
from sqlalchemy import Engine

from domain.account import commands as verbs
from domain.account.acting import attempt
from domain.account.commands import Step
from domain.account.days import advance, bill_by
from domain.account.state import AccountState, Subscription, snapshot
from domain.rule_book import RuleBook
from domain.simulation.outcome import outcome
from domain.simulation.play import Played, open_world
from domain.simulation.scenario import Scenario
from operations.accounts.commands import AccountCommands, CommandRefused
from operations.accounts.transfers import hand_over, move
from operations.rule_books import load_rule_book
from operations.subscriptions import follow_up_subscription, settle_subscription
from operations.usage import UsageOrder, record_usage
from operations.verify import verify
from storage.database import make_engine, transaction
from storage.sight import EVERYTHING
from tests.conftest import PostgresForTests
from tests.domain.publisher import CATALOG, PLANS
from tests.domain.test_two_years import COUPONS, DELIVERY
from tests.whole.test_at_once import Together, at_once

STEP: TypeAdapter[Any] = TypeAdapter(Step)
FIRST = date(2026, 1, 15)
DAY = timedelta(days=1)
MAIN = "main"  # what the subscription is called
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
    _do("apply_coupon", coupon=st.sampled_from(["TEN", "TWO"])),
    _do("holiday_stop", days=st.integers(1, 20)),
)
used = _do("usage", meter=st.just("articles"), quantity=st.integers(1, 20))
# What its workflows do as soon as a worker is there; and its subscription handed to another payer.
EPISODE, TRANSFER = "episode", "transfer"
asked = st.one_of(commands, used, st.just({"do": TRANSFER}))
anything = st.one_of(asked, st.just({"do": "bill"}), st.just({"do": EPISODE}))
# How many accounts a subscription may go through.
MOST_ACCOUNTS = 3


@dataclass
class One:
    """An account on the database (`mirror`), and in memory (`model`)."""

    mirror: Together
    model: AccountState


class Life(RuleBasedStateMachine):
    """The accounts that a subscription has gone through; `own` is the one that things are asked of."""

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
        self.scenario = Scenario.model_validate(
            {
                "account": account,
                "catalog": "-",
                "coupons": COUPONS,
                "delivery": DELIVERY,
                "steps": [first],
            }
        )
        self.day = FIRST
        self.own = self.opened()
        self.all = [self.own]
        self.command({"do": "subscribe", "plan": plan}, again=False)

    @rule(days=st.sampled_from([1, 3, 7, 13, 20, 31]))
    def days_pass(self, days: int) -> None:
        self.day = min(self.day + days * DAY, LAST)
        for each in self.all:
            advance(each.model, self.day)

    # No precondition: how many accounts there are may depend on who was first.
    @rule()
    def turn_to_another_account(self) -> None:
        self.own = self.all[(self.all.index(self.own) + 1) % len(self.all)]

    @rule(asked=commands, again=st.booleans())
    def command(self, asked: dict[str, Any], again: bool) -> None:
        """A command, which may come twice."""
        step, own = self.step(asked), str(uuid4())
        refused = self.in_memory(step)
        answers = [self.carried_out(step, own) for _ in range(1 + again)]
        assert [answer is None for answer in answers] == [refused] * len(answers)
        assert answers == answers[:1] * len(answers)

    @rule(asked=used)
    def usage(self, asked: dict[str, Any]) -> None:
        step = self.step(asked)
        self.in_memory(step)
        self.own.mirror.step(step)

    @rule()
    def bill(self) -> None:
        self.in_memory(self.step({"do": "bill"}))
        self.own.mirror.bill(self.day)

    @rule(days=st.integers(1, 20))
    def bill_ahead(self, days: int) -> None:
        """A run dated ahead, which takes nobody there."""
        self.own.model, _ = bill_by(self.own.model, self.day + days * DAY)
        self.own.mirror.bill(self.day + days * DAY, self.noon())

    @rule()
    def episodes_come(self) -> None:
        self.episodes()

    @rule(pair=st.tuples(asked, anything))
    def two_at_once(self, pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
        """What comes of it is what comes of one of the orders."""
        own, steps = self.own, [self.step(each) for each in pair]
        taker = self.opened() if TRANSFER in steps and len(self.all) < MOST_ACCOUNTS else None
        two = [own] if taker is None else [own, taker]
        before = [each.model for each in two]
        orders = []
        for order in permutations(steps):
            for each, model in zip(two, before, strict=True):
                each.model = snapshot(model)
            for step in order:
                self.in_memory(step, taker)
            orders.append([each.model for each in two])
        at_once([partial(self.done, step, taker) for step in steps])
        found = [self.on_the_database(each) for each in two]
        told = [[self.told(model) for model in models] for models in orders]
        assert found in told
        for each, model in zip(two, orders[told.index(found)], strict=True):
            each.model = model
        if taker is not None and taker.model.subscriptions:
            self.own = taker
            self.all.append(taker)

    @invariant()
    def they_are_what_they_are_in_memory(self) -> None:
        for each in self.all:
            assert self.on_the_database(each) == self.told(each.model)

    def opened(self) -> One:
        """Another account."""
        one = One(
            Together(self.engine, self.scenario, CATALOG, own_rules=False, runs=True),
            open_world(self.scenario, CATALOG),
        )
        one.model.id = one.mirror.account_id
        advance(one.model, self.day)
        return one

    def step(self, asked: dict[str, Any]) -> Any:
        """A step as the rules take it; an episode and a transfer, which are none, by their names."""
        if asked["do"] in (EPISODE, TRANSFER):
            return asked["do"]
        given = {key: value for key, value in asked.items() if value is not None and key != "days"}
        if "days" in asked:
            first = self.day + DAY
            given |= {"from": str(first)} if asked["do"] == "holiday_stop" else {}
            given["until"] = str(first + (asked["days"] - 1) * DAY)
        # By noon, when commands come, a print cut-off elsewhere may have passed that had not when the day began.
        at = self.noon() if asked["do"] == "holiday_stop" else str(self.day)
        return STEP.validate_python({**given, "at": at})

    def in_memory(self, step: Any, taker: One | None = None) -> bool:
        """Take the step in memory; whether it was refused. An episode changes nothing: what it records is so already
        by the dates."""
        if step == EPISODE or (step == TRANSFER and taker is None):
            return False
        if step == TRANSFER:
            assert taker is not None
            try:
                move(self.own.model, taker.model, MAIN, MAIN)
            except ValueError:
                return True
            return False
        refused = attempt(self.own.model, step)
        if refused is not None:
            self.own.model = refused[0]
        return refused is not None

    def done(self, step: Any, taker: One | None) -> None:
        """Take the step on the database, whether it is refused or not."""
        if step == EPISODE:
            self.episodes()
        elif step == TRANSFER:
            if taker is not None:
                self.handed_over(taker.mirror)
        elif isinstance(step, verbs.Usage):
            self.recorded(step)
        else:
            self.own.mirror.do(step)

    def episodes(self) -> None:
        """What the workflows of its subscriptions do as soon as a worker is there."""
        for own in self.ids():
            settle_subscription(self.engine, own, self.noon(), self.own.mirror.tariff)
            follow_up_subscription(self.engine, own, self.noon())

    def handed_over(self, taker: Together) -> None:
        giver = self.own.mirror
        with suppress(CommandRefused), transaction(self.engine) as connection:
            hand_over(
                connection,
                giver.tariff,
                giver._name(MAIN),
                giver.account_id,
                taker.account_id,
                str(uuid4()),
                self.noon(),
                new_name=taker._name(MAIN),
            )

    def recorded(self, step: verbs.Usage) -> None:
        assert step.quantity is not None
        orders = [
            UsageOrder(own, step.meter, self.noon(), step.quantity, str(uuid4())) for own in self.ids()[:1]
        ]
        with transaction(self.engine) as connection:
            record_usage(connection, self.own.mirror.tariff.book, EVERYTHING, orders, self.noon())

    def ids(self) -> list[str]:
        """Its subscriptions."""
        with transaction(self.engine) as connection:
            found = connection.execute(
                "select id::text from subscription where account_id = %s", (self.own.mirror.account_id,)
            ).fetchall()
        return [own for (own,) in found]

    def carried_out(self, step: verbs.Step, command: str) -> dict[str, Any] | None:
        """What the command came to; None where it was refused."""
        carry_out = AccountCommands(self.engine).carry_out
        mirror = self.own.mirror
        try:
            return carry_out(mirror.account_id, command, mirror._named(step), self.noon()).answer
        except CommandRefused:
            return None

    def noon(self) -> datetime:
        return datetime.combine(self.day, time(12), ZoneInfo(self.scenario.account.timezone))

    def on_the_database(self, one: One) -> dict[str, Any]:
        """What the account comes to when its days until today are counted, which nobody may have recorded yet."""
        account = one.mirror.account()
        advance(account, self.day)
        return self.told(account)

    def told(self, account: AccountState) -> dict[str, Any]:
        found = outcome(Played(self.scenario, snapshot(account)))
        assert found["broken_laws"] == []
        # What is to come, which no report shows.
        found["ahead"] = [_ahead(each) for each in account.subscriptions.values()]
        # In which order lines wait decides which of them gets a cent of the tax.
        found["waits"] = [(line.kind, line.amount) for each in account.pending for line in each.lines]
        found["bill_cycle_day"] = account.bill_cycle_day  # which nothing that runs may show
        found["used"] = sorted(
            (each.meter, each.at, each.quantity) for each in account.usage if each.billed is None
        )
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
        tuple(terms.discounts),
        subscription.entitled,
        subscription.pauses,
        subscription.moved,
    )


@pytest.fixture(scope="module")
def engine(pg_server: PostgresForTests) -> Iterator[Engine]:
    found = make_engine(pg_server.fresh_database("life"))
    load_rule_book(found, RuleBook.model_validate({"coupons": COUPONS, "delivery": DELIVERY}))
    yield found
    found.dispose()


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("examples", "steps"), [(4, 10), pytest.param(80, 40, marks=pytest.mark.deep)], ids=["few", "many"]
)
def test_accounts_on_the_database_are_what_they_are_in_memory(
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
