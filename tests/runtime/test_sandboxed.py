"""`masthead up` with connections: it refuses what is configured by half, and starts the sandbox that they point to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import psycopg
import pytest

from runtime.cli.app import run
from runtime.cli.doctor import examine
from runtime.connections import Connections
from runtime.settings import load_settings
from runtime.stack.ports import choose_port
from runtime.stack.sandbox import SandboxAddresses
from storage.connections import connection_states
from storage.encryption import SecretKeyError
from tests.conftest import wait_until
from tests.runtime.conftest import CHECKOUT, Up, environment

GOOD = "connections:\n  cards: {connector: stripe, sandbox: true}\n"
BAD = """\
connections:
  cards:
    connector: stripe
    mode: live
    config: {api_key: sk_live_PASTED}
  taxes: {connector: nonesuch, mode: test}
"""
TOLD = (
    "masthead.yaml:5: connections.cards.config.api_key: write a reference",
    "masthead.yaml:6: connections.taxes.connector: no connector is called 'nonesuch'; installed are:",
)


def with_file(folder: Path, text: str) -> dict[str, str]:
    file = folder / "masthead.yaml"
    file.write_text(text)
    return environment(folder / "home", MASTHEAD_CONFIG=str(file), MASTHEAD_SANDBOX_PORT=str(choose_port(0)))


def test_up_with_a_wrong_file_starts_nothing_and_tells_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in with_file(tmp_path, BAD).items():
        monkeypatch.setenv(name, value)
    assert run(["up"]) == 2
    said = capsys.readouterr().err
    for line in TOLD:
        assert line in said
    assert "PASTED" not in said
    monkeypatch.setenv("MASTHEAD_CONFIG", str(tmp_path / "gone.yaml"))
    assert run(["up"]) == 2
    assert "gone.yaml: does not exist" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


def test_a_worker_with_a_wrong_file_does_not_start(tmp_path: Path) -> None:
    nowhere = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none", "TEMPORAL_ADDRESS": "127.0.0.1:1"}
    ended = subprocess.run(
        [sys.executable, str(CHECKOUT / "worker.py")],
        env=with_file(tmp_path, BAD) | nowhere,
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 2
    for line in TOLD:
        assert line in ended.stderr
    assert "PASTED" not in ended.stderr


async def test_a_wrong_key_is_told_before_anything_starts(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, database_url="postgresql://127.0.0.1:1/none", secret_key="short")
    with pytest.raises(SecretKeyError, match="key 1 of MASTHEAD_SECRET_KEY is not 32 bytes"):
        Connections.of(settings)


@pytest.mark.deep
def test_the_sandbox_is_a_part_of_the_stack(tmp_path: Path) -> None:
    up = Up(with_file(tmp_path, GOOD))
    try:
        url = up.state.sandbox_url
        assert url is not None
        assert f"Sandbox          {url}" in up.output.read_text()
        assert SandboxAddresses(url)("stripe") == f"{url}/stripe"
        with pytest.raises(LookupError, match="no stand-in of it: no stand-in is called 'smtp'"):
            SandboxAddresses(url)("smtp")
        assert up.state.database_url is not None
        with psycopg.connect(up.state.database_url) as database:
            assert [(each.name, each.mode) for each in connection_states(database)] == [("cards", "test")]
        found = {
            each.item: each
            for each in examine(load_settings(home=up.home.root, config_file=tmp_path / "masthead.yaml"))
        }
        assert found["Connection cards"].ok, found["Connection cards"]
        assert found["Sandbox"].ok
        os.kill(up.pid("sandbox"), signal.SIGKILL)
        wait_until("the sandbox is back", lambda: _answers(url))
    finally:
        assert up.stop() == 0
    assert not _answers(url)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
