"""The bench of a bill run: a small one tells all that the large one is judged by, and its books verify."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.cli.app import run

ACCOUNTS = 400


@pytest.mark.deep
def test_a_small_bench_tells_all_that_a_run_is_judged_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MASTHEAD_HOME", str(tmp_path / "home"))
    assert run(["bench", "bill-run", "--accounts", str(ACCOUNTS), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert (figures["accounts"], figures["invoices"], figures["parked"]) == (ACCOUNTS, ACCOUNTS, 0)
    assert figures["cold"] is False, "the preview that warms the workers bills nobody"
    assert figures["books_ok"]
    assert set(figures["verify"]) >= {"I1", "I2", "I3", "I4", "I5", "I9", "I12", "I13"}
    assert all(figures["verify"].values())
    assert figures["ratio"] == pytest.approx(
        figures["invoices_per_s"] / figures["floor_invoices_per_s"], abs=0.01
    )
    # The faster of one session and two on halves is the floor.
    assert len(figures["floor"]) == len(figures["reference_floor"]) == 2
    assert figures["floor_invoices_per_s"] == max(figures["floor"].values())
    assert figures["reference_floor_per_s"] == max(figures["reference_floor"].values())
    assert figures["durability"] == {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
    assert set(figures["peak_rss_mb"]) == {"api", "bench", "supervisor", "temporal_server", "worker"}
    assert 0 < figures["postgres_private_mb"] < 300
    # An invoice, its entry and event, two lines and three postings at least, and the date that moves.
    assert figures["rows_per_invoice"] > 8
    assert figures["bytes_per_invoice"] > 500
    assert figures["temporal_events_per_invoice"] == round(figures["temporal_events"] / ACCOUNTS, 5) > 0
    assert not (tmp_path / "home" / "bench").exists()
