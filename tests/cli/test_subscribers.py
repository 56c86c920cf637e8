"""`masthead webhooks`, as an operator meets it."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import psycopg
import pytest

from operations.webhooks_out.fan_out import fan_out
from runtime.cli.app import run
from storage.encryption import new_key
from storage.events import NewEvent, append_events
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE

Capture = pytest.CaptureFixture[str]
URL = "https://crm.example.com/hook"


@pytest.fixture
def url(
    pg_server: PostgresForTests, temporal_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> str:
    url = pg_server.fresh_database("subscribers")
    for name, value in {
        "DATABASE_URL": url,
        "TEMPORAL_ADDRESS": temporal_address,
        "TEMPORAL_NAMESPACE": NAMESPACE,
        "MASTHEAD_HOME": str(tmp_path / "home"),
        "MASTHEAD_WORKERS": "0",
        "MASTHEAD_SECRET_KEY": new_key(),
    }.items():
        monkeypatch.setenv(name, value)
    return url


def out(capsys: Capture, *arguments: str) -> str:
    """What a command that goes well prints."""
    code = run(["webhooks", *arguments])
    said = capsys.readouterr()
    assert code == 0, said.err
    return said.out


def test_an_endpoint_from_its_first_to_its_last_day(url: str, capsys: Capture) -> None:
    assert "masthead webhooks add" in out(capsys, "list")
    made = json.loads(out(capsys, "add", URL, "--kind", "invoice.*", "--description", "CRM", "--json"))
    assert made["secret"].startswith("whsec_")
    rotated = out(capsys, "rotate-secret", made["id"], "--reason", "it was in a mail")
    assert made["secret"] not in rotated
    assert "secret   whsec_" in rotated
    (listed,) = json.loads(out(capsys, "list", "--json"))
    assert (listed["url"], listed["kinds"], "secret" in listed) == (URL, ["invoice.*"], False)
    assert "told nothing more" in out(capsys, "disable", made["id"], "--reason", "being moved")
    assert "disabled: being moved" in out(capsys, "list")
    assert "--since" in out(capsys, "enable", made["id"])
    with psycopg.connect(url) as connection:
        reasons = connection.execute("select reason from audit order by at").fetchall()
    assert [reason for (reason,) in reasons][1:3] == ["it was in a mail", "being moved"]


def test_what_was_told_is_shown_and_sent_again(url: str, capsys: Capture) -> None:
    endpoint = json.loads(out(capsys, "add", URL, "--json"))["id"]
    assert out(capsys, "deliveries", endpoint) == "Nothing yet.\n"
    message = _failed(url)
    shown = out(capsys, "deliveries", endpoint)
    assert all(part in shown for part in ("invoice.posted", "failed", "503 in 9 ms: be right back"))
    assert "1 message is sent again" in out(capsys, "resend", endpoint, "--since", "2026-01-01")
    assert "0 messages are sent again" in out(capsys, "resend", endpoint, "--since", "2026-01-01T00:00Z")
    assert "1 message is" in out(capsys, "resend", endpoint, "--message", f"msg_{message}")
    (told,) = json.loads(out(capsys, "deliveries", endpoint, "--status", "pending", "--json"))
    assert told["id"] == message


def _failed(url: str) -> str:
    with psycopg.connect(url, autocommit=True) as connection:
        append_events(connection, [NewEvent("invoice.posted", None, str(uuid.uuid4()), 1)])
        assert fan_out(connection).messages == 1
        row: tuple[Any, ...] | None = connection.execute(
            "update webhook_message set status = 'failed', attempts = 1, error_kind = 'http_503',"
            " next_attempt_at = null, ended_at = now() returning id::text"
        ).fetchone()
        assert row is not None
        connection.execute(
            "insert into webhook_attempt (message_id, no, status, milliseconds, error_kind, response)"
            " values (%s, 1, 503, 9, 'http_503', 'be right back')",
            row,
        )
    return str(row[0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["add", "http://crm.example.com/"], "must begin with https://"),
        (["add", "http://127.0.0.1:8080/"], "MASTHEAD_ALLOW_LOOPBACK"),
        (["add", URL, "--kind", "Invoices"], "'Invoices' is no kind of event"),
        (["disable", "crm"], "'crm' is not a webhook endpoint's id"),
        (["enable", str(uuid.uuid4())], "there is no webhook endpoint"),
        (["deliveries", str(uuid.uuid4())], "there is no webhook endpoint"),
        (["deliveries", str(uuid.uuid4()), "--status", "lost"], "there is no status 'lost'"),
        (["resend", str(uuid.uuid4())], "what shall be sent again?"),
        (["resend", str(uuid.uuid4()), "--since", "yesterday"], "'yesterday' is no instant"),
        (["resend", str(uuid.uuid4()), "--message", "7"], "'7' is not a message's id"),
    ],
)
def test_what_is_wrong_is_said(url: str, capsys: Capture, arguments: list[str], words: str) -> None:
    assert run(["webhooks", *arguments]) == 2
    said = capsys.readouterr()
    assert words in said.err
    assert said.out == ""


def test_the_same_url_twice_and_no_key(url: str, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    first = json.loads(out(capsys, "add", URL, "--json"))["id"]
    assert run(["webhooks", "add", URL]) == 2
    assert f"rotate-secret {first}" in capsys.readouterr().err
    monkeypatch.delenv("MASTHEAD_SECRET_KEY")
    assert run(["webhooks", "add", URL + "/2"]) == 2
    assert "MASTHEAD_SECRET_KEY" in capsys.readouterr().err
