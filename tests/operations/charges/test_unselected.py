"""A payment run that selects nobody says why: in its result, over HTTP and on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from bench.fleet import DUE
from contracts.payment_run import PaymentRunResult
from operations.charges.run import PaymentRuns
from operations.charges.scope import PaymentScope
from runtime.cli.payment_run import _tell
from storage.billable import Target
from storage.database import make_engine
from tests.api.served import client_for, database_with_keys
from tests.conftest import PostgresForTests
from tests.operations.charges.charged import NOW, Fleet

EARLIER = DUE - timedelta(days=1)


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return database_with_keys(pg_server, "unselected", "payment-runs:read")


@pytest.fixture(scope="module")
def fleet(url: str) -> Iterator[Fleet]:
    engine = make_engine(url)
    yield Fleet(engine, 6)
    engine.dispose()


def opened(fleet: Fleet, day: date, scope: str = "all") -> str:
    """A run that has selected what there is."""
    return PaymentRuns(fleet.engine).open(
        workflow_id=f"payment-run/{scope}/{day}",
        workflow_run_id=str(uuid4()),
        mode="live",
        scope=PaymentScope.parse(scope),
        target=Target(day, None),
        chunk_size=10,
    )


def why(fleet: Fleet, day: date, scope: str = "all") -> dict[str, int]:
    """Why a run of that day selects nobody; its preview says the same."""
    runs = PaymentRuns(fleet.engine)
    found: dict[str, int] = runs.summary(opened(fleet, day, scope))["unselected"]
    seen = runs.preview(
        mode="live", scope=PaymentScope.parse(scope), target=Target(day, None), now=NOW, after=None, limit=10
    )
    assert (seen.selected, seen.unselected) == (0, found)
    return found


def test_it_says_what_keeps_each_account_out(fleet: Fleet) -> None:
    assert why(fleet, EARLIER) == {"not_due": 6}
    fleet.do("update account set auto_pay = false where id = any(%s::uuid[])", fleet.accounts[:4])
    assert why(fleet, EARLIER) == {"not_due": 6}, "the first that holds counts"
    assert why(fleet, DUE, "retries") == {"outside_scope": 6}
    fleet.do("update account set auto_pay = false")
    [begun] = fleet.rows("select min(id::text) from invoice")
    fleet.do("update invoice set status = 'paid', balance = 0 where id = %s", begun[0])
    assert why(fleet, DUE) == {"no_auto_pay": 5, "nothing_open": 1}
    fleet.do("update account set auto_pay = true")
    runs = PaymentRuns(fleet.engine)
    assert runs.summary(opened(fleet, DUE))["unselected"] == {}, "a run with accounts has nothing to explain"


def test_http_and_the_command_line_say_it(
    fleet: Fleet, url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = opened(fleet, EARLIER)
    with client_for(url, tmp_path) as client:
        shown = client.get(f"/v1/payment-runs/{run}").json()
    assert (shown["selected"], shown["unselected"]["not_due"]) == (0, 5)
    result = PaymentRunResult.model_validate(
        {**shown, "run_id": run, "preview": False, "status": "completed"}
    )
    _tell(result)
    assert "not selected: not due" in capsys.readouterr().out
