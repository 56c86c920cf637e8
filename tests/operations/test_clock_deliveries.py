"""Licences and parcels of an account on a clock: each is asked for on its day, and none is missed on the way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from contracts.connector_call import CallRef
from domain.account import commands as verbs
from operations.fulfilment import looking, sending, settling
from operations.test_clocks import delivering
from operations.test_clocks.clocks import arrived, order_advance
from operations.test_clocks.delivering import deliver
from sandbox.reference.stand_in import ReferenceStandIn
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.operations.clocked import FIRST, Clocked, instant
from tests.operations.delivered import Reader
from tests.operations.fulfilment.parcels import Fulfilment


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


async def test_a_call_that_is_answered_while_it_is_looked_for_is_noted_before_time_goes_on(
    clocked: Clocked, fulfilment: Fulfilment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the licence would have run out by its entry, and be taken away and given anew."""
    reader = Reader(clocked, fulfilment)
    clocked.subscribe(reader.account, "ada main", "quarterdeck")
    order_advance(clocked.engine, reader.clock.id, instant("2026-01-06"))
    [call] = deliver(clocked.engine, clocked.fulfilled_by, reader.account)
    loop, asks = asyncio.get_running_loop(), delivering.ask

    def answered_meanwhile(*asked: Any) -> list[CallRef]:
        monkeypatch.setattr(delivering, "ask", asks)
        asyncio.run_coroutine_threadsafe(fulfilment.call(call), loop).result()
        return asks(*asked)

    monkeypatch.setattr(delivering, "ask", answered_meanwhile)
    left = await asyncio.to_thread(deliver, clocked.engine, clocked.fulfilled_by, reader.account)
    assert (left, reader.stands("drm")) == ([], [("order", "given", "given", "given")])


async def test_issues_follow_a_reader_into_another_time_zone(
    clocked: Clocked, fulfilment: Fulfilment
) -> None:
    reader = Reader(clocked, fulfilment)
    clocked.subscribe(reader.account, "ada main", "quarterdeck")
    asked = []
    for to, zone in (("2026-01-10", "Pacific/Auckland"), ("2026-01-20", "Pacific/Honolulu")):
        asked += await reader.lives(to)
        move = verbs.MoveTimeZone(at=FIRST, do="move_time_zone", timezone=zone)
        clocked.commands.carry_out(reader.account, zone, move, instant(to))
    asked += await reader.lives("2026-02-20")
    assert [(each.day, each.about[-10:]) for each in asked if each.method == "shipping.buy"] == [
        ("2026-01-12", "2026-01-15"),
        ("2026-01-29", "2026-02-01"),
        ("2026-02-12", "2026-02-15"),
    ]


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


async def test_what_is_refused_is_parked_and_holds_time_up_no_longer(
    clocked: Clocked, fulfilment: Fulfilment
) -> None:
    reader = Reader(clocked, fulfilment, address=None)
    clocked.subscribe(reader.account, "ada main", "quarterdeck")
    asked = await reader.lives("2026-02-10")
    assert [(each.day, each.about[-10:]) for each in asked if each.method == "shipping.buy"] == [
        ("2026-01-12", "2026-01-15"),
        ("2026-01-29", "2026-02-01"),
    ]
    parked = "select count(*) from parked where method = 'shipping.buy' and resolved_at is null"
    assert clocked.rows(parked) == [(2,)]


def test_what_was_asked_by_one_who_died_is_asked_no_second_time(
    clocked: Clocked, fulfilment: Fulfilment
) -> None:
    reader = Reader(clocked, fulfilment)
    clocked.subscribe(reader.account, "ada main", "quarterdeck")
    [call] = deliver(clocked.engine, clocked.fulfilled_by, reader.account)
    assert call.method == "drm.grant"
    assert deliver(clocked.engine, clocked.fulfilled_by, reader.account) == [call]


async def test_the_keeper_leaves_a_clock_on_its_way_alone(clocked: Clocked, fulfilment: Fulfilment) -> None:
    """Its accounts' time waits for what is asked of them, so that nobody else may ask."""
    reader = Reader(clocked, fulfilment)
    clocked.subscribe(reader.account, "ada main", "quarterdeck")
    now = instant("2027-01-05")

    def round() -> tuple[int, int]:
        looking.look_anew(clocked.engine, clocked.tariffs.current(), now)
        with transaction(clocked.engine) as connection:
            calls = sending.ask(connection, clocked.fulfilled_by, now)
            return len(calls), settling.take_note(connection, now)

    order_advance(clocked.engine, reader.clock.id, instant("2026-01-06"))
    assert round() == (0, 0)
    arrived(clocked.engine, reader.clock.id)
    assert round() == (1, 0)
    assert await reader.delivered()
    order_advance(clocked.engine, reader.clock.id, instant("2026-01-07"))
    assert round() == (0, 0)
