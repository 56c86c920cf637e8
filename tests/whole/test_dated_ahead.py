"""A bill run dated ahead bills what is due by its day, and takes no account beyond the day that it really has."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from sqlalchemy import Engine

from domain.account.acting import attempt
from domain.account.days import advance, bill_by
from domain.account.laws import broken_laws
from domain.account.state import AccountState
from domain.simulation.play import open_world, play
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


KEEPS = {"pause": {"paid_time": "extend"}}
BETWEEN: dict[str, tuple[str, dict[str, Any], list[dict[str, Any]]]] = {
    "a restart in a trial": (
        "trial",
        {},
        [
            at(date(2026, 1, 16), "ahead", to="2026-02-10"),
            at(date(2026, 1, 17), "change_plan", to="yearly"),
            at(date(2026, 1, 29), "bill"),
        ],
    ),
    "a cancel in a trial that is taken back": (
        "trial",
        {},
        [
            at(date(2026, 1, 16), "ahead", to="2026-02-10"),
            at(date(2026, 1, 17), "cancel", when="end_of_period"),
            at(date(2026, 1, 18), "reactivate"),
            at(date(2026, 1, 29), "bill"),
        ],
    ),
    "a newer change in the place of one that was billed": (
        "plus",
        {},
        [
            at(FIRST, "bill"),
            at(TODAY, "change_plan", to="basic", behaviour="end_of_period"),
            at(TODAY, "ahead", to=str(AHEAD)),
            at(date(2026, 2, 11), "change_plan", to="seats", behaviour="end_of_period"),
            at(date(2026, 2, 12), "bill"),
            at(date(2026, 2, 13), "change_plan", to="bundle", behaviour="immediate_with_proration"),
            at(date(2026, 2, 16), "bill"),
        ],
    ),
    "a change of interval behind one that was billed": (
        "plus",
        {},
        [
            at(FIRST, "bill"),
            at(TODAY, "change_plan", to="basic", behaviour="end_of_period"),
            at(TODAY, "ahead", to=str(AHEAD)),
            at(date(2026, 2, 11), "change_plan", to="yearly", behaviour="end_of_period"),
            at(date(2026, 3, 15), "bill"),
        ],
    ),
    "a pause that keeps what was billed, and a change that waits": (
        "basic",
        KEEPS,
        [
            at(FIRST, "bill"),
            at(TODAY, "ahead", to=str(AHEAD)),
            at(date(2026, 2, 11), "change_plan", to="yearly", behaviour="end_of_period"),
            at(date(2026, 2, 12), "pause"),
            at(date(2026, 2, 22), "resume"),
            at(date(2026, 3, 1), "change_quantity", quantity=2),
            at(date(2026, 3, 26), "bill"),
        ],
    ),
    "a void of what a pause moved": (
        "basic",
        KEEPS,
        [
            at(FIRST, "bill"),
            at(TODAY, "ahead", to=str(AHEAD)),
            at(date(2026, 2, 11), "pause"),
            at(date(2026, 2, 13), "resume"),
            at(date(2026, 2, 13), "void", invoice=2),
            at(date(2026, 2, 17), "bill"),
        ],
    ),
}


@pytest.mark.parametrize("case", BETWEEN)
def test_what_comes_in_between_comes_to_the_same_in_the_books(engine: Engine, case: str) -> None:
    plan, policy, steps = BETWEEN[case]
    given = Scenario.model_validate(
        {
            "account": {"currency": "USD", "auto_pay": False, "payment_terms_days": 365},
            "catalog": "-",
            "policy": policy,
            "steps": [at(FIRST, "subscribe", plan=plan), *(each for each in steps if each["do"] != "ahead")],
        }
    )
    mirror = Mirror(engine, given, CATALOG, runs=True)
    account = open_world(given, CATALOG)
    parsed = iter(given.steps)
    for each in [at(FIRST, "subscribe"), *steps]:
        day = date.fromisoformat(each["at"])
        advance(account, day)
        if each["do"] == "ahead":
            to = date.fromisoformat(each["to"])
            account, _ = bill_by(account, to)
            mirror.bill(to, datetime.combine(day, time(12), UTC))
        else:
            step = next(parsed)
            assert attempt(account, step) is None
            mirror.step(step)
        assert mirror.refused == []
        assert stands(mirror.account()) == stands(account), each
    assert broken_laws(mirror.account()) == []


def stands(account: AccountState) -> dict[str, Any]:
    [subscription] = account.subscriptions.values()
    terms, later = subscription.terms, subscription.later
    return {
        "invoices": invoiced(account),
        "credit notes": [(note.issued_on, note.gross) for note in account.credit_notes],
        "charged": (terms.charged_through, terms.arrears_through, terms.next_bill_on, terms.anchor),
        "items": [(item.plan, item.starts_on, item.ends_on) for item in terms.items],
        "later": later and (later[0], later[1].plan),
        "read": subscription.entitled,
        "moved": [(move.paused_on, move.resumed_on, len(move.lines or ())) for move in subscription.moved],
    }


def test_the_books_keep_the_laws(engine: Engine) -> None:
    assert [(law.law, law.violations) for law in verify(engine) if not law.ok] == []
