"""What is refused names things as whoever asked knows them."""

from __future__ import annotations

from typing import Any

import pytest

from domain.simulation.play import play
from domain.simulation.scenario import Scenario
from tests.domain.publisher import CATALOG

BEGUN: list[dict[str, Any]] = [
    {"at": "2026-01-15", "do": "subscribe", "plan": "basic"},
    {"at": "2026-01-15", "do": "bill"},
    {"at": "2026-01-15", "do": "pay"},
]


def refusal(*steps: dict[str, Any]) -> str:
    account = {"currency": "USD", "auto_pay": False}
    scenario = Scenario.model_validate({"account": account, "catalog": "-", "steps": [*BEGUN, *steps]})
    return play(scenario, CATALOG).refused[-1].reason


@pytest.mark.parametrize(
    ("steps", "named"),
    [
        (
            [{"do": "credit_note", "invoice": 1, "lines": [1], "amount": "99"}],
            "9900 is to be credited of line 1 of invoice 1",
        ),
        (
            [{"do": "adjust_line", "invoice": 1, "line": 1, "amount": "-99"}],
            "line 1 of invoice 1 is to be adjusted by -9900",
        ),
        ([{"do": "refund", "amount": "99"}], "at most 1001 minor units of payment 1 can be refunded"),
        ([{"do": "refund"}, {"do": "refund", "payment": 1}], "payment 1 cannot be refunded"),
    ],
    ids=["credit note", "adjustment", "refund of too much", "refund again"],
)
def test_a_refusal_says_line_and_payment_by_their_numbers(steps: list[dict[str, Any]], named: str) -> None:
    assert named in refusal(*({"at": "2026-01-20", **each} for each in steps))
