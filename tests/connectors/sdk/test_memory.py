"""The ports in memory: secrets from where they are, a fair budget, tokens with turns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.sdk.config import MissingSecret
from connectors.sdk.memory import EnvSecrets, LocalBudget, MemoryTokens
from connectors.sdk.ports import Rate, Token, Turn

LEASE = timedelta(seconds=60)
LONG = timedelta(hours=1)


class Clock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.at = datetime(2026, 3, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def test_secrets_come_from_where_their_references_lead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_KEY", "from-env")
    (tmp_path / "key").write_text("from-file\n")
    secrets = EnvSecrets({"env:GIVEN": "given", "NAMED": "named"})
    assert secrets.resolve("env:A_KEY") == "from-env"
    assert secrets.resolve(f"file:{tmp_path}/key") == "from-file"
    assert secrets.resolve("env:GIVEN") == "given"
    assert secrets.resolve("env:NAMED") == "named"


def test_a_reference_that_leads_nowhere_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMPTY_KEY", "  ")
    (tmp_path / "odd").write_bytes(b"\xff\xfe")
    for reference in (
        "env:NOT_SET_ANYWHERE",
        "env:EMPTY_KEY",
        f"file:{tmp_path}/none",
        f"file:{tmp_path}/odd",
    ):
        with pytest.raises(MissingSecret, match=reference.partition(":")[2]):
            EnvSecrets().resolve(reference)


async def test_a_budget_gives_no_more_than_its_rate_however_it_is_asked() -> None:
    clock = Clock()
    budget, begin, sent = LocalBudget(clock), clock.at, []
    for _ in range(100):
        wait = await budget.take("c", Rate(10, per=1), LONG)
        sent.append(clock.at + wait)
        clock.at += timedelta(milliseconds=7)
    for first in range(100 - 20):
        # After the burst of an idle time no second holds more than the rate.
        assert sent[first + 20] - sent[first + 10] >= timedelta(seconds=0.99)
    assert sent[-1] - begin >= timedelta(seconds=8.9)


async def test_what_would_have_to_wait_for_too_long_takes_nothing() -> None:
    clock = Clock()
    budget = LocalBudget(clock)
    assert await budget.take("c", Rate(1, per=60), timedelta(seconds=5)) == timedelta()
    first = await budget.take("c", Rate(1, per=60), timedelta(seconds=5))
    for _ in range(50):
        assert await budget.take("c", Rate(1, per=60), timedelta(seconds=5)) == first
    clock.at += first
    assert await budget.take("c", Rate(1, per=60), timedelta(seconds=5)) == timedelta()


async def test_a_hold_counts_for_its_connection_until_it_is_over() -> None:
    clock = Clock()
    budget = LocalBudget(clock)
    await budget.hold("c", clock.at + timedelta(seconds=30))
    await budget.hold("c", clock.at + timedelta(seconds=3))
    assert await budget.take("c", Rate(10), LONG) == timedelta(seconds=30)
    assert await budget.take("other", Rate(10), LONG) == timedelta()


async def test_turns_to_refresh() -> None:
    clock = Clock()
    tokens = MemoryTokens(clock)
    tokens.put("c", Token("a", "r"))
    assert [await tokens.begin_refresh("c", 1, LEASE) for _ in range(2)] == [Turn.MINE, Turn.BUSY]
    await tokens.give_up("c", 1)
    assert await tokens.begin_refresh("c", 1, LEASE) is Turn.MINE
    clock.at += LEASE
    assert await tokens.begin_refresh("c", 1, LEASE) is Turn.INTERRUPTED
    stored = await tokens.finish_refresh("c", 1, Token("b", "s"))
    assert (stored.version, stored.token) == (2, Token("b", "s"))
    assert await tokens.begin_refresh("c", 1, LEASE) is Turn.DONE
    await tokens.mark("c", 1, "old news")
    assert await tokens.begin_refresh("c", 2, LEASE) is Turn.MINE
    await tokens.mark("c", 2, "refused")
    assert await tokens.begin_refresh("c", 2, LEASE) is Turn.MARKED
    assert (await tokens.read("c")).needs_authorisation == "refused"
    assert "Token(" not in repr(tokens)
