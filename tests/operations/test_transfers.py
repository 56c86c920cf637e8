"""Handing a subscription to another payer: both accounts at once, no day charged twice or for nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any
from uuid import uuid4

import pytest
from pydantic import TypeAdapter
from sqlalchemy import Engine
from uuid_utils import uuid7

from domain.account.commands import Step
from domain.coverage import cover
from operations.accounts.commands import AccountCommands, CommandRefused, CommandReused, Outcome
from operations.accounts.transfers import hand_over
from operations.catalog import load_catalog
from operations.tariffs import Tariffs
from operations.verify import verify
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.domain.publisher import CATALOG

STEP: TypeAdapter[Any] = TypeAdapter(Step)
FIRST = date(2026, 1, 15)
HANDED_OVER = date(2026, 2, 20)  # in the period from the 15th of February to the 15th of March


@pytest.fixture(scope="module")
def engine(pg_server: PostgresForTests) -> Iterator[Engine]:
    found = make_engine(pg_server.fresh_database("transfers"))
    load_catalog(found, CATALOG)
    yield found
    found.dispose()


def opened(engine: Engine, *, currency: str = "USD", mode: str = "test") -> str:
    own = str(uuid7())
    with transaction(engine) as connection:
        connection.execute(
            "insert into account (id, mode, external_key, currency, time_zone, locale, auto_pay, payment_terms_days,"
            " settled_on) values (%s, %s, %s, %s, 'UTC', 'en', false, 365, %s)",
            (own, mode, own, currency, FIRST),
        )
    return own


def at(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def do(engine: Engine, account: str, day: date, **step: Any) -> Outcome:
    asked = STEP.validate_python({"at": str(day), **step})
    return AccountCommands(engine).carry_out(account, str(uuid4()), asked, at(day))


def reader(engine: Engine, name: str, **more: Any) -> str:
    """An account that subscribed on FIRST, and was billed then and a month later."""
    own = opened(engine, **more)
    do(engine, own, FIRST, do="subscribe", name=name, plan="basic")
    for day in (FIRST, date(2026, 2, 15)):
        do(engine, own, day, do="bill")
    return own


def transfer(
    engine: Engine, name: str, giver: str, taker: str, command: str | None = None, **more: Any
) -> Outcome:
    tariff = Tariffs(engine).current()
    with transaction(engine) as connection:
        return hand_over(
            connection, tariff, name, giver, taker, command or str(uuid4()), at(HANDED_OVER), **more
        )


def rows(engine: Engine, query: str, *values: object) -> list[tuple[Any, ...]]:
    with transaction(engine) as connection:
        return connection.execute(query.encode(), values).fetchall()


def charged(engine: Engine, *accounts: str) -> list[tuple[date, date]]:
    return [
        (since, until)
        for since, until in rows(
            engine,
            "select l.period_start, l.period_end from invoice_line l join invoice i on i.id = l.invoice_id"
            " where i.account_id = any(%s::uuid[]) and l.kind = 'recurring' order by l.period_start",
            list(accounts),
        )
    ]


def test_the_days_of_both_payers_tile(engine: Engine) -> None:
    giver, taker = reader(engine, "a paper"), opened(engine)
    answer = transfer(engine, "a paper", giver, taker, new_name="the same paper").answer
    assert (answer["subscription"]["ends_on"], answer["to"]["subscription"]["charged_through"]) == (
        "2026-03-15",
        "2026-03-15",
    )
    assert answer["to"]["subscription"]["external_key"] == "the same paper"
    for day in (date(2026, 3, 15), date(2026, 4, 15), date(2026, 5, 15)):
        for account in (giver, taker):
            do(engine, account, day, do="bill")
    spans = charged(engine, giver, taker)
    found = cover(FIRST, date(2026, 6, 15), spans)
    assert (found.missing, found.double, found.outside) == ([], [], [])
    # Each pays their own part.
    assert max(until for _, until in charged(engine, giver)) == date(2026, 3, 15)
    assert min(since for since, _ in charged(engine, taker)) == date(2026, 3, 15)


def test_both_sides_get_an_event_and_the_command_one_row(engine: Engine) -> None:
    giver, taker = reader(engine, "told"), opened(engine)
    answer = transfer(engine, "told", giver, taker).answer
    new = answer["to"]["subscription"]["id"]
    assert rows(
        engine,
        "select kind, subject_id::text from event_log where account_id = %s and subject_id = %s",
        taker,
        new,
    ) == [("subscription.created", new)]
    ended = rows(
        engine,
        "select kind from event_log where account_id = %s and subject_id = %s order by version",
        giver,
        answer["subscription"]["id"],
    )
    assert ended[-1] == ("subscription.changed",)
    assert rows(
        engine,
        "select account_id::text from command where kind = 'transfer' and outcome->'to'->>'account' = %s",
        taker,
    ) == [(giver,)]


def test_a_repeated_command_answers_what_it_came_to(engine: Engine) -> None:
    giver, taker, other = reader(engine, "again"), opened(engine), opened(engine)
    first = transfer(engine, "again", giver, taker, "once")
    again = transfer(engine, "again", giver, taker, "once")
    assert (first.repeated, again.repeated, again.answer) == (False, True, first.answer)
    assert rows(engine, "select count(*) from subscription where account_id = %s", taker) == [(1,)]
    with pytest.raises(CommandReused, match="a new command needs an id of its own"):
        transfer(engine, "again", giver, other, "once")


@pytest.mark.parametrize(
    ("taker", "before", "reason"),
    [
        ({"currency": "EUR"}, None, "hand over to an account of the same currency and mode"),
        ({"mode": "live"}, None, "hand over to an account of the same currency and mode"),
        ({}, {"do": "pause"}, "it is paused|is paused; resume it"),
        ({}, {"do": "cancel", "when": "end_of_period"}, "nothing to hand over"),
        (None, None, "name another account"),
    ],
)
def test_what_is_refused_leaves_both_as_they_were(
    engine: Engine, taker: dict[str, Any] | None, before: dict[str, Any] | None, reason: str
) -> None:
    name = f"refused {uuid4()}"
    giver = reader(engine, name)
    other = giver if taker is None else opened(engine, **taker)
    if before is not None:
        do(engine, giver, HANDED_OVER, subscription=name, **before)

    def stored() -> list[tuple[Any, ...]]:
        return rows(
            engine,
            "select id, version, ends_on, account_id from subscription where account_id in (%s, %s) order by id",
            giver,
            other,
        )

    was = stored()
    with pytest.raises(CommandRefused, match=reason):
        transfer(engine, name, giver, other)
    assert stored() == was
    assert rows(
        engine, "select count(*) from command where account_id = %s and kind = 'transfer'", giver
    ) == [(0,)]


def test_a_name_that_the_other_account_has_is_refused(engine: Engine) -> None:
    giver, taker = reader(engine, "the giver's"), reader(engine, "the taker's")
    with pytest.raises(CommandRefused, match="give this one another name"):
        transfer(engine, "the giver's", giver, taker, new_name="the taker's")
    with pytest.raises(CommandRefused, match="there is no subscription 'nothing'"):
        transfer(engine, "nothing", giver, taker)
    with pytest.raises(LookupError, match="there is no account"):
        transfer(engine, "the giver's", giver, str(uuid7()))


def test_opposite_transfers_at_once_both_come_about(engine: Engine) -> None:
    for turn in range(5):
        names = [f"crossing {turn} {side}" for side in "ab"]
        accounts = [reader(engine, name) for name in names]
        barrier = threading.Barrier(2)
        failures: list[BaseException] = []

        def cross(
            place: int,
            names: list[str] = names,
            accounts: list[str] = accounts,
            barrier: threading.Barrier = barrier,
            failures: list[BaseException] = failures,
        ) -> None:
            try:
                barrier.wait(30)
                transfer(engine, names[place], accounts[place], accounts[1 - place])
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=cross, args=(place,)) for place in (0, 1)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failures == []
        for account in accounts:
            found = rows(
                engine, "select ends_on from subscription where account_id = %s order by starts_on", account
            )
            assert found == [(date(2026, 3, 15),), (None,)]


def test_the_laws_hold_after_all_of_it(engine: Engine) -> None:
    assert [(law.law, law.violations) for law in verify(engine) if not law.ok] == []
