"""What is charged in arrears, in the books of a simulation: earned with its document, taken back from revenue."""

from __future__ import annotations

from typing import Any

from tests.domain.simulation.playing import amounts, step, told

APRIL = (step("2026-04-01", "subscribe", plan="arrears"), step("2026-05-01", "bill"))


def standing(found: dict[str, Any]) -> dict[str, int]:
    return {account: amount for account, amount in found["trial_balance"].items() if amount}


def test_a_month_in_arrears_is_revenue_with_its_document() -> None:
    found = told(*APRIL)
    assert amounts(found, 1) == [("recurring", "2026-04-01", "2026-05-01", 3000)]
    assert standing(found) == {"payments_in_clearing": 3000, "revenue": -3000}


def test_a_month_that_is_billed_late_is_revenue_and_the_one_ahead_is_owed() -> None:
    found = told(step("2026-04-01", "subscribe", plan="news"), step("2026-05-01", "bill"))
    assert standing(found) == {"payments_in_clearing": 6000, "deferred_revenue": -3000, "revenue": -3000}


def test_a_void_takes_arrears_back_from_revenue() -> None:
    """Law 9: a void reaches the ledger, and the accounts stand as if nothing had been billed."""
    found = told(*APRIL, step("2026-05-02", "void", invoice=1), account={"auto_pay": False})
    assert [invoice["status"] for invoice in found["invoices"]] == ["void"]
    assert standing(found) == {}


def test_a_refund_of_arrears_takes_them_back_from_revenue() -> None:
    found = told(*APRIL, step("2026-05-02", "refund", amount="11.00"))
    assert standing(found) == {"payments_in_clearing": 1900, "revenue": -1900}


def test_what_follows_arrears_is_charged_though_it_ends_before_the_next_bill() -> None:
    # The bill of 15 February would have charged `news`; three days of 31 were served before the cancel.
    found = told(
        step("2026-01-15", "subscribe", plan="arrears"),
        step("2026-01-16", "change_plan", to="news", behaviour="immediate_with_proration"),
        step("2026-01-19", "cancel"),
        step("2026-01-25", "bill"),
    )
    assert amounts(found, 1) == [
        ("recurring", "2026-01-16", "2026-01-19", 290),
        ("recurring", "2026-01-15", "2026-01-16", 97),
    ]
