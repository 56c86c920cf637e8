"""`masthead verify`, `trial-balance` and `dump`, as an operator meets them."""

from __future__ import annotations

import json
import re
import stat
from datetime import date
from pathlib import Path

import pytest

from runtime.cli.app import run
from tests.conftest import PostgresForTests
from tests.operations.billed import bench_fleet, copied, tamper


@pytest.fixture(scope="module")
def good(pg_server: PostgresForTests) -> str:
    return bench_fleet(pg_server, [date(2026, 12, 1)], accounts=40)


@pytest.fixture(autouse=True)
def url(pg_server: PostgresForTests, good: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    url = copied(pg_server, good)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")  # these commands need no Temporal
    monkeypatch.setenv("MASTHEAD_HOME", str(tmp_path / "home"))
    return url


Capture = pytest.CaptureFixture[str]


def squeezed(text: str) -> str:
    return re.sub(" +", " ", text)


def test_verify_lists_every_law_with_counts(capsys: Capture) -> None:
    assert run(["verify"]) == 0
    out = capsys.readouterr().out
    laws = (
        "I1",
        "I2",
        "I3",
        "I4",
        "I5",
        "I6",
        "I7",
        "I9",
        "I12",
        "I13",
        "I14",
        "tax",
        "refunds",
        "references",
    )
    for law in laws:
        assert f"✓ {law} " in squeezed(out)
    assert "40 journal entries" in out
    assert "all 14 laws hold" in out


def test_verify_says_what_is_broken_where_and_what_to_do(url: str, capsys: Capture) -> None:
    tamper(url, "update invoice set due_on = due_on + 1 where number in (3, 9)")
    assert run(["verify"]) == 1
    out = capsys.readouterr().out
    assert "✗ I5 " in out
    assert "✓ I1 " in squeezed(out)
    assert "invoice INV-3 (live): is the first that does not fit into the chain" in out
    assert "invoice INV-9 (live)" in out
    assert "compare it with a backup" in out
    assert "1 of 14 laws are broken" in out


def test_verify_as_json(url: str, capsys: Capture) -> None:
    assert run(["verify", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is True
    assert all(law["ok"] and not law["violations"] for law in said["laws"])

    tamper(url, "update invoice set balance = balance - 100 where number = 3")
    assert run(["verify", "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is False
    [law] = [law for law in said["laws"] if not law["ok"]]
    assert (law["law"], law["broken"], law["checked"]) == ("I2", 1, 40)
    assert law["violations"][0]["where"] == "live books in USD"
    assert "1.00 USD apart; balance and total differ on INV-3" in law["violations"][0]["what"]


def test_the_trial_balance_ends_with_a_difference_of_zero(capsys: Capture) -> None:
    assert run(["trial-balance", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["ok"] is True
    [total] = said["totals"]
    assert total["debit"] == total["credit"] > 0
    assert total["difference"] == 0
    debits = {row["account"]: row["debit"] for row in said["rows"]}
    assert debits["accounts_receivable"] == total["debit"]
    assert debits["deferred_revenue"] == 0

    assert run(["trial-balance"]) == 0
    out = capsys.readouterr().out
    money = f"{total['debit'] // 100:,}.{total['debit'] % 100:02} USD"
    assert "Accounts receivable" in out
    assert out.strip().endswith(f"debits = credits = {money}, difference zero")


def test_a_trial_balance_that_does_not_balance_fails(url: str, capsys: Capture) -> None:
    tamper(
        url,
        "update journal_line set debit = debit + 5 where debit > 0 and entry_id ="
        " (select id from invoice where number = 3)",
    )
    assert run(["trial-balance"]) == 1
    assert "debits and credits differ by 0.05 USD; `masthead verify` says where" in capsys.readouterr().out


def test_the_dump_goes_to_stdout_or_a_private_file(tmp_path: Path, capsys: Capture) -> None:
    assert run(["dump"]) == 0
    lines = capsys.readouterr().out
    assert json.loads(lines.splitlines()[0])["account"] == "bench-000000001"
    file = tmp_path / "state.jsonl"
    assert run(["dump", str(file)]) == 0
    assert file.read_text() == lines
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.glob("state*")] == ["state.jsonl"]


def test_a_dump_to_a_place_that_is_not_there_is_wrong_input(tmp_path: Path, capsys: Capture) -> None:
    assert run(["dump", str(tmp_path / "no" / "state.jsonl")]) == 2
    assert "cannot be written: No such file or directory" in capsys.readouterr().err


def test_books_without_postings_are_sound(
    pg_server: PostgresForTests, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("DATABASE_URL", pg_server.fresh_database("bare"))
    assert run(["verify"]) == 0
    assert run(["trial-balance"]) == 0
    assert "difference zero" in capsys.readouterr().out
