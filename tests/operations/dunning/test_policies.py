"""A dunning policy of six steps, with mixed outcomes: on test clocks and for live accounts it comes to what the rule
book foretells of each account."""

from __future__ import annotations

from typing import Any

import pytest

from domain.periods import start_of_day
from domain.simulation.outcome import outcome as comparable
from domain.simulation.play import Played, play
from operations.verify import verify
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.operations.dunning.clocked import OnOneClock
from tests.operations.dunning.live import LiveAccount, readable, told
from tests.operations.dunning.outcomes import CATALOG, FIRST, KINDS, mixed


def mails(played: Played) -> list[tuple[int, str]]:
    """The mails that were told of: (day as a number, template), in order."""
    return sorted(
        (each.day.toordinal(), each.what.removeprefix("mail "))
        for each in played.account.happened
        if each.kind == "note" and each.what.startswith("mail ")
    )


def clocked_and_foretold(url: str, seeds: range) -> list[tuple[int, str, Any, Any]]:
    """Where they differ: (seed, what of it, what became of a test account on a clock, what the rule book foretold)."""
    engine = make_engine(url)
    differing = []
    try:
        clock = OnOneClock(engine, CATALOG, FIRST)
        for seed in seeds:
            scenario = mixed(seed)
            found = clock.play(f"account-{seed}", scenario)
            expected = comparable(play(scenario, CATALOG))
            parts = [part for part in expected if found[part] != expected[part]]
            differing += [(seed, part, found[part], expected[part]) for part in parts]
        assert [law for law in verify(engine) if not law.ok] == []
    finally:
        engine.dispose()
    return differing


def live_and_foretold(url: str, seeds: range) -> list[tuple[int, str, Any, Any]]:
    """Where they differ: (seed, what of it, what became of a live account, what the rule book foretold)."""
    engine = make_engine(url)
    differing = []
    try:
        for seed in seeds:
            scenario = mixed(seed)
            live = LiveAccount(engine, scenario, CATALOG).play()
            foretold = play(scenario, CATALOG)
            now = start_of_day(foretold.account.today, foretold.account.zone)
            found = live.told() | {
                "mails": live.mails(),
                "access": live.access(now),
                "refused": live.refused,
            }
            expected = told(comparable(foretold)) | {
                "mails": mails(foretold),
                "access": readable(foretold.account),
                "refused": [each.reason for each in foretold.refused],
            }
            parts = [part for part in expected if found[part] != expected[part]]
            differing += [(seed, part, found[part], expected[part]) for part in parts]
    finally:
        engine.dispose()
    return differing


def test_accounts_on_a_test_clock_are_dunned_as_the_rule_book_foretells(pg_server: PostgresForTests) -> None:
    assert clocked_and_foretold(pg_server.fresh_database("dunning"), range(len(KINDS) + 1)) == []


@pytest.mark.deep
def test_two_hundred_accounts_on_a_test_clock_are_dunned_as_the_rule_book_foretells(
    pg_server: PostgresForTests,
) -> None:
    assert clocked_and_foretold(pg_server.fresh_database("dunning"), range(200)) == []


@pytest.mark.deep
def test_many_live_accounts_are_dunned_as_the_rule_book_foretells(pg_server: PostgresForTests) -> None:
    assert live_and_foretold(pg_server.fresh_database("dunning"), range(100, 150)) == []


def test_live_accounts_are_dunned_as_the_rule_book_foretells(pg_server: PostgresForTests) -> None:
    assert live_and_foretold(pg_server.fresh_database("dunning"), range(4)) == []
