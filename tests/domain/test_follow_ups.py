"""What a subscription demands outside, day by day of its life in memory."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path
from typing import Any

from domain.account.access import grants
from domain.account.acting import attempt
from domain.account.days import advance, run_bill
from domain.account.follow_ups import Access, FollowUp, Kind, Known, decide
from domain.account.state import AccountState
from domain.periods import start_of_day
from domain.simulation.play import open_world
from domain.simulation.scenario import Scenario
from runtime.catalog_source import read_catalog_file

CATALOG = read_catalog_file(Path(__file__).parents[2] / "examples" / "catalog.yaml").catalog
FIRST = date(2026, 1, 5)
DELIVERY = {
    "edition": "print-paper",
    "zone": "UTC",
    "weekdays": ["sat"],
    "cut_off": {"at": "12:00", "days_before": 1},
}


class Life:
    """One subscription; what it demands is written down each day and taken as carried out on its day."""

    def __init__(self, plan: str, *, policy: dict[str, Any] | None = None, **account: Any) -> None:
        scenario = Scenario.model_validate(
            {
                "account": {"currency": "USD", **account},
                "catalog": "-",
                "policy": policy or {},
                "delivery": DELIVERY,
                "steps": [{"at": str(FIRST), "do": "bill"}],
            }
        )
        self.account: AccountState = open_world(scenario, CATALOG)
        self.written: list[FollowUp] = []
        self.withdrawn: dict[str, date] = {}
        self.do("subscribe", plan=plan)

    def do(self, verb: str, **fields: Any) -> None:
        step = Scenario.model_validate(
            {
                "account": {"currency": "USD"},
                "catalog": "-",
                "steps": [{"at": str(self.account.today), "do": verb, **fields}],
            }
        ).steps[0]
        assert attempt(self.account, step) is None
        self.look()

    def look(self, since: date | None = None) -> None:
        today, subscription = self.account.today, self.account.subscriptions["main"]
        at = start_of_day(today, self.account.zone)
        spans = [
            grant
            for grant in grants(self.account, dunned=True)
            if grant.ends_at is None or at < grant.ends_at
        ]
        features = tuple(sorted({grant.feature for grant in spans if grant.starts_at <= at}))
        known = [
            Known(
                each.kind.value,
                each.key,
                each.due_on,
                each.due_on > today and each.key not in self.withdrawn,
                each.about,
                each.key in self.withdrawn,
            )
            for each in self.written
        ]
        found = decide(self.account, subscription, Access(features), known, since or today)
        self.written += found.new
        self.withdrawn |= dict.fromkeys(found.withdrawn, today)
        for key in found.again:
            del self.withdrawn[key]
        again = [
            *(each for each in known if each.key not in found.withdrawn),
            *(Known(each.kind.value, each.key, each.due_on, True, each.about) for each in found.new),
        ]
        assert decide(self.account, subscription, Access(features), again, since or today).new == []

    def until(self, day: date) -> None:
        while self.account.today < day:
            advance(self.account, self.account.today + timedelta(days=1))
            self.look()
            run_bill(self.account)
            self.look()

    def told(self, *kinds: Kind) -> list[tuple[str, str]]:
        return [(str(each.due_on), each.key) for each in self.written if each.kind in (kinds or list(Kind))]


def test_a_trial_that_goes_on_is_told_of_three_days_before() -> None:
    life = Life("digital-trial")
    life.until(date(2026, 1, 30))
    assert life.told() == [
        ("2026-01-16", "trial-ends-soon/2026-01-19"),
        ("2026-01-05", "access/1"),
    ]
    assert life.written[0].about == {
        "notice": "trial-ends-soon",
        "ends_on": "2026-01-19",
        "plan": "digital-trial",
    }


def test_one_that_is_shorter_than_the_notice_is_told_of_on_its_first_day() -> None:
    life = Life("digital-trial", policy={"notices": {"trial_ends_days": 35}})
    assert life.told(Kind.NOTICE) == [("2026-01-05", "trial-ends-soon/2026-01-19")]


def test_a_cancel_in_the_trial_withdraws_what_was_to_be_told() -> None:
    life = Life("digital-trial")
    life.until(date(2026, 1, 10))
    life.do("cancel")
    assert life.withdrawn == {"trial-ends-soon/2026-01-19": date(2026, 1, 10)}
    assert life.told(Kind.NOTICE)[1:] == [
        ("2026-01-10", "canceled/2026-01-10/2026-01-10"),
        ("2026-01-10", "ended/2026-01-10"),
    ]
    assert life.told(Kind.PROVISIONING) == [("2026-01-05", "access/1"), ("2026-01-10", "access/2")]
    assert life.written[-1].about == {"plan": None, "before": "digital-trial", "features": ""}


def test_a_year_is_told_of_before_it_is_charged_again_and_a_month_is_not() -> None:
    year = Life("digital-yearly")
    year.until(date(2027, 12, 20))
    assert year.told(Kind.NOTICE) == [
        ("2026-12-06", "renewal-notice/2027-01-05"),
        ("2027-12-06", "renewal-notice/2028-01-05"),
    ]
    month = Life("digital-monthly")
    month.until(date(2026, 6, 1))
    assert month.told(Kind.NOTICE) == []


def test_the_policy_can_leave_notices_out() -> None:
    nothing = {"notices": {"trial_ends_days": None, "renewal_days": None}}
    for plan in ("digital-trial", "digital-yearly"):
        life = Life(plan, policy=nothing)
        life.until(date(2026, 12, 30))
        assert life.told(Kind.NOTICE) == []


def test_a_pause_takes_access_and_delivery_and_its_end_gives_them_back() -> None:
    life = Life("print-digital")
    life.until(date(2026, 2, 1))
    life.do("pause", until="2026-02-20")
    life.until(date(2026, 3, 1))
    assert life.told() == [
        ("2026-01-05", "access/1"),
        ("2026-01-05", "delivery/1"),
        ("2026-02-01", "paused/2026-02-01"),
        ("2026-02-01", "access/2"),
        ("2026-02-01", "delivery/2"),
        ("2026-02-20", "resumed/2026-02-01/2026-02-20"),
        ("2026-02-20", "access/3"),
        ("2026-02-20", "delivery/3"),
    ]
    assert life.written[2].about["until"] == "2026-02-20"
    begins = [each.about["delivery"] for each in life.written if each.kind is Kind.SHIPMENT]
    assert begins == ["begins", "ends", "begins"]


def test_a_change_of_plan_is_one_of_access() -> None:
    life = Life("digital-monthly")
    life.until(date(2026, 1, 20))
    life.do("change_plan", to="print-digital")
    assert life.told()[1:] == [("2026-01-20", "access/2"), ("2026-01-20", "delivery/1")]


def test_a_cancel_at_the_end_of_the_period_ends_access_then() -> None:
    life = Life("digital-monthly")
    life.until(date(2026, 1, 20))
    life.do("cancel", when="end_of_period")
    life.until(date(2026, 3, 1))
    assert life.told()[1:] == [
        ("2026-01-20", "canceled/2026-01-20/2026-02-05"),
        ("2026-02-05", "ended/2026-02-05"),
        ("2026-02-05", "access/2"),
    ]
    life.do("reactivate")
    assert life.told()[4:] == [("2026-03-01", "access/3")]


def test_dunning_that_blocks_access_takes_it_until_all_is_paid() -> None:
    life = Life("digital-monthly", auto_pay=False)
    life.until(date(2026, 1, 25))
    assert [each.about["plan"] for each in life.written] == ["digital-monthly", None]
    life.do("pay")
    assert [each.about["plan"] for each in life.written] == ["digital-monthly", None, "digital-monthly"]


def test_what_happened_before_anybody_looked_is_not_told() -> None:
    life = Life("digital-monthly")
    life.until(date(2026, 1, 20))
    life.written.clear()
    step_day = life.account.today
    life.do("cancel")
    life.written.clear()
    advance(life.account, step_day + timedelta(days=40))
    life.look()
    assert life.told() == []
    life.look(since=step_day)
    assert [key for _, key in life.told()] == ["canceled/2026-01-20/2026-01-20", "ended/2026-01-20"]


def test_a_change_of_access_that_lies_ahead_is_demanded_for_its_day_and_withdrawn_when_it_moves() -> None:
    life = Life("digital-monthly")
    account, subscription = life.account, life.account.subscriptions["main"]
    first = Known("provisioning", "access/1", FIRST, False, life.written[0].about)
    ends = Access(("news",), date(2026, 2, 5))
    [found] = decide(account, subscription, ends, [first], FIRST).new
    assert (found.key, found.due_on, found.about["plan"]) == ("access-on/2026-02-05", date(2026, 2, 5), None)
    planned = Known("provisioning", found.key, found.due_on, True, found.about)
    stays = decide(account, subscription, Access(("news",)), [first, planned], FIRST)
    assert (stays.new, stays.withdrawn) == ([], ["access-on/2026-02-05"])
    withdrawn = planned._replace(open=False, withdrawn=True)
    again = decide(account, subscription, ends, [first, withdrawn], FIRST)
    assert (again.new, again.withdrawn, again.again) == ([], [], ["access-on/2026-02-05"])
    account.today = date(2026, 2, 5)
    over = planned._replace(open=False)
    assert decide(account, subscription, Access(), [first, over], account.today).new == []
