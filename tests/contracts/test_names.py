"""Workflow ids are functions of business identity, and can be read back."""

from __future__ import annotations

from datetime import date

import pytest

from contracts.names import bill_run_id, parse_bill_run_id, parse_subscription_id, subscription_id


@pytest.mark.parametrize(
    "scope", ["all", "parked", "currency:EUR", "account:A/7", "preview:time-zone:Asia/Tokyo"]
)
def test_a_bill_runs_id_is_read_back(scope: str) -> None:
    assert parse_bill_run_id(bill_run_id(scope, date(2026, 12, 1))) == (scope, "2026-12-01")


def test_a_subscriptions_id_is_read_back() -> None:
    assert parse_subscription_id(subscription_id("01a20432")) == "01a20432"


@pytest.mark.parametrize("other", ["", "bill-run/all", "subscription/", "sweep/scheduled"])
def test_other_ids_are_refused(other: str) -> None:
    for parse in (parse_bill_run_id, parse_subscription_id):
        with pytest.raises(ValueError, match="workflow id"):
            parse(other)
