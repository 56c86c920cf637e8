"""A year of a subscriber on a test clock of the real server comes to what `masthead simulate` says, and leaves live
accounts as they were."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine
from uuid_utils import uuid7

from domain.account import commands as verbs
from domain.catalog import Catalog
from operations.accounts.commands import AccountCommands
from operations.catalog import load_catalog
from operations.dump import dump
from runtime.clock_play import ClockPlay
from runtime.scenario_source import read_scenario_file
from runtime.temporal import connect
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.operations.billed import bill
from tests.workflows.clocked import clock_worker

SCENARIOS = Path(__file__).parents[2] / "examples" / "scenarios"
BEGAN = date(2025, 12, 20)
AT = datetime(2025, 12, 20, 17, tzinfo=UTC)


def live_accounts(engine: Engine, catalog: Catalog, name: str) -> None:
    """Readers who were billed before: one has paid, as `name`, one a part, one nothing, and one tries it out. Each has
    something that falls due within the year."""
    load_catalog(engine, catalog)
    commands = AccountCommands(engine)
    told = {
        name: "digital-monthly",
        "part": "print-digital",
        "owes": "quarterdeck",
        "tries": "digital-welcome",
    }
    for key, plan in told.items():
        own = str(uuid7())
        with transaction(engine) as connection:
            connection.execute(
                "insert into account (id, mode, external_key, currency, time_zone, locale, tax_region, auto_pay)"
                " values (%s, 'live', %s, 'USD', 'America/New_York', 'en', 'US-NY', %s)",
                (own, key, key != "owes"),
            )
        subscribe = verbs.Subscribe(at=BEGAN, do="subscribe", plan=plan, name=f"live {key}")
        commands.carry_out(own, "subscribe", subscribe, AT)
    bill(engine, BEGAN)
    with transaction(engine) as connection:
        billed = connection.execute(
            "select a.external_key, a.id::text from invoice i join account a on a.id = i.account_id"
        ).fetchall()
    accounts = dict(billed)
    assert sorted(accounts) == sorted([name, "part", "owes"])
    for key, amount in ((name, None), ("part", "5.00")):
        commands.carry_out(accounts[key], "pay", verbs.Pay(at=BEGAN, do="pay", amount=amount), AT)


def live(engine: Engine) -> bytes:
    """The canonical dump of what is live: accounts, the ledger's totals, the invoices' numbers."""
    return "\n".join(line for line in dump(engine) if '"mode":"live"' in line).encode()


@pytest.mark.parametrize("name", ["a-year-of-a-subscriber"])
async def test_a_year_on_a_clock_is_the_simulated_one(
    pg_server: PostgresForTests, temporal_address: str, name: str
) -> None:
    source = read_scenario_file(SCENARIOS / f"{name}.yaml")
    client = await connect(temporal_address, NAMESPACE)
    engine = make_engine(pg_server.fresh_database("year"))
    own = f"year-{uuid.uuid4()}"
    try:
        live_accounts(engine, source.catalog, own)
        before = live(engine)
        async with clock_worker(client, engine) as queue:
            played = await ClockPlay(engine, client, source, own, queue).play()
        after = live(engine)
    finally:
        engine.dispose()
    for part in played.simulated:
        assert played.found[part] == played.simulated[part], part
    assert played.equal
    assert not played.found["broken_laws"]
    accounts = [each for each in map(json.loads, before.splitlines()) if "account" in each]
    paid = {each["account"]: [one["total"] - one["balance"] for one in each["invoices"]] for each in accounts}
    assert paid == {own: [1307], "part": [500], "owes": [0], "tries": []}
    assert after == before
