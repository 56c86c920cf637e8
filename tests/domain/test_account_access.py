"""Access of an account that lives: random commands over two years, and after each what is read today is what the
account's own story says is read."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, time
from itertools import pairwise

from hypothesis import settings
from hypothesis.stateful import invariant

from domain.account.access import grants
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
