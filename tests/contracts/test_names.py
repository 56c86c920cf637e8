"""Workflow ids are functions of business identity, and can be read back."""

from __future__ import annotations

from datetime import date

import pytest

from contracts.names import (
    bill_run_id,
    connector_call_id,
    parse_bill_run_id,
    parse_connector_call_id,
    parse_subscription_id,
    parse_webhook_delivery_id,
    subscription_id,
    webhook_delivery_id,
)


@pytest.mark.parametrize(
    "scope", ["all", "parked", "currency:EUR", "account:A/7", "preview:time-zone:Asia/Tokyo"]
)
def test_a_bill_runs_id_is_read_back(scope: str) -> None:
    assert parse_bill_run_id(bill_run_id(scope, date(2026, 12, 1))) == (scope, "2026-12-01")


@pytest.mark.parametrize(
    ("workflow_id", "identity"),
    [
        ("bill-run/scheduled-2026-11-22T19:00:00Z", ("all", "2026-11-22T19:00:00Z")),
        ("bill-run/currency:EUR/2026-12-01-2026-11-22T19:00:00Z", ("currency:EUR", "2026-12-01")),
        ("bill-run/all/2026-11-22 19:00:00+00:00", ("all", "2026-11-22 19:00:00+00:00")),
        ("bill-run/plan:scheduled/2026-12-01", ("plan:scheduled", "2026-12-01")),
    ],
)
def test_what_a_schedule_makes_of_an_id_is_read_back(workflow_id: str, identity: tuple[str, str]) -> None:
    assert parse_bill_run_id(workflow_id) == identity


def test_a_subscriptions_id_is_read_back() -> None:
    assert parse_subscription_id(subscription_id("01a20432")) == "01a20432"


def test_a_webhook_deliverys_id_is_read_back() -> None:
    assert parse_webhook_delivery_id(webhook_delivery_id("01a20432")) == "01a20432"


@pytest.mark.parametrize(
    "other",
    [
        "",
        "bill-run/all",
        "bill-run/scheduled",
        "bill-run/all-2026-11-22T19:00:00Z",
        "subscription/",
        "webhook-delivery/",
        "sweep/scheduled",
    ],
)
def test_other_ids_are_refused(other: str) -> None:
    for parse in (parse_bill_run_id, parse_subscription_id, parse_webhook_delivery_id):
        with pytest.raises(ValueError, match="workflow id"):
            parse(other)


@pytest.mark.parametrize("key", ["charge:inv-1:2", "put/acct/1", "a"])
def test_a_calls_id_is_read_back(key: str) -> None:
    assert parse_connector_call_id(connector_call_id("stripe-eu", "payment.charge", key)) == (
        "stripe-eu",
        "payment.charge",
        key,
    )


@pytest.mark.parametrize(
    "other", ["", "call/a/b/c", "call/a/b.c", "call/a/b.c/", "subscription/1", "call//b.c/k"]
)
def test_what_is_no_calls_id_is_refused(other: str) -> None:
    with pytest.raises(ValueError, match="workflow id"):
        parse_connector_call_id(other)
