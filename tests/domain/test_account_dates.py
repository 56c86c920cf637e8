"""What is dated for an account, what its next bill needs, and a subscription handed over."""

from __future__ import annotations

from datetime import date
from itertools import count
from typing import Any

import pytest

from domain.account.access import grants
from domain.account.dates import billed_whole, next_dated, recorded_status, whole_due_on
from domain.account.days import advance
from domain.account.spans import live_days
from domain.account.state import AccountState
from domain.amendments import Refused
from domain.simulation.outcome import outcome
from domain.subscriptions import State
from domain.transfers import transfer
from tests.domain.simulation.playing import SUBSCRIBED, played, step


def account(*steps: dict[str, Any], **more: Any) -> AccountState:
    return played(*steps, **more).account


def dated(*steps: dict[str, Any], **more: Any) -> date | None:
    found = account(*steps, **more)
    return next_dated(found, found.subscription("main"))


def test_what_comes_next_by_itself() -> None:
    assert dated(*SUBSCRIBED) is None  # a plain renewal is no change
    assert dated(step("2026-04-01", "subscribe", plan="trial")) == date(2026, 4, 15)
    assert dated(step("2026-04-01", "subscribe", plan="intro")) == date(2026, 5, 1)
    assert dated(step("2026-04-01", "subscribe", plan="term")) == date(2026, 7, 1)
    paused = (*SUBSCRIBED, step("2026-04-10", "pause", until="2026-04-20"))
    assert dated(*paused) == date(2026, 4, 20)
    later = (*SUBSCRIBED, step("2026-04-10", "change_plan", to="lite"))
    assert dated(*later) == date(2026, 5, 1)
    yearly = step("2026-04-10", "change_plan", to="year", behaviour="end_of_period")
    assert dated(*SUBSCRIBED, yearly) == date(2026, 5, 1)
    ending = (*SUBSCRIBED, step("2026-04-10", "cancel", when="end_of_period"))
    assert dated(*ending) == date(2026, 5, 1)
    assert dated(*ending, step("2026-05-02", "bill")) is None
    assert dated(*SUBSCRIBED, step("2026-04-10", "cancel")) is None


def test_what_is_recorded_of_one_that_ended() -> None:
    found = account(
        *SUBSCRIBED, step("2026-04-10", "cancel", when="end_of_period"), step("2026-05-02", "bill")
    )
    assert recorded_status(found, found.subscription("main")) is State.EXPIRED


@pytest.mark.parametrize(
    ("more", "terms", "whole", "due"),
    [
        ((), {}, False, None),
        ((), {"tax": {"treatment": "exempt"}}, True, None),
        ((), {"tax": {"inclusive": True}}, True, None),
        ((step("2026-04-10", "grant_credit", amount="5"),), {}, True, None),
        ((step("2026-04-10", "change_plan", to="plus"),), {}, True, "2026-04-10"),
        ((step("2026-04-10", "pause", until="2026-04-20"),), {}, True, "2026-04-10"),
        (
            (step("2026-04-10", "change_plan", to="year", behaviour="end_of_period"),),
            {},
            True,
            "2026-05-01",
        ),
    ],
)
def test_what_the_next_bill_needs(more: Any, terms: Any, whole: bool, due: str | None) -> None:
    found = account(*SUBSCRIBED, *more, account={"currency": "USD", **terms})
    assert billed_whole(found) is whole
    assert whole_due_on(found) == (due and date.fromisoformat(due))


def test_missed_issues_of_one_that_ended_are_credited_by_a_bill() -> None:
    delivery = {
        "edition": "paper",
        "zone": "UTC",
        "weekdays": ["sat"],
        "cut_off": {"at": "18:00", "days_before": 1},
    }
    steps = (
        step("2026-04-01", "subscribe", plan="paper"),
        step("2026-04-01", "bill"),
        step("2026-04-02", "holiday_stop", start="2026-04-10", until="2026-04-13"),
        step("2026-04-20", "cancel", credit="none"),
    )
    found = account(*steps, delivery=delivery)
    assert found.subscription("main").terms.next_bill_on is None
    assert whole_due_on(found) == date(2026, 4, 20)
    assert whole_due_on(account(*steps, step("2026-04-21", "bill"), delivery=delivery)) is None


def test_one_is_handed_over_when_what_is_charged_runs_out() -> None:
    terms = account(*SUBSCRIBED).subscription("main").terms
    numbers = count(1)
    done = transfer(terms, date(2026, 4, 10), None, lambda: f"new {next(numbers)}")
    assert (done.day, done.old.ends_on, done.new.starts_on) == (date(2026, 5, 1),) * 3
    assert (done.new.charged_through, done.new.next_bill_on, done.new.ends_on) == (done.day, done.day, None)
    assert [(item.plan, item.starts_on) for item in done.new.items] == [("news", done.day)]
    assert done.new.anchor == terms.anchor
    ending = (
        account(*SUBSCRIBED, step("2026-04-10", "cancel", when="end_of_period")).subscription("main").terms
    )
    with pytest.raises(Refused, match="nothing to hand over"):
        transfer(ending, date(2026, 4, 11), None, lambda: "x")


def test_two_plays_of_one_timeline_come_to_the_same() -> None:
    assert outcome(played(*SUBSCRIBED)) == outcome(played(*SUBSCRIBED))
    assert outcome(played(*SUBSCRIBED)) != outcome(played(*SUBSCRIBED[:1]))


def test_days_that_pass_leave_what_fleets_do_to_fleets() -> None:
    found = account(*SUBSCRIBED, account={"currency": "USD", "auto_pay": False})
    advance(found, date(2026, 6, 2), fleet=False)
    assert (found.today, found.recognised_through) == (date(2026, 6, 2), None)
    assert [name for _, name in found.dunning] == ["current"]
    advance(found, date(2026, 6, 3))
    assert len(found.dunning) > 1


def test_an_account_that_nobody_collects_from_is_not_dunned_and_paid_nothing_back() -> None:
    found = account(*SUBSCRIBED, account={"currency": "USD", "auto_pay": False})
    found.collected = False
    advance(found, date(2026, 8, 2))
    assert [name for _, name in found.dunning] == ["current"]
    assert [grant.subscriber for grant in grants(found, dunned=False)] == []


def test_a_charge_without_a_time_covers_no_days() -> None:
    gift = account(step("2026-04-01", "gift", plan="news"))
    assert live_days(gift.invoices[0].billed[0], []) == []
