"""`masthead invoice show`, as an operator meets it."""

from __future__ import annotations

import stat
from datetime import date
from pathlib import Path

import pytest

from runtime.cli.app import run
from tests.conftest import PostgresForTests
from tests.documents.shown import text_of
from tests.operations.billed import bench_fleet


@pytest.fixture(scope="module")
def fleet(pg_server: PostgresForTests) -> str:
    return bench_fleet(pg_server, [date(2026, 12, 1)], accounts=3)


@pytest.fixture(autouse=True)
def _database(fleet: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", fleet)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("MASTHEAD_HOME", str(tmp_path / "home"))


Capture = pytest.CaptureFixture[str]


def test_on_the_screen(capsys: Capture) -> None:
    assert run(["invoice", "show", "inv-1"]) == 0
    out = capsys.readouterr().out
    assert "Invoice INV-1" in out
    assert "Total" in out


def test_as_pdf_and_page_in_german(tmp_path: Path, capsys: Capture) -> None:
    pdf, page = tmp_path / "a.pdf", tmp_path / "a.html"
    assert run(["invoice", "show", "INV-2", "--pdf", str(pdf), "--html", str(page), "--locale", "de-DE"]) == 0
    assert "Rechnung INV-2" in text_of(pdf.read_bytes())
    assert "Rechnung INV-2" in page.read_text()
    assert {stat.S_IMODE(each.stat().st_mode) for each in (pdf, page)} == {0o600}
    assert f"{pdf}: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["INV-99"], "there is no document INV-99"),
        (["7"], "'7' is no document's number"),
        (["INV-1", "--pdf", "/nowhere/at/all.pdf"], "/nowhere/at/all.pdf cannot be written"),
    ],
)
def test_what_cannot_be(arguments: list[str], said: str, capsys: Capture) -> None:
    assert run(["invoice", "show", *arguments]) == 2
    assert said in capsys.readouterr().err
