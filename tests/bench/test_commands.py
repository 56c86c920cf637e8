"""The bench of commands: both sides write the same rows, all follow-ups come, and its verdict follows its bar."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import commands
from runtime.cli.app import run


@pytest.mark.deep
def test_a_small_bench_counts_right_and_its_exit_code_follows_its_bar(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MASTHEAD_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(commands, "BAR", 99.0)
    monkeypatch.setattr(commands, "WARM_UP", 20)
    assert run(["bench", "commands", "--changes", "50", "--json"]) == 1
    figures = json.loads(capsys.readouterr().out)
    assert figures["books_ok"]
    assert figures["rows_of_a_change"]["command"] == 1
    changed = 20 + 6 * 50
    assert figures["follow_ups"]["changed"] == changed
    assert figures["follow_ups"]["episodes"] == figures["follow_ups"]["near"] > 0
    assert figures["temporal_away"]["per_s"] > 0
    assert not (tmp_path / "home" / "bench-commands").exists()
