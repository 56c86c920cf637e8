"""`masthead backup`, `restore`, `doctor` and `reconcile`, one after the other, as an operator has them."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from runtime.cli.app import run
from tests.runtime.conftest import Up, environment, get, masthead, nothing_runs


@pytest.mark.deep
def test_a_running_stack_is_backed_up_and_brought_back_elsewhere(up: Up, tmp_path: Path) -> None:
    done = masthead(up.env, "backup", str(tmp_path))
    assert done.returncode == 0, done.stderr
    [file] = tmp_path.glob("masthead-*.tar")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "postgres.dump" in done.stdout
    assert "temporal.db" in done.stdout
    refused = masthead(up.env, "restore", str(file), "--force")
    assert (refused.returncode, "a stack runs in" in refused.stderr) == (2, True)

    home = tmp_path / "elsewhere"
    env = environment(home)
    restored = masthead(env, "restore", str(file), "--actor", "ops")
    assert restored.returncode == 0, restored.stderr
    assert "with the workflows of that time" in restored.stdout
    again = masthead(env, "restore", str(file))
    assert (again.returncode, "is not empty" in again.stderr, "--force" in again.stderr) == (2, True, True)
    other = Up(env)
    try:
        code, body = other.health()
        assert code == 200
        assert str(body["writes_held"]).startswith("restored from a backup of ")
        doctor = json.loads(masthead(env, "doctor", "--json").stdout)
        [held] = [each for each in doctor["findings"] if each["item"] == "External writes"]
        assert (held["ok"], "masthead reconcile" in held["remedy"]) == (False, True)
        asked = masthead(env, "reconcile", "--actor", "ops")
        assert asked.returncode == 0, asked.stderr
        assert "External writes are released" in asked.stdout
        assert other.health()[1]["writes_held"] is None
        assert "Nothing is held" in masthead(env, "reconcile").stdout
        assert get(f"{other.state.api_url}/v1/accounts")[0] == 401
    finally:
        assert other.stop() == 0
    assert nothing_runs(other.home)


def test_what_cannot_be_is_said_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MASTHEAD_HOME", str(tmp_path / "home"))
    for arguments, said in (
        (["restore", str(tmp_path / "gone.tar")], "gone.tar cannot be read: No such file"),
        (["restore", __file__], "is no backup of Masthead"),
        (["backup", str(tmp_path / "no" / "folder.tar")], "is no folder"),
        (["backup", __file__], "is there already"),
        (["reconcile", "--release"], "--release needs a --reason"),
    ):
        assert run(arguments) == 2
        told = capsys.readouterr().err
        assert said in told
        assert len(told.splitlines()) == 2, "an error and what to do"
    assert not (tmp_path / "home").exists()
