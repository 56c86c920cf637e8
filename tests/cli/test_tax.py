"""`masthead tax`: who taxes what, and one invoice's document with what was charged and what was recorded."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.avalara.connector import Avalara
from runtime.cli.app import run
from sandbox.avatax.stand_in import AvaTaxStandIn
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.single_invoices import Shop

Capture = pytest.CaptureFixture[str]
CONFIG = """
connections:
  taxes: {connector: avalara, mode: test, config: {account: "1", license_key: "env:TAX_KEY"}}
tax:
  live: {connection: taxes, when_away: fallback, seller: {country: US}}
"""


@pytest.fixture
def shop(
    pg_server: PostgresForTests, temporal_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Shop]:
    url = pg_server.fresh_database("cli_tax")
    file = tmp_path / "masthead.yaml"
    file.write_text(CONFIG)
    for name, value in (
        ("DATABASE_URL", url),
        ("TEMPORAL_ADDRESS", temporal_address),
        ("TEMPORAL_NAMESPACE", NAMESPACE),
        ("MASTHEAD_HOME", str(tmp_path / "home")),
        ("MASTHEAD_WORKERS", "0"),
        ("MASTHEAD_CONFIG", str(file)),
        ("TAX_KEY", "any"),
    ):
        monkeypatch.setenv(name, value)
    engine = make_engine(url)
    with AvaTaxStandIn() as stand_in:
        yield Shop(engine, Avalara, stand_in)
    engine.dispose()


async def _sell(shop: Shop) -> None:
    await shop.sell(shop.account())
    await shop.turn()
    await shop.sell(shop.account())


def test_what_waits_and_what_was_recorded(shop: Shop, capsys: Capture) -> None:
    asyncio.run(_sell(shop))
    assert run(["tax", "status"]) == 0
    said = capsys.readouterr().out
    assert "live: taxes, when it is away: fallback" in said
    assert "test: the built-in table" in said
    assert run(["tax", "status", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(row["status"], row["count"], bool(row["unsettled_since"])) for row in found["documents"]] == [
        ("committed", 1, False),
        ("pending", 1, True),
    ]
    assert found["pending_accounts"] == 0
    assert run(["tax", "documents", "INV-1"]) == 0
    said = capsys.readouterr().out
    assert said.count("0.89 USD") == 2
    assert "commit: succeeded" in said
    assert run(["tax", "documents", "--status", "pending", "--json"]) == 0
    (waiting,) = json.loads(capsys.readouterr().out)
    assert (waiting["code"], waiting["total"], waiting["recorded_total"]) == ("INV-2", 89, None)
    assert run(["tax", "documents", "INV-9"]) == 0
    assert "There are none." in capsys.readouterr().out


def test_a_status_that_is_none(shop: Shop, capsys: Capture) -> None:
    assert run(["tax", "documents", "--status", "open"]) == 2
    assert "Use one of pending, committed" in capsys.readouterr().err
