"""Licences and parcels of an account on a clock: each is asked for on its day, and none is missed on the way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple

import pytest

from contracts.test_clock import Clock
from domain.account import commands as verbs
from domain.rule_book import RuleBook
from operations.account_records import AccountChanges, amend_account
from operations.rule_books import load_rule_book
from operations.test_clocks.clocks import arrived, order_advance
from operations.test_clocks.delivering import deliver
from operations.test_clocks.playing import play_step
from sandbox.reference.stand_in import ReferenceStandIn
from storage.database import make_engine, transaction
from storage.sight import EVERYTHING
from tests.conftest import PostgresForTests
from tests.operations.clocked import FIRST, Clocked, instant
from tests.operations.fulfilment.parcels import CONNECTED, Fulfilment

HOME = {"line1": "17 Canary Wharf Steps", "city": "Springfield", "postal_code": "12345", "country": "US"}
# Of the magazine, whose issues are dated the 1st and the 15th, and are ordered three days before.
CALENDAR = {
    "edition": "magazine",
    "zone": "America/New_York",
    "extra_days": [f"2026-{month:02}-{day:02}" for month in range(1, 7) for day in (1, 15)],
    "cut_off": {"at": "12:00", "days_before": 3},
}


class Asked(NamedTuple):
    """A call, and the local day on which the account stood."""

    day: str
    method: str
    about: str


class Reader:
    """A reader on a clock, and the systems that give licences and send parcels."""

    def __init__(self, clocked: Clocked, fulfilment: Fulfilment, *, connected: bool = True) -> None:
        self.clocked = clocked
        self.fulfilment = fulfilment
        clocked.fulfilled_by = lambda _: CONNECTED if connected else {}
        load_rule_book(clocked.engine, RuleBook.model_validate({"delivery": CALENDAR}))
        self.clock: Clock = clocked.clock()
        self.account = clocked.account(self.clock, "ada")
        with transaction(clocked.engine) as connection:
            amend_account(
                connection,
                EVERYTHING,
                self.account,
                AccountChanges(person={"name": "Ada", "address": HOME}),
                allowed=lambda _: True,
                now=instant(FIRST),
                actor="test",
            )

    async def lives(self, to: str) -> list[Asked]:
        """Play the account up to `to`, as the clock's activity does; the calls that were made."""
        engine, target, asked = self.clocked.engine, instant(to), []
        order_advance(engine, self.clock.id, target)
        asked += await self.delivered()
        while not (step := play_step(engine, self.clocked.tariffs.current(), self.account, target)).arrived:
            for subscription in step.waiting:
                self.clocked.tick(subscription, step.at)
            asked += await self.delivered()
        asked += await self.delivered()
        arrived(engine, self.clock.id)
        return asked

    async def delivered(self) -> list[Asked]:
        asked = []
        while calls := deliver(self.clocked.engine, self.clocked.fulfilled_by, self.account):
            [(day,)] = self.clocked.rows(
                "select (clock_at at time zone time_zone)::date::text from account where id = %s",
                self.account,
            )
            for call in calls:
                asked.append(Asked(day, call.method, call.about))
                await self.fulfilment.call(call)
        return asked

    def stands(self, capability: str) -> list[tuple[Any, ...]]:
        return self.clocked.rows(
            "select coalesce(terms->>'issue', 'order'), wish, told, outcome from fulfilment where capability = %s"
            " order by number",
            capability,
        )


@pytest.fixture
def clocked(pg_server: PostgresForTests) -> Iterator[Clocked]:
    engine = make_engine(pg_server.fresh_database("delivered"))
    yield Clocked(engine)
    engine.dispose()


@pytest.fixture
def fulfilment(clocked: Clocked) -> Iterator[Fulfilment]:
    with ReferenceStandIn() as stand_in:
        yield Fulfilment(clocked.engine, stand_in)


async def test_every_issue_of_three_months_is_ordered_on_its_day(
    clocked: Clocked, fulfilment: Fulfilment
) -> None:
    reader = Reader(clocked, fulfilment)
    clocked.subscribe(reader.account, "ada main", "quarterdeck")
    away = verbs.HolidayStop(
        at=FIRST,
        do="holiday_stop",
        subscription="ada main",
        **{"from": date(2026, 2, 10), "until": date(2026, 2, 20)},
    )
    clocked.do(reader.account, away)
    asked = await reader.lives("2026-04-10")
    assert [(each.day, each.about) for each in asked if each.method == "shipping.buy"] == [
        ("2026-01-12", "QD-PRINT, issue of 2026-01-15"),
        ("2026-01-29", "QD-PRINT, issue of 2026-02-01"),
        ("2026-02-26", "QD-PRINT, issue of 2026-03-01"),
        ("2026-03-12", "QD-PRINT, issue of 2026-03-15"),
        ("2026-03-29", "QD-PRINT, issue of 2026-04-01"),
    ]
    issues = ("2026-01-15", "2026-02-01", "2026-03-01", "2026-03-15", "2026-04-01")
    assert reader.stands("shipping") == [
        ("order", "given", "nothing", "standing order"),
        *((day, "given", "given", "given") for day in issues),
    ]
    assert len(fulfilment.stand_in.memory.rows["label"]) == len(issues)


async def test_a_licence_is_given_renewed_with_each_bill_and_revoked_with_the_access(
    clocked: Clocked, fulfilment: Fulfilment
) -> None:
    reader = Reader(clocked, fulfilment)
    clocked.subscribe(reader.account, "ada main", "quarterdeck")
    asked = await reader.lives("2026-03-20")
    cancel = verbs.Cancel(at=FIRST, do="cancel", subscription="ada main", when="now", to="refund")
    clocked.do(reader.account, cancel)
    asked += await reader.lives("2026-04-10")
    licences = [(each.day, each.method) for each in asked if each.method.startswith("drm")]
    assert licences == [
        ("2026-01-05", "drm.grant"),
        ("2026-01-05", "drm.extend"),  # with the first bill
        ("2026-02-05", "drm.extend"),
        ("2026-03-05", "drm.extend"),
        ("2026-03-20", "drm.revoke"),
    ]
    told = clocked.rows(
        "select request->>'starts_at', request->>'until' from connector_call where method like 'drm.%%'"
        " and method <> 'drm.revoke' order by id"
    )
    # As far as is billed, and the day of the next bill, in New York.
    assert told == [
        ("2026-01-05T05:00:00+00:00", "2026-01-06T05:00:00+00:00"),
        (None, "2026-02-06T05:00:00+00:00"),
        (None, "2026-03-06T05:00:00+00:00"),
        (None, "2026-04-06T04:00:00+00:00"),
    ]
    [licence] = fulfilment.stand_in.memory.rows["licence"].values()
    assert licence["status"] == "revoked"
    # The issue of 1 April was not due yet, and whoever left gets none.
    assert [each.about[-10:] for each in asked if each.method == "shipping.buy"][-1] == "2026-03-15"


async def test_what_nothing_is_connected_for_waits_as_in_life(
    clocked: Clocked, fulfilment: Fulfilment
) -> None:
    reader = Reader(clocked, fulfilment, connected=False)
    clocked.subscribe(reader.account, "ada main", "quarterdeck")
    assert await reader.lives("2026-02-10") == []
    waits = ("given", "nothing", "not connected")
    assert reader.stands("drm") == [("order", *waits)]
    assert reader.stands("shipping") == [
        ("order", "given", "nothing", "standing order"),
        ("2026-01-15", *waits),
        ("2026-02-01", *waits),
    ]
