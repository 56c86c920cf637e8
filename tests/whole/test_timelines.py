"""Random timelines, simulated and played on the database: equal invoices, states, balances and journals."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from sqlalchemy import Engine

from domain.simulation.outcome import outcome as comparable
from domain.simulation.play import play
from domain.simulation.scenario import Scenario
from operations.verify import verify
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.domain.publisher import CATALOG
from tests.domain.test_two_years import COUPONS, DELIVERY
from tests.whole.mirror import Mirror
from tests.whole.timelines import timelines

_QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
few = settings(max_examples=10, deadline=None, suppress_health_check=_QUIET)
many = settings(max_examples=200, deadline=None, suppress_health_check=_QUIET)


@pytest.fixture(scope="module")
def engine(pg_server: PostgresForTests) -> Iterator[Engine]:
    found = make_engine(pg_server.fresh_database("timelines"))
    yield found
    found.dispose()


def same(engine: Engine, scenario: Scenario) -> dict[str, Any]:
    simulated = comparable(play(scenario, CATALOG))
    told = Mirror(engine, scenario, CATALOG).play().told()
    assert told == simulated
    assert told["broken_laws"] == []
    return told


@few
@given(scenario=timelines())
def test_a_timeline_on_the_database_is_what_is_simulated(engine: Engine, scenario: Scenario) -> None:
    same(engine, scenario)


@pytest.mark.deep
@pytest.mark.timeout(1500)
@many
@given(scenario=timelines())
def test_many_timelines_on_the_database_are_what_is_simulated(engine: Engine, scenario: Scenario) -> None:
    same(engine, scenario)


@few
@given(scenario=timelines(plain=True))
def test_a_timeline_with_real_bill_runs_is_what_is_simulated(engine: Engine, scenario: Scenario) -> None:
    simulated = comparable(play(scenario, CATALOG))
    assert Mirror(engine, scenario, CATALOG, own_rules=False, runs=True).play().told() == simulated


@pytest.mark.deep
@pytest.mark.timeout(1500)
@many
@given(scenario=timelines(plain=True))
def test_many_timelines_with_real_bill_runs_are_what_is_simulated(engine: Engine, scenario: Scenario) -> None:
    simulated = comparable(play(scenario, CATALOG))
    assert Mirror(engine, scenario, CATALOG, own_rules=False, runs=True).play().told() == simulated


def in_dollars(steps: list[dict[str, Any]], **more: Any) -> Scenario:
    """`steps` of an account that has a year to pay, so that nothing is dunned."""
    account = {"currency": "USD", "timezone": "UTC", "auto_pay": False, "payment_terms_days": 365}
    return Scenario.model_validate({"account": account, "catalog": "-", "steps": steps, **more})


_SUBSCRIBED = [
    {"at": "2026-01-15", "do": "subscribe", "plan": "basic", "add_ons": ["paper"]},
    {"at": "2026-01-15", "do": "bill"},
]
_TO_A_YEAR = {"do": "change_plan", "item": "basic", "to": "yearly", "behaviour": "end_of_period"}


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(
            [
                {"at": "2026-01-15", "do": "pause"},
                {"at": "2026-01-15", "do": "bill"},
                {"at": "2026-01-15", "do": "resume"},
                {"at": "2026-01-15", "do": "change_plan", "to": "basic"},
                {"at": "2026-03-18", "do": "bill"},
            ],
            id="the same plan anew on the day that a pause gave back",
        ),
        pytest.param(
            [
                {"at": "2026-01-20", **_TO_A_YEAR},
                {"at": "2026-01-21", "do": "pause"},
                {"at": "2026-01-25", "do": "resume"},
                {"at": "2026-02-16", "do": "bill"},
            ],
            id="a year that waited through a pause, beside an item that resumed",
        ),
    ],
)
def test_pauses_and_changes_of_plan(engine: Engine, steps: list[dict[str, Any]]) -> None:
    same(engine, in_dollars([*_SUBSCRIBED, *steps]))


def test_a_coupon_that_has_run_out_may_be_applied_anew(engine: Engine) -> None:
    steps = [
        {"at": "2026-01-15", "do": "subscribe", "plan": "basic"},
        {"at": "2026-01-15", "do": "apply_coupon", "coupon": "TWO"},
        {"at": "2026-04-15", "do": "bill"},
        {"at": "2026-04-20", "do": "apply_coupon", "coupon": "TWO"},
        {"at": "2026-06-15", "do": "bill"},
    ]
    told = same(engine, in_dollars(steps, coupons=COUPONS))
    assert told["refused"] == []
    cut = [sum(line["coupon"] == "TWO" for line in each["lines"]) for each in told["invoices"]]
    assert cut == [3, 2]  # of four periods, and of two


@pytest.mark.parametrize(
    "paused", [[], [{"at": "2026-02-14", "do": "pause"}]], ids=["on time", "paused meanwhile"]
)
def test_a_missed_issue_waits_for_the_next_bill(engine: Engine, paused: list[dict[str, Any]]) -> None:
    """Of its subscription: a run that is dated before finds nothing due. While a pause lets no bill come, the run of
    the day gives it back."""
    steps = [
        {"at": "2026-01-15", "do": "subscribe", "plan": "bundle"},
        {"at": "2026-01-15", "do": "bill"},
        {"at": "2026-01-15", "do": "holiday_stop", "from": "2026-01-16", "until": "2026-01-22"},
        {"at": "2026-02-04", "do": "bill"},
        *paused,
        {"at": "2026-02-15", "do": "bill"},
    ]
    played = in_dollars(steps, delivery=DELIVERY)
    told = same(engine, played)
    assert Mirror(engine, played, CATALOG, runs=True).play().told() == told
    documents = [*told["invoices"], *told["credit_notes"]]
    missed = [[line["kind"] for line in each["lines"]].count("delivery_credit") for each in documents]
    assert missed == ([0, 2, 0] if paused else [0, 2])


def test_what_is_used_on_the_day_a_pause_ends_is_recorded(engine: Engine) -> None:
    steps = [
        {"at": "2026-01-15", "do": "subscribe", "plan": "metered"},
        {"at": "2026-01-15", "do": "pause", "until": "2026-01-16"},
        {"at": "2026-01-16", "do": "usage", "meter": "articles", "quantity": "1"},
        {"at": "2026-02-16", "do": "bill"},
    ]
    assert same(engine, in_dollars(steps, policy={"pause": {"paid_time": "credit"}}))["refused"] == []


def test_a_gift_s_charge_is_adjusted_on_a_later_invoice(engine: Engine) -> None:
    steps = [
        {"at": "2026-01-15", "do": "subscribe", "plan": "basic", "name": "main"},
        {"at": "2026-01-15", "do": "gift", "plan": "basic", "name": "for-ann"},
        {"at": "2026-01-15", "do": "bill"},
        {"at": "2026-01-16", "do": "adjust_line", "invoice": 1, "line": 1, "amount": "2", "reason": "sent"},
        {"at": "2026-02-15", "do": "bill"},
    ]
    same(engine, in_dollars(steps))


def test_the_books_of_all_timelines_keep_the_laws(engine: Engine) -> None:
    broken = [(law.law, law.violations) for law in verify(engine) if not law.ok]
    assert broken == []
