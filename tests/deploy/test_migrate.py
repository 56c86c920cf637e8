"""`masthead migrate` on a database and a Temporal that know nothing of Masthead: once, again, and half of it."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest

from contracts.names import SEARCH_ATTRIBUTES
from runtime.cli.app import run
from runtime.stack.home import Home
from runtime.temporal import connect, registered_search_attributes
from storage.database import make_engine
from storage.migrate import current, head
from tests.conftest import PostgresForTests

NAMESPACE = "migrated"


@pytest.fixture
def url(pg_server: PostgresForTests) -> Iterator[str]:
    """The URL of a database that is empty."""
    with psycopg.connect(pg_server.server.url("postgres"), autocommit=True) as connection:
        connection.execute("create database bare template template0")
    yield pg_server.server.url("bare")
    with psycopg.connect(pg_server.server.url("postgres"), autocommit=True) as connection:
        connection.execute("drop database bare with (force)")


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Home:
    for name in ("DATABASE_URL", "DATABASE_URL_FILE", "TEMPORAL_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MASTHEAD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TEMPORAL_NAMESPACE", NAMESPACE)
    return Home(tmp_path / "home")


def schema(url: str) -> str | None:
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            return current(connection)
    finally:
        engine.dispose()


def keys(url: str) -> list[bytes]:
    with psycopg.connect(url) as connection:
        return [bytes(row[0]) for row in connection.execute("select key_hash from api_key").fetchall()]


async def prepared(address: str) -> tuple[int, frozenset[str]]:
    """The namespace's retention in days, and its search attributes."""
    client = await connect(address, NAMESPACE)
    found = await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=NAMESPACE))
    seconds = found.config.workflow_execution_retention_ttl.seconds
    return seconds // 86_400, await registered_search_attributes(client)


def test_servers_of_one_s_own_are_prepared_and_stay_so(
    url: str,
    home: Home,
    temporal_address: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    (tmp_path / "database_url").write_text(url, "utf-8")
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "database_url"))
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_address)
    assert run(["migrate"]) == 0
    key = home.api_key_file.read_text().strip()
    assert run(["migrate"]) == 0
    assert schema(url) == head()
    assert home.api_key_file.read_text().strip() == key
    assert keys(url) == [hashlib.sha256(key.encode()).digest()]
    days, attributes = asyncio.run(prepared(temporal_address))
    assert days == 30
    assert {each.name for each in SEARCH_ATTRIBUTES} <= attributes
    capsys.readouterr()
    run(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)["findings"]
    # Of Postgres that it does not wait for the disk, as that of the tests does not; and nobody works here.
    assert [each["item"] for each in found if not each["ok"]] == ["Durability", "Workers"]


def test_a_database_alone(url: str, home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert run(["migrate", "--database-only"]) == 0
    assert schema(url) == head()
    assert len(keys(url)) == 1


def test_what_is_missing_is_named_before_anything_is_touched(
    url: str, home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["migrate"]) == 2
    assert "DATABASE_URL and TEMPORAL_ADDRESS must be set" in capsys.readouterr().err
    monkeypatch.setenv("DATABASE_URL", url)
    assert run(["migrate"]) == 2
    assert "error: TEMPORAL_ADDRESS must be set" in capsys.readouterr().err
    assert schema(url) is None
    assert not home.root.exists()


def test_a_database_that_does_not_answer(
    home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:hush@127.0.0.1:1/none")
    assert run(["migrate", "--database-only"]) == 1
    told = capsys.readouterr().err
    assert "does not answer" in told
    assert "hush" not in told
