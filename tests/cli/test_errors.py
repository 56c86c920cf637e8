"""`masthead errors` about calls to other systems: listed, grouped, shown, and decided with an audit row."""

from __future__ import annotations

import asyncio
import getpass
import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from runtime.cli.app import run
from storage.database import make_engine
from tests.activities.acme import SECRET, Vendor, running_vendor
from tests.activities.calling import MAIL, NAME, STREET, Tries, prepare
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def vendor() -> Iterator[Vendor]:
    with running_vendor() as vendor:
        yield vendor


@pytest.fixture
def url(
    pg_server: PostgresForTests, temporal_address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> str:
    url = pg_server.fresh_database("errors")
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_address)
    monkeypatch.setenv("TEMPORAL_NAMESPACE", NAMESPACE)
    monkeypatch.setenv("MASTHEAD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MASTHEAD_WORKERS", "0")
    return url


@pytest.fixture
def parked(url: str, vendor: Vendor) -> list[str]:
    """Three parked calls: two labels that are refused, and a mail that may have gone out."""
    engine = make_engine(url)
    tries = Tries(engine, vendor.url)
    vendor.faults = ["422", "422", "dropped after"]
    found = [
        asyncio.run(tries.once(prepare(engine, to).ref)).park_id or "" for to in ("ship", "ship", "mail")
    ]
    engine.dispose()
    return found


def status(url: str, park: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select c.status from connector_call c join parked p on p.call_id = c.id where p.id = %s", (park,)
        ).fetchone()
    assert row is not None
    return str(row[0])


def test_they_are_listed_grouped_and_shown_without_anybody_in_them(
    url: str, parked: list[str], capsys: Capture
) -> None:
    assert run(["errors"]) == 0
    listed = capsys.readouterr().out
    assert all(park in listed for park in parked)
    assert run(["errors", "--json", "--connection", "ship"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["id"] for each in found] == parked[:2]
    assert run(["errors", "--group", "--json"]) == 0
    groups = json.loads(capsys.readouterr().out)
    assert [(each["count"], each["connection"], each["code"]) for each in groups] == [
        (2, "ship", "bad_amount"),
        (1, "mail", None),
    ]
    assert run(["errors", "--group"]) == 0
    grouped = capsys.readouterr().out
    assert "bad_amount" in grouped
    assert run(["errors", "show", parked[0]]) == 0
    shown = capsys.readouterr().out
    assert json.loads(shown)["payload"]["weight"] == 300
    told = f"{listed}{found}{groups}{grouped}{shown}"
    assert not [canary for canary in (SECRET, NAME, MAIL, STREET, "Quillfeather") if canary in told]


def test_each_decision_is_carried_out_and_audited(
    url: str, parked: list[str], tmp_path: Path, capsys: Capture
) -> None:
    changes = tmp_path / "payload.json"
    changes.write_text('{"weight": 200}')
    orders = [
        (parked[0], ["edit", parked[0], "--file", str(changes), "--reason", "too heavy"], "intent"),
        (parked[1], ["skip", parked[1], "--reason", "sent by hand", "--actor", "Ada"], "skipped"),
        (parked[2], ["retry", parked[2], "--reason", "not there", "--not-applied"], "intent"),
    ]
    for park, order, expected in orders:
        assert run(["errors", *order]) == 0, capsys.readouterr().err
        assert park in capsys.readouterr().out
        assert status(url, park) == expected
    assert run(["errors", *orders[1][1]]) == 0
    assert "decided before" in capsys.readouterr().out
    with psycopg.connect(url) as connection:
        audits = connection.execute("select actor, action, reason from audit order by at").fetchall()
    me = getpass.getuser()
    assert audits == [(me, "edit", "too heavy"), ("Ada", "skip", "sent by hand"), (me, "retry", "not there")]
    assert run(["errors"]) == 0
    assert "Nothing is parked" in capsys.readouterr().out


def test_what_does_not_fit_is_refused_with_a_remedy_and_changes_nothing(
    url: str, parked: list[str], tmp_path: Path, capsys: Capture
) -> None:
    heavy, broken = tmp_path / "heavy.json", tmp_path / "broken.json"
    heavy.write_text('{"weight": "much"}')
    broken.write_text("{")
    unknown = str(uuid4())
    for arguments, words in (
        (["skip", unknown, "--reason", "x"], f"there is no parked work {unknown}"),
        (["skip", "latest", "--reason", "x"], "'latest' is not the id of parked work"),
        (["skip", parked[0], "--reason", " "], "--reason is empty"),
        (["edit", parked[0], "--reason", "x", "--file", str(heavy)], "weight: "),
        (["edit", parked[0], "--reason", "x", "--file", str(broken)], "is no JSON"),
        (["edit", parked[0], "--reason", "x", "--file", str(tmp_path / "none")], "cannot be read"),
        (["edit", parked[2], "--reason", "x", "--file", str(heavy)], "it would be done twice"),
        (["show", unknown], f"there is no parked work {unknown}"),
    ):
        assert run(["errors", *arguments]) == 2, words
        said = capsys.readouterr()
        assert words in said.err
        assert said.out == ""
    assert [status(url, park) for park in parked] == ["parked"] * 3
