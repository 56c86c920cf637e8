"""`masthead runs`, as an operator meets it who names the wrong run or comes too late."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import psycopg
import pytest

from runtime.cli.app import run
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def url(
    pg_server: PostgresForTests, temporal_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> str:
    url = pg_server.fresh_database("runs")
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_address)
    monkeypatch.setenv("TEMPORAL_NAMESPACE", NAMESPACE)
    monkeypatch.setenv("MASTHEAD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MASTHEAD_WORKERS", "0")
    return url


def recorded(url: str, *, ended: bool) -> str:
    """A run in the table whose workflow Temporal does not know."""
    run_id = str(uuid.uuid4())
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into bill_run (id, mode, workflow_id, workflow_run_id, scope, target_date, preview, status,"
            " started_at, ended_at)"
            " values (%s, 'live', %s, %s, 'all', '2026-12-01', false, %s, '2026-12-01 06:00+00', %s)",
            (
                run_id,
                f"bill-run/all/{run_id}",
                run_id,
                "canceled" if ended else "running",
                "2026-12-01 07:30+00" if ended else None,
            ),
        )
    return run_id


@pytest.mark.parametrize("action", ["pause", "resume", "cancel"])
def test_an_order_to_no_run(url: str, capsys: Capture, action: str) -> None:
    unknown = str(uuid.uuid4())
    for name, words in (
        ("latest", "'latest' is not a bill run's id"),
        (unknown, f"there is no bill run {unknown}"),
    ):
        assert run(["runs", action, name, "--reason", "a look"]) == 2
        said = capsys.readouterr()
        assert words in said.err
        assert "masthead runs list" in said.err
        assert said.out == ""


@pytest.mark.parametrize("action", ["pause", "resume", "cancel"])
def test_an_order_to_a_run_that_has_ended(url: str, capsys: Capture, action: str) -> None:
    ended = recorded(url, ended=True)
    assert run(["runs", action, ended, "--reason", "too late"]) == 2
    said = capsys.readouterr().err
    assert f"bill run {ended} has ended (canceled, 2026-12-01 07:30 UTC)" in said
    assert "what it posted stays posted" in said


def test_an_order_to_a_run_whose_workflow_was_terminated(url: str, capsys: Capture) -> None:
    lost = recorded(url, ended=False)
    assert run(["runs", "pause", lost, "--reason", "a look"]) == 2
    said = capsys.readouterr().err
    assert f"its workflow bill-run/all/{lost} has ended or was terminated" in said
    assert "Start it again with the same date and scope (2026-12-01, all)" in said


def test_an_order_without_a_reason(url: str, capsys: Capture) -> None:
    assert run(["runs", "pause", recorded(url, ended=False), "--reason", " "]) == 2
    assert "--reason: " in capsys.readouterr().err


def test_a_run_is_shown_and_an_unknown_one_is_not(url: str, capsys: Capture) -> None:
    ended = recorded(url, ended=True)
    assert run(["runs", "show", ended]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["id"], shown["status"], shown["ended_at"]) == (ended, "canceled", "2026-12-01T07:30:00Z")
    assert run(["runs", "list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [shown]
    assert run(["runs", "show", "no-such-run"]) == 2
    assert "'no-such-run' is not a bill run's id" in capsys.readouterr().err


def test_a_database_that_is_away_is_not_taken_for_an_unknown_run(
    url: str, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me@127.0.0.1:1/x")
    assert run(["runs", "show", str(uuid.uuid4())]) == 1
    said = capsys.readouterr().err
    assert "no bill run" not in said
    assert "the database does not answer" in said
