"""A year of a subscriber on a test clock of the real server comes to what `masthead simulate` says."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from runtime.clock_play import ClockPlay
from runtime.scenario_source import read_scenario_file
from runtime.temporal import connect
from storage.database import make_engine
from tests.conftest import NAMESPACE, PostgresForTests
from tests.workflows.clocked import clock_worker

SCENARIOS = Path(__file__).parents[2] / "examples" / "scenarios"


@pytest.mark.parametrize("name", ["a-year-of-a-subscriber"])
async def test_a_year_on_a_clock_is_the_simulated_one(
    pg_server: PostgresForTests, temporal_address: str, name: str
) -> None:
    source = read_scenario_file(SCENARIOS / f"{name}.yaml")
    client = await connect(temporal_address, NAMESPACE)
    engine = make_engine(pg_server.fresh_database("year"))
    try:
        async with clock_worker(client, engine) as queue:
            played = await ClockPlay(engine, client, source, f"year-{uuid.uuid4()}", queue).play()
    finally:
        engine.dispose()
    for part in played.simulated:
        assert played.found[part] == played.simulated[part], part
    assert played.equal
    assert not played.found["broken_laws"]
