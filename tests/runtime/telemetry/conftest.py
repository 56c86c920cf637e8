"""One real worker and one real API, each a process of its own, on a database and a Temporal server."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from runtime.stack.ports import choose_port
from tests.conftest import PostgresForTests, wait_until
from tests.names import NAMESPACE
from tests.runtime.conftest import CHECKOUT, environment, get

_ENDPOINT = re.compile(r"metrics and readiness on (http://127\.0\.0\.1:\d+)")


@dataclass
class Part:
    """A process, its log, and the addresses that it told."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def text(self) -> str:
        """All that it has written."""
        return self.log.read_text("utf-8")

    @property
    def lines(self) -> list[dict[str, Any]]:
        """What it has written, each line read as JSON."""
        return [json.loads(line) for line in self.text.splitlines()]

    @property
    def endpoint(self) -> str:
        """Where it answers those who watch it."""
        wait_until("it tells its endpoint", lambda: _ENDPOINT.search(self.text) or self.process.poll())
        found = _ENDPOINT.search(self.text)
        assert found, self.text
        return found[1]

    def ready(self) -> tuple[int, dict[str, Any]]:
        """Status and body of its readiness."""
        status, body = get(f"{self.endpoint}/health/ready")
        return status, json.loads(body or "{}")

    def metrics(self) -> str:
        """What a scrape gets."""
        status, body = get(f"{self.endpoint}/metrics")
        assert status == 200
        return body

    def stop(self) -> None:
        """Ask it to end, and wait."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)


@dataclass
class Hub:
    """A worker and an API of one database. env: what both were started with."""

    worker: Part
    api: Part
    api_url: str
    database_url: str
    env: dict[str, str]


def started(folder: Path, name: str, command: list[str], env: dict[str, str]) -> Part:
    """The process of `command`, with its log in `folder`."""
    log = folder / f"{name}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            command, env=env, cwd=CHECKOUT, stdout=out, stderr=out, start_new_session=True
        )
    return Part(process, log)


@pytest.fixture(scope="module")
def hub(
    pg_server: PostgresForTests, temporal_address: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Hub]:
    """A worker and an API that are ready."""
    folder = tmp_path_factory.mktemp("telemetry")
    url = pg_server.fresh_database("telemetry")
    env = environment(
        folder / "home",
        DATABASE_URL=url,
        TEMPORAL_ADDRESS=temporal_address,
        TEMPORAL_NAMESPACE=NAMESPACE,
        MASTHEAD_METRICS_ADDRESS=f"127.0.0.1:{choose_port(0)}",
    )
    worker = started(folder, "worker", [sys.executable, "worker.py"], env)
    api = started(folder, "api", [sys.executable, "-m", "runtime.serve_api"], env)
    try:
        for part in (worker, api):
            wait_until(f"{part.log.name}: it is ready", lambda part=part: part.ready()[0] == 200, 60)
        yield Hub(worker, api, f"http://127.0.0.1:{env['MASTHEAD_API_PORT']}", url, env)
    finally:
        for part in (worker, api):
            if part.process.poll() is None:
                part.stop()
        assert not [part.log for part in (worker, api) if part.process.returncode]
