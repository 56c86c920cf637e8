"""The endpoint of a process: where it listens, and what it says when something is wrong."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from temporalio.runtime import Runtime

from runtime.settings import SettingsError, load_settings
from runtime.stack.ports import choose_port
from runtime.telemetry.listener import Answers, Listener, NoPort
from runtime.telemetry.process import Telemetry
from runtime.telemetry.readiness import asked, database_answers, temporal_answers
from runtime.telemetry.reading import for_people
from runtime.telemetry.sdk_runtime import SdkRuntime
from runtime.temporal import connect
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.runtime.conftest import get

NOTHING_WRONG = Answers(lambda: b"metric 1\n", lambda: asked({}))


@pytest.fixture
def engine(pg_server: PostgresForTests) -> Iterator[Engine]:
    """An engine on a database of this code's schema."""
    engine = make_engine(pg_server.fresh_database("endpoint"))
    yield engine
    engine.dispose()


def test_processes_of_one_machine_take_one_port_after_the_other() -> None:
    port = choose_port(0)
    first, second = (Listener("127.0.0.1", port, NOTHING_WRONG) for _ in range(2))
    try:
        assert first.address == f"127.0.0.1:{port}"
        assert int(second.address.rpartition(":")[2]) > port
        assert (
            get(f"http://{first.address}/metrics")
            == get(f"http://{second.address}/metrics")
            == (200, "metric 1\n")
        )
    finally:
        first.close()
        second.close()
    assert get(f"http://{first.address}/metrics")[0] == 0


def test_an_address_of_another_machine_is_named() -> None:
    with pytest.raises(NoPort, match=r"MASTHEAD_METRICS_ADDRESS: 192\.0\.2\.1:9464: "):
        Listener("192.0.2.1", 9464, NOTHING_WRONG)


@pytest.mark.parametrize(
    "address", ["9464", "localhost:9464", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:x", "on"]
)
def test_what_is_no_address_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("MASTHEAD_METRICS_ADDRESS", address)
    with pytest.raises(SettingsError, match="MASTHEAD_METRICS_ADDRESS: must be an IP address and a port"):
        load_settings()


def test_off_is_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTHEAD_METRICS_ADDRESS", "off")
    quiet = Telemetry(SdkRuntime(Runtime.default(), None), load_settings().metrics_endpoint)
    with quiet.listening({}) as address:
        assert address is None


def test_an_address_of_ipv6_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTHEAD_METRICS_ADDRESS", f"::1:{choose_port(0)}")
    endpoint = load_settings().metrics_endpoint
    assert endpoint is not None
    assert endpoint[0] == "::1"


def test_a_check_that_hangs_or_fails_is_a_reason() -> None:
    release = threading.Event()

    def hangs() -> str | None:
        release.wait(30)
        return None

    def fails() -> str | None:
        raise ConnectionError("postgresql://masthead:hush@db.example/x")

    began = time.monotonic()
    found = asked({"slow": hangs, "broken": fails, "fine": lambda: None})
    release.set()
    assert time.monotonic() - began < 10
    assert found.as_json() == {
        "status": "not ready",
        "checks": {"slow": False, "broken": False, "fine": True},
        "reasons": ["slow did not answer within 2 s", "broken does not answer (ConnectionError)"],
    }


async def test_each_part_that_is_away_is_named(engine: Engine) -> None:
    away = make_engine("postgresql://nobody@127.0.0.1:1/nothing")
    client = await connect("127.0.0.1:1", "masthead", lazy=True)
    checks = {
        "here": database_answers(engine),
        "database": database_answers(away),
        "temporal": temporal_answers(client, asyncio.get_running_loop()),
    }
    found = await asyncio.to_thread(asked, checks)
    away.dispose()
    told = json.dumps(found.as_json())
    assert {name: problem is None for name, problem in found.found.items()} == {
        "here": True,
        "database": False,
        "temporal": False,
    }
    assert "127.0.0.1" not in told


def test_the_end_of_a_log_is_shown_to_people() -> None:
    line = {
        "timestamp": "t",
        "level": "error",
        "logger": "masthead.worker",
        "event": "it failed",
        "exception": "A\nB",
    }
    assert for_people(json.dumps(line)) == "t error masthead.worker: it failed\nA\nB"
    for other in ("plain", '{"event": "x"}', "[1]", ""):
        assert for_people(other) == other
