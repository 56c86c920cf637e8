"""The public file of 7,043 real customers, billed by the commands of a stranger on a home that was empty."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from runtime.cli.app import run
from tests.runtime.conftest import CHECKOUT, Up

TELCO = (
    Path(os.environ.get("MASTHEAD_SHARED", CHECKOUT.parent / "shared")) / "data" / "telco-customer-churn.csv"
)
CUSTOMERS = 7043
OWED = {"USD": 45611660}


class Terminal:
    """Commands on the stack that is up, and what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str) -> str:
        """Run one command to its end; what it printed."""
        code = run(list(arguments))
        said = self._capsys.readouterr()
        assert code == 0, said.err
        return said.out

    def json(self, *arguments: str) -> dict[str, Any]:
        """The same, as JSON."""
        told: dict[str, Any] = json.loads(self(*arguments, "--json"))
        return told

    def billed(self, as_of: str, *options: str) -> tuple[int, dict[str, int], int]:
        """Invoices, totals in minor units and parked accounts of a run."""
        result = self.json("bill-run", "--as-of", as_of, *options)
        assert result["status"] == "completed"
        return result["invoices"], result["totals"], result["parked"]

    def check_books(self, months: int) -> None:
        """All laws hold, and the trial balance comes to zero, with what `months` runs have billed to be paid."""
        verified = self.json("verify")
        assert verified["ok"], verified
        balance = self.json("trial-balance")
        (total,) = balance["totals"]
        assert (total["currency"], total["debit"], total["difference"]) == ("USD", months * OWED["USD"], 0)
        (receivable,) = (row for row in balance["rows"] if row["account"] == "accounts_receivable")
        assert receivable["debit"] - receivable["credit"] == months * OWED["USD"]


@pytest.fixture
def masthead(up: Up, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    for name, value in up.env.items():
        monkeypatch.setenv(name, value)
    for name in ("DATABASE_URL", "TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(CHECKOUT)
    return Terminal(capsys)


@pytest.mark.skipif(not TELCO.exists(), reason=f"{TELCO} is not there; MASTHEAD_SHARED names its folder")
def test_the_public_file_is_billed_to_the_cent_and_once_a_month(masthead: Terminal) -> None:
    masthead("catalog", "load", "examples/catalog.yaml")
    day = ("--as-of", "2026-12-01")
    read = masthead.json("import", str(TELCO), "--map", "examples/telco.map.yaml", *day)
    assert (read["rows"], read["imported"], read["rejected"]) == (CUSTOMERS, CUSTOMERS, 0)
    assert masthead.billed("2026-12-01", "--preview") == (CUSTOMERS, OWED, 0)
    assert masthead.billed("2026-12-01") == (CUSTOMERS, OWED, 0)
    masthead.check_books(months=1)
    assert masthead.billed("2026-12-01") == (0, {}, 0)
    assert masthead.billed("2026-12-15") == (0, {}, 0)
    assert masthead.billed("2027-01-01") == (CUSTOMERS, OWED, 0)
    masthead.check_books(months=2)
