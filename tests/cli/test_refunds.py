"""`masthead refund` and `masthead disputes`, as an operator meets them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from connectors.sdk.capabilities.payment_facts import Happened, PaymentFact
from operations.refunds.facts import apply_facts
from runtime.cli.app import run
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.workflows.refunding import Paid, Till

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def till(
    pg_server: PostgresForTests, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Till]:
    url = pg_server.fresh_database("refunds_cli")
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")  # away: what is promised is paid later
    monkeypatch.setenv("MASTHEAD_HOME", str(tmp_path_factory.mktemp("home")))
    engine = make_engine(url)
    yield Till(engine, None, {})  # type: ignore[arg-type]
    engine.dispose()


@pytest.fixture
def paid(till: Till) -> Paid:
    account, total = till.invoiced()
    return till.settled(account, total, "cards", "pi_1")


def test_a_refund_is_promised_once_for_its_key(till: Till, paid: Paid, capsys: Capture) -> None:
    order = [
        "refund",
        "make",
        paid.payment_id,
        "--amount",
        "2.00",
        "--reason",
        "late",
        "--key",
        "k",
        "--json",
    ]
    assert run(order) == 0
    made = json.loads(capsys.readouterr().out)
    assert (made["status"], made["promise"], made["amount"]) == ("pending", "standing", 200)
    assert run(order) == 0
    assert json.loads(capsys.readouterr().out)["id"] == made["id"]
    assert run(["refund", "list", "--standing"]) == 0
    assert made["id"] in capsys.readouterr().out
    assert run(["refund", "make", paid.payment_id, "--amount", "900.00", "--reason", "late"]) == 2
    assert "refunded" in capsys.readouterr().err
    assert run(["refund", "credit", made["id"], "--reason", "as asked"]) == 2
    assert "pending" in capsys.readouterr().err


def test_a_refund_by_hand_is_paid_by_a_person(till: Till, paid: Paid, capsys: Capture) -> None:
    with transaction(till.engine) as connection:
        connection.execute("delete from charge where account_id = %s", (paid.account,))
    row = till.ask(paid, "1.00")
    assert run(["refund", "paid", row.id, "--reason", "transfer of today", "--actor", "ada"]) == 0
    assert "succeeded, the promise is paid" in capsys.readouterr().out
    assert till.rows("select actor, action, reason from audit") == [
        ("ada", "refund.paid", "transfer of today")
    ]
    assert run(["refund", "show", row.id]) == 0
    assert json.loads(capsys.readouterr().out)["promise"] == "paid"


def test_a_dispute_is_listed_and_noted(till: Till, paid: Paid, capsys: Capture) -> None:
    told = PaymentFact(
        happened=Happened.DISPUTED,
        payment="pi_1",
        reference="",
        id="dp_1",
        amount=paid.amount,
        currency="USD",
    )
    with transaction(till.engine) as connection:
        apply_facts(connection, till.tariffs.current(connection), "cards", [told], datetime.now(UTC))
    assert run(["disputes", "list", "--status", "open", "--json"]) == 0
    (dispute,) = json.loads(capsys.readouterr().out)
    assert run(["disputes", "note", dispute["id"], "read 41 articles", "--actor", "ada"]) == 0
    (kept,) = json.loads(capsys.readouterr().out)["evidence"]
    assert (kept["by"], kept["text"]) == ("ada", "read 41 articles")
    assert run(["disputes", "list"]) == 0
    assert "taken" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        ["refund", "show", "x"],
        ["refund", "show", "01a205bd-0000-7000-8000-000000000000"],
        ["refund", "make", "01a205bd-0000-7000-8000-000000000000", "--reason", "r"],
        ["disputes", "show", "01a205bd-0000-7000-8000-000000000000"],
        ["disputes", "list", "--status", "maybe"],
    ],
)
def test_wrong_input_is_told_in_plain_words(till: Till, arguments: list[str], capsys: Capture) -> None:
    assert run(arguments) == 2
    assert "Traceback" not in capsys.readouterr().err
