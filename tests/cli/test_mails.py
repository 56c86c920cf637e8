"""`masthead mails`, as an operator meets it."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from runtime.cli.app import run
from storage.mails import NewMail, record_mails
from tests.conftest import PostgresForTests
from tests.mails.office import add_reader

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def url(pg_server: PostgresForTests, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    url = pg_server.fresh_database("mails_cli")
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("MASTHEAD_HOME", str(tmp_path / "home"))
    return url


def test_list(capsys: Capture) -> None:
    assert run(["mails", "list", "--json"]) == 0
    found = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert found["invoice"] == {
        "name": "invoice",
        "about": "an invoice, as PDF",
        "event": "invoice.posted",
        "attaches_document": True,
        "marketing": False,
        "languages": ["de", "en"],
    }
    assert run(["mails", "list"]) == 0
    assert "notice.win-back" in capsys.readouterr().out


def test_preview_writes_files(tmp_path: Path, capsys: Capture) -> None:
    assert run(["mails", "preview", "invoice", "--locale", "de-DE", "--to", str(tmp_path / "out")]) == 0
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "invoice.txt",
        "invoice.html",
        "INV-1042.pdf",
    }
    assert "Subject: Ihre Rechnung INV-1042" in (tmp_path / "out" / "invoice.txt").read_text()
    assert str(tmp_path / "out" / "invoice.txt") in capsys.readouterr().out


def test_preview_with_the_publisher_of_a_rule_book(tmp_path: Path, capsys: Capture) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("publisher: {name: The Alder Post, address: [2 Quay]}")
    assert run(["mails", "preview", "paused", "--rules", str(rules), "--to", str(tmp_path)]) == 0
    text = (tmp_path / "paused.txt").read_text()
    assert "The Alder Post\n2 Quay" in text
    rules.write_text("publisher: {nam: x}")
    assert run(["mails", "preview", "paused", "--rules", str(rules), "--to", str(tmp_path)]) == 2
    assert "rules.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["preview", "nothing"], "there is no mail template 'nothing' for en-US"),
        (["preview", "paused", "--currency", "XYZ"], "--currency: 'XYZ' is not an ISO 4217 currency code"),
        (["preview", "paused", "--to", "/dev/null/x"], "/dev/null/x cannot be written to"),
        (["log", "--status", "lost"], "there is no status 'lost'"),
        (["send", "--since", "yesterday"], "--since: 'yesterday' is no instant"),
    ],
)
def test_what_cannot_be(arguments: list[str], said: str, capsys: Capture) -> None:
    assert run(["mails", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_status_log_and_sending_after_all(url: str, capsys: Capture) -> None:
    assert run(["mails", "status"]) == 0
    assert "No mail was recorded yet" in capsys.readouterr().out
    with psycopg.connect(url) as connection:
        account = add_reader(connection, "HC-1")
        mail = NewMail(f"notice.paused/{account}/1", "paused", account, account, 1)
        assert record_mails(connection, [mail, mail], {"live": "no_connection"}, {}) == 1
    assert run(["mails", "status"]) == 0
    assert "no mail connection of its mode is configured" in capsys.readouterr().out
    assert run(["mails", "log", "--account", "HC-1", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["template"], row["status"], row["reason"]) == ("paused", "unsent", "no_connection")
    assert run(["mails", "send", "--since", "2026-01-01", "--template", "receipt"]) == 0
    assert "0 mails wait" in capsys.readouterr().out
    assert run(["mails", "send", "--since", "2026-01-01"]) == 0
    assert "1 mail waits" in capsys.readouterr().out
    assert run(["mails", "log", "--status", "waiting"]) == 0
    assert "HC-1" in capsys.readouterr().out
    with psycopg.connect(url) as connection:
        audited = connection.execute(
            "select subject from audit where action = 'mails.send' order by at"
        ).fetchall()
    assert len(audited) == 2
