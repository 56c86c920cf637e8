"""Access of an account that lives: random commands over two years, and after each what is read today is what the
account's own story says is read."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import settings
from hypothesis.stateful import invariant

from domain.account.access import grants
from domain.account.laws import broken_laws
from domain.account.lifecycle import state
from domain.account.state import AccountState, Subscription
from domain.dunning import blocked
from domain.dunning_policy import Blocked
from domain.subscriptions import State
from tests.domain import test_two_years
from tests.domain.publisher import CATALOG
from tests.domain.test_two_years import TwoYears

# Every plan gives one feature, which is called as the plan is.
READ = CATALOG.model_copy(
    update={
        "plans": tuple(
            plan.model_copy(
                update={
                    "versions": tuple(
                        version.model_copy(update={"features": (plan.code,), "allowances": {}})
                        for version in plan.versions
                    )
                }
            )
            for plan in CATALOG.plans
        )
    }
)


def plan_read(account: AccountState, subscription: Subscription) -> str | None:
    """The plan that is read today, as the account notes it with each command; `masthead simulate` tells the same."""
    running = state(subscription, account.today) in (State.TRIALING, State.ACTIVE)
    if not running or blocked(account.policy.dunning, account.dunning[-1][1], Blocked.ENTITLEMENT):
        return None
    return [code for since, code in subscription.entitled if since <= account.today][-1]


def read_now(account: AccountState, source: str) -> set[str]:
    """What the subscription with the id `source` gives access to at the end of today."""
    evening = datetime.combine(account.today, time(23, 59, 59), account.zone)
    return {
        grant.feature
        for grant in grants(replace(account, catalog=READ), dunned=True)
        if grant.source_id == source
        and grant.starts_at <= evening
        and (grant.ends_at is None or evening < grant.ends_at)
    }


class Access(TwoYears):
    """The walk of test_two_years; the laws of the books are looked at there."""

    def the_laws_hold(self) -> None:
        pass

    @invariant()
    def what_is_read_is_what_the_story_says(self) -> None:
        if not hasattr(self, "world"):
            return
        for subscription in self.world.subscriptions.values():
            plan = plan_read(self.world, subscription)
            assert read_now(self.world, subscription.terms.id) == (set() if plan is None else {plan})

    @invariant()
    def grants_do_not_overlap(self) -> None:
        if hasattr(self, "world"):
            for one, other in pairwise(grants(replace(self.world, catalog=READ), dunned=True)):
                if (one.feature, one.source_id) == (other.feature, other.source_id):
                    assert one.ends_at is not None
                    assert one.ends_at <= other.starts_at


TestAccess = Access.TestCase
TestAccess.settings = settings(test_two_years.TestTwoYears.settings, max_examples=25)


CHANGES: dict[str, Any] = {
    "upgrade": "immediate_without_proration",
    "downgrade": "end_of_period",
    "interval_change": "end_of_period",
    "intro_again": False,
}
POLICY: dict[str, Any] = {
    "proration": "day",
    "tax_rounding": "line",
    "pause": {"paid_time": "credit", "extends_term": True},
    "cancel": {"credit": "prorated", "to": "account_credit"},
    "changes": CHANGES,
    "credit_expires_after_days": None,
}
ACCOUNT = {"currency": "USD", "timezone": "UTC", "bill_cycle_day": None, "auto_pay": False, "tax": {}}
LATER = {"changes": {**CHANGES, "upgrade": "end_of_period"}}
BY_SECOND = {"proration": "second", "changes": {**CHANGES, "upgrade": "immediate_with_proration"}}


def at(on: str, do: str, **fields: Any) -> dict[str, Any]:
    return {"at": on, "do": do, **fields}


def plan_change(day: str, to: str, **fields: Any) -> dict[str, Any]:
    return at(day, "change_plan", to=to, **fields)


CASES: dict[str, tuple[dict[str, Any], str, list[dict[str, Any]], str | None]] = {
    "a change in the last second of a day, and a move to where the next day has begun": (
        BY_SECOND,
        "basic",
        [
            plan_change("2026-01-15T23:59:59", "plus"),
            at("2026-01-15", "move_time_zone", timezone="Pacific/Auckland"),
        ],
        "plus",
    ),
    "a step of a day that is over where the account has moved to": (
        BY_SECOND,
        "basic",
        [
            plan_change("2026-01-15T23:59:59", "plus"),
            at("2026-01-15", "move_time_zone", timezone="Pacific/Auckland"),
            plan_change("2026-01-15T10:00:00", "paper"),
        ],
        "paper",
    ),
    "a change that was read at once, and one for the end of the period in its place": (
        {},
        "plus",
        [plan_change("2026-01-15", "bundle"), plan_change("2026-01-18", "free")],
        "plus",
    ),
    "one for another interval in its place": (
        {},
        "plus",
        [plan_change("2026-01-15", "bundle"), plan_change("2026-01-18", "yearly")],
        "plus",
    ),
    "a pause and its end after a change that was read at once": (
        {},
        "basic",
        [plan_change("2026-01-15", "plus"), at("2026-01-16", "pause"), at("2026-01-18", "resume")],
        "plus",
    ),
    "a change that fell away with a cancel that was taken back": (
        LATER,
        "free",
        [
            plan_change("2026-01-16", "basic"),
            at("2026-01-16", "cancel", when="end_of_period"),
            at("2026-01-17", "reactivate"),
            at("2026-02-20", "bill"),
        ],
        "free",
    ),
    "a change of interval that fell away with it": (
        {},
        "basic",
        [
            plan_change("2026-01-16", "yearly"),
            at("2026-01-16", "cancel", when="end_of_period"),
            at("2026-01-17", "reactivate"),
            at("2026-02-20", "bill"),
        ],
        "basic",
    ),
    "a return after a change that was read at once and never charged": (
        {},
        "basic",
        [plan_change("2026-01-15", "plus"), at("2026-01-16", "cancel"), at("2026-01-17", "reactivate")],
        "basic",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_read_is_what_the_story_says(case: str) -> None:
    policy, plan, steps, read = CASES[case]
    life = Access()
    life.begin(ACCOUNT, {**POLICY, **policy}, plan, 1)
    for step in steps:
        life.day = max(life.day, datetime.fromisoformat(step["at"]).date())
        life.do(step)
        life.what_is_read_is_what_the_story_says()
    [subscription] = life.world.subscriptions.values()
    assert plan_read(life.world, subscription) == read
    assert read_now(life.world, subscription.terms.id) == {read}
    assert broken_laws(life.world) == []


def test_a_change_that_waits_is_read_on_the_day_to_which_the_bill_cycle_day_moves_it() -> None:
    life = Access()
    life.begin(ACCOUNT, {**POLICY, **LATER}, "free", 1)
    for step in (plan_change("2026-01-15", "basic"), at("2026-02-04", "set_bill_cycle_day", day=31)):
        life.do(step)
    [subscription] = life.world.subscriptions.values()
    waits = subscription.terms.items[-1]
    assert subscription.entitled[-1] == (waits.starts_on, waits.plan) == (date(2026, 2, 28), "basic")
