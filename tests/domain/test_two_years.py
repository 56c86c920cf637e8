"""Random commands and bill runs over two years of an account; after each step the laws of the books hold."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from pydantic import TypeAdapter

from domain.account import collecting
from domain.account.acting import attempt, instant_of
from domain.account.commands import Step
from domain.account.days import advance, bill_by
from domain.account.laws import broken_laws
from domain.account.state import AccountState
from domain.simulation.play import open_world
from domain.simulation.scenario import Scenario
from tests.domain.publisher import CATALOG, PLANS

FIRST, LAST = date(2026, 1, 15), date(2028, 1, 15)
STEPS: TypeAdapter[Any] = TypeAdapter(Step)
COUPONS = [
    {"code": "TEN", "percent": "10", "duration": "forever"},
    {
        "code": "TWO",
        "amounts": {"USD": "2.00", "EUR": "2.00", "JPY": "200"},
        "duration": "periods",
        "periods": 3,
    },
]
BEHAVIOURS = ["immediate_with_proration", "immediate_without_proration", "end_of_period", "restart_period"]
DELIVERY = {
    "edition": "paper",
    "zone": "America/New_York",
    "weekdays": ["sat", "sun"],
    "cut_off": {"at": "18:00", "days_before": 1},
}

policies = st.fixed_dictionaries(
    {
        "proration": st.sampled_from(["day", "second"]),
        "tax_rounding": st.sampled_from(["line", "invoice"]),
        "pause": st.fixed_dictionaries(
            {"paid_time": st.sampled_from(["credit", "extend"]), "extends_term": st.booleans()}
        ),
        "cancel": st.fixed_dictionaries(
            {
                "credit": st.sampled_from(["prorated", "none", "whole_period"]),
                "to": st.sampled_from(["account_credit", "refund"]),
            }
        ),
        "changes": st.fixed_dictionaries(
            {
                "upgrade": st.sampled_from(BEHAVIOURS),
                "downgrade": st.sampled_from(BEHAVIOURS),
                "interval_change": st.sampled_from(["end_of_period", "restart_period"]),
                "intro_again": st.booleans(),
            }
        ),
        "credit_expires_after_days": st.sampled_from([None, 60]),
    }
)
accounts = st.fixed_dictionaries(
    {
        "currency": st.sampled_from(["USD", "EUR", "JPY"]),
        "timezone": st.sampled_from(["UTC", "America/New_York", "Asia/Tokyo"]),
        "bill_cycle_day": st.sampled_from([None, 1, 31]),
        "auto_pay": st.booleans(),
        "tax": st.fixed_dictionaries(
            {
                "region": st.sampled_from([None, "US-NY"]),
                "inclusive": st.booleans(),
                "treatment": st.sampled_from(["taxable", "taxable", "exempt", "reverse_charge"]),
            }
        ),
    }
)
plans = st.sampled_from(PLANS)
names = st.sampled_from(["main", "second"])


# Of things that whoever asked knows by another name.
KEY = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-|payment payment")


class TwoYears(RuleBasedStateMachine):
    """One account; each rule is a step of a scenario on the current day."""

    world: AccountState

    def __init__(self) -> None:
        super().__init__()
        self.day = FIRST
        self.now = ""
        self.issued: dict[int, list[tuple[Any, ...]]] = {}

    @initialize(account=accounts, policy=policies, plan=plans, quantity=st.integers(1, 4))
    def begin(self, account: dict[str, Any], policy: dict[str, Any], plan: str, quantity: int) -> None:
        first = {"at": str(FIRST), "do": "subscribe", "plan": plan, "quantity": quantity}
        scenario = {
            "account": account,
            "catalog": "-",
            "policy": policy,
            "coupons": COUPONS,
            "delivery": DELIVERY,
            "steps": [first],
        }
        self.world = open_world(Scenario.model_validate(scenario), CATALOG)
        self.do(first)

    def do(self, step: dict[str, Any]) -> None:
        # Within a day time does not go back.
        self.now = max(self.now, step.get("at", ""), str(self.day))
        at = self.now if "at" in step else str(self.day)
        parsed = STEPS.validate_python({**step, "at": at})
        advance(self.world, instant_of(parsed.at, self.world.zone).date())
        refused = attempt(self.world, parsed)
        if refused is not None:
            self.world, reason = refused
            assert not KEY.search(reason), reason

    @rule(days=st.sampled_from([1, 1, 3, 7, 13, 20, 31, 90]))
    def days_pass(self, days: int) -> None:
        self.day = min(self.day + timedelta(days=days), LAST)

    @rule()
    def bill(self) -> None:
        self.do({"do": "bill"})

    @rule(days=st.sampled_from([1, 10, 20, 45]))
    def bill_ahead(self, days: int) -> None:
        advance(self.world, self.day)
        self.world, _ = bill_by(self.world, self.day + timedelta(days=days))
        if self.world.terms.auto_pay and self.world.collecting is None:
            collecting.charge(self.world)
        collecting.judge(self.world)

    @rule(plan=plans, quantity=st.integers(1, 3))
    def subscribe(self, plan: str, quantity: int) -> None:
        self.do({"do": "subscribe", "plan": plan, "name": "second", "quantity": quantity})

    @rule(name=names, plan=plans, time=st.sampled_from(["", "T09:30", "T23:59:59"]))
    def change_plan(self, name: str, plan: str, time: str) -> None:
        self.do({"do": "change_plan", "at": f"{self.day}{time}", "subscription": name, "to": plan})

    @rule(name=names, quantity=st.integers(1, 5), time=st.sampled_from(["", "T09:30"]))
    def change_quantity(self, name: str, quantity: int, time: str) -> None:
        step = {"do": "change_quantity", "subscription": name, "quantity": quantity}
        self.do({**step, "at": f"{self.day}{time}"})

    @rule(name=names, days=st.sampled_from([None, 1, 10, 45]))
    def pause(self, name: str, days: int | None) -> None:
        until = None if days is None else str(self.day + timedelta(days=days))
        self.do({"do": "pause", "subscription": name, "until": until})

    @rule(name=names)
    def resume(self, name: str) -> None:
        self.do({"do": "resume", "subscription": name})

    @rule(name=names, when=st.sampled_from(["now", "end_of_period"]), time=st.sampled_from(["", "T15:00"]))
    def cancel(self, name: str, when: str, time: str) -> None:
        self.do({"do": "cancel", "at": f"{self.day}{time}", "subscription": name, "when": when})

    @rule(name=names)
    def reactivate(self, name: str) -> None:
        self.do({"do": "reactivate", "subscription": name})

    @rule(name=names, quantity=st.integers(1, 20))
    def usage(self, name: str, quantity: int) -> None:
        self.do({"do": "usage", "subscription": name, "meter": "articles", "quantity": quantity})

    @rule(code=st.sampled_from(["insufficient_funds", "expired_card"]))
    def payment_fails(self, code: str) -> None:
        if self.world.terms.auto_pay:
            self.world.failing[self.day] = code
        else:
            self.do({"do": "payment_fails", "code": code})

    @rule(amount=st.sampled_from([None, "1", "20", "500"]))
    def pay(self, amount: str | None) -> None:
        self.do({"do": "pay", "amount": amount})

    @rule(amount=st.sampled_from([None, "3"]))
    def refund(self, amount: str | None) -> None:
        self.do({"do": "refund", "amount": amount})

    @rule(amount=st.sampled_from(["1", "30"]))
    def grant(self, amount: str) -> None:
        self.do({"do": "grant_credit", "amount": amount})

    @precondition(lambda self: self.world.invoices)
    @rule(
        data=st.data(), amount=st.sampled_from([None, "2"]), to=st.sampled_from(["account_credit", "refund"])
    )
    def credit_note(self, data: st.DataObject, amount: str | None, to: str) -> None:
        self.do({"do": "credit_note", "invoice": self.some_invoice(data), "amount": amount, "to": to})

    @precondition(lambda self: self.world.invoices)
    @rule(data=st.data(), amount=st.sampled_from(["-1", "2"]))
    def adjust(self, data: st.DataObject, amount: str) -> None:
        self.do({"do": "adjust_line", "invoice": self.some_invoice(data), "line": 1, "amount": amount})

    @precondition(lambda self: self.world.invoices)
    @rule(data=st.data())
    def void(self, data: st.DataObject) -> None:
        self.do({"do": "void", "invoice": self.some_invoice(data)})

    @rule()
    def write_off(self) -> None:
        self.do({"do": "write_off"})

    @rule(day=st.sampled_from([1, 15, 28, 31]))
    def bill_cycle_day(self, day: int) -> None:
        self.do({"do": "set_bill_cycle_day", "day": day})

    @rule(zone=st.sampled_from(["UTC", "Pacific/Auckland"]))
    def time_zone(self, zone: str) -> None:
        self.do({"do": "move_time_zone", "timezone": zone})

    @rule(name=names, coupon=st.sampled_from(["TEN", "TWO"]))
    def coupon(self, name: str, coupon: str) -> None:
        self.do({"do": "apply_coupon", "subscription": name, "coupon": coupon})

    @rule(name=names, days=st.integers(1, 20))
    def holiday_stop(self, name: str, days: int) -> None:
        start = self.day + timedelta(days=1)
        until = start + timedelta(days=days)
        self.do({"do": "holiday_stop", "subscription": name, "from": str(start), "until": str(until)})

    @rule(plan=st.sampled_from(["basic", "yearly"]))
    def gift(self, plan: str) -> None:
        self.do({"do": "gift", "plan": plan})

    @rule()
    def claim(self) -> None:
        self.do({"do": "claim"})

    @rule()
    def refund_gift(self) -> None:
        self.do({"do": "refund_gift"})

    def some_invoice(self, data: st.DataObject) -> int:
        return data.draw(st.integers(1, len(self.world.invoices)))

    @invariant()
    def the_laws_hold(self) -> None:
        if hasattr(self, "world"):
            assert broken_laws(self.world) == [], broken_laws(self.world)

    @invariant()
    def what_was_issued_stays(self) -> None:
        # law 9
        for invoice in self.world.invoices if hasattr(self, "world") else []:
            lines = [(line.kind, line.period_start, line.period_end, line.amount) for line in invoice.lines]
            assert self.issued.setdefault(invoice.number, lines) == lines


_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

TestTwoYears = TwoYears.TestCase
TestTwoYears.settings = settings(
    max_examples=12, stateful_step_count=40, deadline=None, suppress_health_check=_QUIET
)


class ManyTwoYears(TwoYears):
    """The same, many more of them."""


TestManyTwoYears = pytest.mark.deep(ManyTwoYears.TestCase)
TestManyTwoYears.settings = settings(
    max_examples=400, stateful_step_count=60, deadline=None, suppress_health_check=_QUIET
)
