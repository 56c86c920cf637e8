"""A bill run dated ahead bills what is due by its day, and takes no account beyond the day that it really has."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
from sqlalchemy import Engine

from domain.account.state import AccountState
from domain.simulation.play import play
from domain.simulation.scenario import Scenario
from operations.verify import verify
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.domain.publisher import CATALOG
from tests.whole.mirror import Mirror

FIRST = date(2026, 1, 15)
TODAY = date(2026, 2, 10)
AHEAD = date(2026, 2, 15)
NOON = datetime(2026, 2, 10, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def engine(pg_server: PostgresForTests) -> Iterator[Engine]:
    found = make_engine(pg_server.fresh_database("dated_ahead"))
    yield found
    found.dispose()


def scenario(steps: list[dict[str, Any]], tax: dict[str, Any] | None = None) -> Scenario:
    account = {
        "currency": "USD",
        "auto_pay": False,
        "payment_terms_days": 365,
        "tax": tax or {"region": "US-NY"},
    }
    begun: list[dict[str, Any]] = [
        {"at": str(FIRST), "do": "subscribe", "plan": "basic"},
        {"at": str(FIRST), "do": "bill"},
    ]
    return Scenario.model_validate({"account": account, "catalog": "-", "steps": [*begun, *steps]})


def at(day: date, do: str, **more: Any) -> dict[str, Any]:
    return {"at": str(day), "do": do, **more}


def billed_ahead(
    engine: Engine, steps: list[dict[str, Any]], tax: dict[str, Any] | None = None, *, own_rules: bool = False
) -> Mirror:
    """An account that went through `steps`, and was billed on TODAY by a run dated AHEAD."""
    found = Mirror(engine, scenario(steps, tax), CATALOG, own_rules=own_rules, runs=True)
    for step in found.scenario.steps:
        found.step(step)
    found.bill(AHEAD, NOON)
    return found


def invoiced(account: AccountState) -> list[Any]:
    return [
        (
            invoice.issued_on,
            invoice.total,
            invoice.balance.open,
            [(line.kind, line.period_start, line.period_end, line.amount) for line in invoice.lines],
        )
        for invoice in account.invoices
    ]


CASES: dict[str, tuple[list[dict[str, Any]], dict[str, Any] | None]] = {
    "charges that wait": ([at(TODAY, "change_plan", to="plus")], None),
    "credit in hand": ([at(TODAY, "grant_credit", amount="3.00")], None),
    "tax within prices": ([], {"region": "US-NY", "inclusive": True}),
    "a pause that was": ([at(date(2026, 2, 1), "pause"), at(TODAY, "bill")], None),
}


@pytest.mark.parametrize("own_rules", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_it_makes_the_invoice_that_simulate_makes_for_that_day(
    engine: Engine, case: str, own_rules: bool
) -> None:
    steps, tax = CASES[case]
    account = billed_ahead(engine, steps, tax, own_rules=own_rules).account()
    assert invoiced(account) == invoiced(play(scenario([*steps, at(AHEAD, "bill")], tax), CATALOG).account)
    if not case.startswith("charges"):  # which a run of TODAY would have put on an invoice of their own
        through = play(scenario([*steps, at(TODAY, "bill", to=str(AHEAD))], tax), CATALOG)
        assert invoiced(account) == invoiced(through.account)
    assert account.today == TODAY


def test_commands_of_the_real_day_count_for_it_afterwards(engine: Engine) -> None:
    account = billed_ahead(engine, [at(TODAY, "grant_credit", amount="3.00")])
    assert account.account().today == TODAY
    [later] = scenario([at(date(2026, 2, 12), "cancel", when="now")]).steps[2:]
    account.step(later)
    assert account.refused == []
    [subscription] = account.account().subscriptions.values()
    assert (subscription.canceled_on, subscription.terms.ends_on) == (date(2026, 2, 12), date(2026, 2, 12))


def test_a_pause_that_ends_in_between_goes_on_and_is_billed_on_its_day(engine: Engine) -> None:
    steps = [at(date(2026, 2, 1), "pause", until="2026-02-12")]
    account = billed_ahead(engine, steps)
    [subscription] = account.account().subscriptions.values()
    assert (subscription.resumes_on, subscription.terms.status.value) == (date(2026, 2, 12), "paused")
    account.bill(AHEAD)
    simulated = play(scenario([*steps, at(AHEAD, "bill")]), CATALOG).account
    assert invoiced(account.account()) == invoiced(simulated)


def test_a_change_of_interval_in_between_is_not_billed_by_the_old_plan(engine: Engine) -> None:
    steps = [at(TODAY, "change_plan", to="yearly", behaviour="end_of_period")]
    account = billed_ahead(engine, steps)
    assert len(account.account().invoices) == 1
    account.bill(AHEAD)
    simulated = play(scenario([*steps, at(AHEAD, "bill")]), CATALOG).account
    assert invoiced(account.account()) == invoiced(simulated)


def test_a_change_that_was_billed_ahead_is_billed_again_after_a_pause_that_gave_it_back(
    engine: Engine,
) -> None:
    account = billed_ahead(engine, [at(TODAY, "change_plan", to="seats", behaviour="end_of_period")])
    paused, resumed = scenario([at(TODAY, "pause"), at(TODAY, "resume")]).steps[2:]
    for step in (paused, resumed):
        account.step(step)
    account.bill(AHEAD)
    *_, ahead, again = account.account().invoices
    assert [(line.period_start, line.amount) for line in ahead.lines if line.kind == "recurring"] == [
        (AHEAD, 333)
    ]
    # 5 of 31 days of 10.01, and the plan that begins then.
    assert [(line.period_start, line.amount) for line in again.lines if line.kind == "recurring"] == [
        (TODAY, 161),
        (AHEAD, 333),
    ]


def test_nothing_is_given_back_ahead(engine: Engine) -> None:
    steps = [at(TODAY, "pause")]
    account = billed_ahead(engine, steps)
    assert (account.account().credit_notes, len(account.account().pending)) == ([], 1)
    account.bill(AHEAD)
    simulated = play(scenario([*steps, at(AHEAD, "bill")]), CATALOG).account
    assert [(note.issued_on, note.gross) for note in account.account().credit_notes] == [
        (note.issued_on, note.gross) for note in simulated.credit_notes
    ]


def test_the_books_keep_the_laws(engine: Engine) -> None:
    assert [(law.law, law.violations) for law in verify(engine) if not law.ok] == []
