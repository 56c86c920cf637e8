"""`masthead keys`, as an operator meets it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import psycopg
import pytest

from runtime.cli.app import run
from runtime.stack.home import Home
from runtime.stack.launch import ensure_bootstrap_key
from storage.api_keys import hash_key, open_key
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.subscribers import add_subscription

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def url(pg_server: PostgresForTests, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    url = pg_server.fresh_database("keys_cli")
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")  # these commands need no Temporal
    monkeypatch.setenv("MASTHEAD_HOME", str(tmp_path / "home"))
    return url


def opens(url: str, secret: str) -> str | None:
    """The name of the key that the secret opens."""
    engine = make_engine(url)
    with transaction(engine) as connection:
        found = open_key(connection, hash_key(secret))
    engine.dispose()
    return found.name if found else None


def test_a_key_is_made_listed_rotated_and_revoked(url: str, capsys: Capture) -> None:
    assert (
        run(["keys", "create", "store", "--scope", "catalog:read", "--scope", "checkout:write", "--json"])
        == 0
    )
    made = json.loads(capsys.readouterr().out)
    assert (made["mode"], made["scopes"], opens(url, made["secret"])) == (
        "live",
        ["catalog:read", "checkout:write"],
        "store",
    )
    assert run(["keys", "rotate", made["id"], "--overlap", "1h", "--json"]) == 0
    rotated = json.loads(capsys.readouterr().out)
    assert [opens(url, each["secret"]) for each in (made, rotated)] == ["store", "store"]
    assert run(["keys", "rotate", made["id"], "--overlap", "0s"]) == 0
    out = capsys.readouterr()
    last = out.out.split()[-1]
    assert "not shown again" in out.err
    assert [opens(url, secret) for secret in (made["secret"], rotated["secret"], last)] == [
        None,
        None,
        "store",
    ]
    assert run(["keys", "list"]) == 0
    listed = capsys.readouterr().out
    assert made["id"] in listed
    assert last not in listed
    assert run(["keys", "revoke", made["id"], "--reason", "the shop is closed"]) == 0
    assert opens(url, last) is None
    with psycopg.connect(url) as connection:
        actions = connection.execute("select action, reason from audit order by at, id").fetchall()
    assert [action for action, _ in actions] == [
        "api-keys.create",
        "api-keys.rotate",
        "api-keys.rotate",
        "api-keys.revoke",
    ]
    assert actions[-1][1] == "the shop is closed"


def test_a_key_may_be_bound_and_expire(url: str, capsys: Capture) -> None:
    with psycopg.connect(url) as connection:
        add_subscription(connection, mode="test")
        row = connection.execute("select id::text from account").fetchone()
    assert row is not None
    arguments = ["--scope", "accounts:read", "--account", row[0], "--expires-in", "90d", "--json"]
    assert run(["keys", "create", "my account", *arguments]) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["mode"], made["account_id"]) == ("test", row[0])
    assert made["expires_at"] is not None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["create", "x", "--scope", "shoes"], "there is no scope 'shoes'"),
        (["create", "x", "--scope", "*", "--mode", "blue"], "--mode 'blue' is none"),
        (
            ["create", "x", "--scope", "*", "--expires-in", "soon"],
            "--expires-in: 'soon' is no length of time",
        ),
        (["create", "x", "--scope", "*", "--account", "1"], "--account: '1' is not an account's id"),
        (["rotate", "1"], "'1' is not an API key's id"),
        (["revoke", "01a205bd-0000-7000-8000-000000000000"], "there is no API key"),
    ],
)
def test_what_is_wrong_is_said(url: str, capsys: Capture, arguments: list[str], says: str) -> None:
    assert run(["keys", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_every_scope_is_listed(url: str, capsys: Capture) -> None:
    assert run(["keys", "scopes"]) == 0
    out = capsys.readouterr().out
    assert "invoices:read" in out
    assert "*" in out


def test_a_first_key_that_was_rotated_out_does_not_come_back(
    url: str, tmp_path: Path, capsys: Capture
) -> None:
    home = Home(tmp_path / "home")
    home.prepare()
    ensure_bootstrap_key(url, home)
    secret = home.api_key_file.read_text().strip()
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select id::text from api_key where key_hash = %s", (hashlib.sha256(secret.encode()).digest(),)
        ).fetchone()
    assert row is not None
    assert run(["keys", "rotate", row[0], "--overlap", "0s"]) == 0
    ensure_bootstrap_key(url, home)
    assert opens(url, secret) is None
