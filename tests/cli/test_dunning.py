"""`masthead dunning` and `masthead payments`, as an operator meets them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.cli.app import run
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.operations.charges.charged import Fleet

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def fleet(pg_server: PostgresForTests, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Fleet]:
    url = pg_server.fresh_database("dunning_cli")
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    monkeypatch.setenv("MASTHEAD_HOME", str(tmp_path / "home"))
    engine = make_engine(url)
    yield Fleet(engine, 2)
    engine.dispose()


def test_an_operator_notes_a_promise_and_decides_a_charge(fleet: Fleet, capsys: Capture) -> None:
    assert run(["dunning", "list"]) == 0
    assert "Nobody is being dunned." in capsys.readouterr().out
    owing, doubtful = fleet.accounts
    [begun] = fleet.begin(owing).begun
    fleet.tell(begun.charge_id, "failed", code="expired_card")
    [key] = fleet.rows("select external_key from account where id = %s", owing)[0]
    assert (
        run(
            [
                "dunning",
                "promise",
                key,
                "--until",
                "2027-01-10",
                "--reason",
                "on the phone",
                "--actor",
                "anna",
            ]
        )
        == 0
    )
    assert "anna: on the phone" in capsys.readouterr().out
    assert run(["dunning", "list", "--json"]) == 0
    [case] = json.loads(capsys.readouterr().out)
    assert (case["account_id"], case["holds"]["promise"]["until"]) == (owing, "2027-01-10")
    assert run(["dunning", "promise", key, "--until", "tomorrow", "--reason", "x"]) != 0
    assert "is not a date" in capsys.readouterr().err
    assert run(["dunning", "resume", key, "--why", "dispute", "--reason", "x"]) != 0
    assert "not held by a dispute" in capsys.readouterr().err
    assert run(["dunning", "resume", key, "--reason", "it came to nothing"]) == 0
    assert run(["dunning", "pause", doubtful, "--reason", "x"]) != 0
    assert "is not being dunned" in capsys.readouterr().err

    assert run(["payments", "unknown"]) == 0
    assert "No charge is in doubt." in capsys.readouterr().out
    [asked] = fleet.begin(doubtful).begun
    fleet.tell(asked.charge_id, "unknown")
    assert run(["payments", "unknown", "--json"]) == 0
    [shown] = json.loads(capsys.readouterr().out)
    assert (shown["id"], shown["amount"]) == (asked.charge_id, asked.amount)
    resolve = ["payments", "resolve", asked.charge_id, "--as", "not-charged", "--reason", "not in the list"]
    assert run(resolve) == 0
    assert "withdrawn" in capsys.readouterr().out
    assert run(resolve) == 0
    assert "as it was already" in capsys.readouterr().out
    assert run(["payments", "resolve", begun.charge_id, "--as", "charged", "--reason", "x"]) != 0
    assert "not in doubt" in capsys.readouterr().err
