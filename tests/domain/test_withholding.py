"""Debts and access: which dunning states keep readers out, and from when until when."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from domain.dunning import UnpaidInvoice
from domain.dunning_default import DEFAULT_POLICY
from domain.dunning_policy import read_policy
from domain.entitlements import Span
from domain.policy import AccessPolicy, Policy
from domain.withholding import gives_access, withheld

DUE = date(2026, 3, 1)
OPEN = UnpaidInvoice(DUE, 1200, "USD")
MILD = {
    "states": [
        {"name": "current"},
        {"name": "warned", "when": {"age_days": 5}, "on_entry": [{"do": "restrict"}]},
        {"name": "held", "when": {"age_days": 10}, "on_entry": [{"do": "suspend"}]},
        {"name": "over", "when": {"age_days": 20}, "on_entry": [{"do": "cancel"}]},
    ],
    "retry": {"soft": {"days": [1]}},
}


def after(days: int) -> date:
    return DUE + timedelta(days=days)


@pytest.mark.parametrize(
    ("access", "open_in"),
    [
        ({}, {"current", "warned"}),
        ({"restricted": "none"}, {"current"}),
        ({"suspended": "full"}, {"current", "warned", "held", "over"}),
        ({"restricted": "none", "suspended": "full"}, {"current"}),
    ],
)
def test_measures_keep_out_as_the_policy_says(access: dict[str, Any], open_in: set[str]) -> None:
    dunning = read_policy(MILD)
    policy = AccessPolicy.model_validate(access)
    assert {state.name for state in dunning.states if gives_access(dunning, policy, state.name)} == open_in


def test_a_state_that_blocks_entitlement_gives_none_whatever_the_policy_says() -> None:
    lenient = AccessPolicy(suspended="full")
    assert gives_access(DEFAULT_POLICY, lenient, "restricted")
    assert not gives_access(DEFAULT_POLICY, lenient, "suspended")


def test_a_state_that_the_policy_does_not_have_any_more_gives_access() -> None:
    assert gives_access(DEFAULT_POLICY, AccessPolicy(), "frozen")


def test_an_open_invoice_ends_access_on_a_day_that_is_known_beforehand() -> None:
    assert withheld(Policy(), [(date(2026, 1, 1), "current")], [OPEN], DUE) == (Span(after(14), None),)


def test_nothing_is_withheld_from_who_owes_nothing() -> None:
    assert withheld(Policy(), [], [], DUE) == ()


def test_what_was_withheld_stays_on_record_once_it_is_paid() -> None:
    history = [
        (date(2026, 1, 1), "current"),
        (after(1), "overdue"),
        (after(14), "suspended"),
        (after(17), "current"),
    ]
    assert withheld(Policy(), history, [], after(30)) == (Span(after(14), after(17)),)


def test_it_goes_on_through_worse_states_and_ends_with_the_day_of_the_payment() -> None:
    history = [(after(14), "suspended"), (after(30), "canceled")]
    assert withheld(Policy(), history, [OPEN], after(35)) == (Span(after(14), None),)
    assert withheld(Policy(), history, [], after(35)) == (Span(after(14), after(35)),)


def test_a_payment_whose_outcome_is_unknown_stops_the_clock() -> None:
    unknown = UnpaidInvoice(DUE, 1200, "USD", unknown_since=after(3))
    assert withheld(Policy(), [], [unknown], after(5)) == ()
