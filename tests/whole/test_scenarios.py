"""Every example scenario played on the database comes to what `masthead simulate` says."""

from __future__ import annotations

from pathlib import Path

import pytest

from domain.simulation.outcome import outcome as comparable
from domain.simulation.play import play
from runtime.scenario_source import read_scenario_file
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.whole.mirror import Mirror

SCENARIOS = Path(__file__).parents[2] / "examples" / "scenarios"


@pytest.mark.parametrize("name", sorted(file.stem for file in SCENARIOS.glob("*.yaml")))
def test_the_database_comes_to_what_is_simulated(pg_server: PostgresForTests, name: str) -> None:
    source = read_scenario_file(SCENARIOS / f"{name}.yaml")
    engine = make_engine(pg_server.fresh_database("mirror"))
    try:
        told = Mirror(engine, source.scenario, source.catalog).play().told()
    finally:
        engine.dispose()
    assert told == comparable(play(source.scenario, source.catalog))
    assert told["broken_laws"] == []
