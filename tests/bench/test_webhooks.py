"""The bench of webhooks: it counts what it sent, and its verdict follows its bars."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import webhooks
from runtime.cli.app import run


@pytest.mark.deep
def test_a_small_bench_counts_right_and_its_exit_code_follows_its_bars(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MASTHEAD_HOME", str(tmp_path / "home"))
    whole = webhooks.bench_webhooks
    monkeypatch.setattr(webhooks, "bench_webhooks", lambda *sizes: whole(*sizes, paced_seconds=1))
    for bar in ("INTAKE_BAR", "DRAIN_BAR"):
        monkeypatch.setattr(webhooks, bar, 99.0)
    assert run(["bench", "webhooks", "--deliveries", "100", "--backlog", "600", "--json"]) == 1
    figures = json.loads(capsys.readouterr().out)
    assert figures["one_event"]["all_2xx"]
    assert (figures["one_event"]["rows"], figures["one_event"]["effects"]) == (1, 1)
    assert figures["to_effect"]["deliveries"] == 100
    assert figures["ratio"] > 0
    assert figures["backlog"]["ratio"] > 0
    assert not (tmp_path / "home" / "bench-webhooks").exists()
