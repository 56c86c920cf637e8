"""The bench of entitlement checks: it asks what it says, and its verdict follows its bar."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import entitlements
from runtime.cli.app import run


@pytest.mark.parametrize(("bar", "code"), [(99.0, 1), pytest.param(0.0, 0, marks=pytest.mark.deep)])
def test_a_small_bench_measures_both_and_its_exit_code_follows_its_bar(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    bar: float,
    code: int,
) -> None:
    monkeypatch.setenv("MASTHEAD_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(entitlements, "BAR", bar)
    assert run(["bench", "entitlements", "--grants", "200", "--checks", "100", "--json"]) == code
    figures = json.loads(capsys.readouterr().out)
    assert (figures["grants"], figures["checks"], figures["bar"]) == (200, 100, bar)
    assert figures["ratio"] > 0
    for waits in (figures["check_ms"], figures["bare_ms"]):
        assert 0 < waits["p50"] <= waits["p99"] <= waits["max"]
    assert not (tmp_path / "home" / "bench-entitlements").exists()
