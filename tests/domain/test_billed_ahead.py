"""What a bill run dated ahead has billed, and what a change, a pause or a cancel before that day makes of it: each day
is charged once, and what is not served is given back. In April a day of `news` costs 1.00."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from domain.account.acting import attempt
from domain.account.days import advance, bill_by
from domain.account.laws import broken_laws
from domain.account.state import AccountState
from domain.amendments import Refused
from domain.catalog import Plan
from domain.simulation.play import open_world
from domain.transfers import transfer
from tests.domain.simulation.playing import CATALOG, SUBSCRIBED, plan, recurring, scenario, step, usage

TRIAL = step("2026-04-01", "subscribe", plan="trial")  # free until 15 April
FEE = {"code": "setup", "type": "one_time", "amounts": {"USD": "9.00", "JPY": 900}}
LEAST = {"code": "least", "type": "usage", "model": "minimum", "amounts": {"USD": "1.50", "JPY": 150}}
MORE = (plan("fee", recurring("15.00"), FEE), plan("least", recurring("5.00"), usage("0.10"), LEAST))
SOLD = CATALOG.model_copy(update={"plans": (*CATALOG.plans, *map(Plan.model_validate, MORE))})
KEEPS = {"pause": {"paid_time": "extend"}}


def ahead(on: str, to: str) -> dict[str, Any]:
    """A bill run on the day `on` that is dated `to`."""
    return step(on, "ahead", to=to)


def lived(*steps: dict[str, Any], policy: dict[str, Any] | None = None) -> AccountState:
    """The account after `steps`, none of them refused; the laws of the books hold after each."""
    verbs = [each for each in steps if each["do"] != "ahead"]
    played = scenario(*verbs, policy=policy or {}, account={"auto_pay": False, "payment_terms_days": 365})
    account = open_world(played, SOLD)
    parsed = iter(played.steps)
    for each in steps:
        advance(account, date.fromisoformat(each["at"]))
        if each["do"] == "ahead":
            account, _ = bill_by(account, date.fromisoformat(each["to"]))
        else:
            refused = attempt(account, next(parsed))
            assert refused is None, refused
        assert broken_laws(account) == [], each
    return account


def lines(account: AccountState, number: int) -> list[tuple[str, str, str, int]]:
    """(kind, start, end, amount) of the lines of an invoice."""
    return [
        (line.kind, str(line.period_start), str(line.period_end), line.amount)
        for line in account.invoice(number).lines
    ]


def through(account: AccountState) -> str:
    return str(account.subscription("main").terms.charged_through)


def net(account: AccountState) -> int:
    """What was invoiced and not given back."""
    return sum(each.total for each in account.invoices) + sum(each.gross for each in account.credit_notes)


class TestRestartInATrial:
    BILLED = (TRIAL, ahead("2026-04-05", "2026-04-20"))

    def test_what_was_billed_ahead_is_credited_and_the_new_period_begins_at_the_trials_end(self) -> None:
        changed = lived(*self.BILLED, step("2026-04-06", "change_plan", to="year"))
        assert through(changed) == "2026-04-15"
        account = lived(
            *self.BILLED, step("2026-04-06", "change_plan", to="year"), step("2026-04-15", "bill")
        )
        assert lines(account, 1) == [("recurring", "2026-04-15", "2026-05-15", 3000)]
        assert lines(account, 2) == [
            ("unused_credit", "2026-04-15", "2026-05-15", -3000),
            ("recurring", "2026-04-15", "2027-04-15", 36500),
        ]

    def test_a_period_that_would_be_the_same_stays_billed(self) -> None:
        restart = step("2026-04-06", "change_plan", to="plus", behaviour="restart_period")
        account = lived(*self.BILLED, restart, step("2026-04-06", "bill"))
        assert lines(account, 2) == [
            ("unused_credit", "2026-04-15", "2026-05-15", -3000),
            ("recurring", "2026-04-15", "2026-05-15", 6000),
        ]
        assert through(account) == "2026-05-15"

    def test_more_periods_than_one(self) -> None:
        account = lived(
            TRIAL,
            ahead("2026-04-05", "2026-06-01"),
            step("2026-04-06", "change_plan", to="paper"),
            step("2026-04-15", "bill"),
        )
        # 60.00 are given back, and four weeks of paper charged.
        assert net(account) == 2800


class TestAChangeThatWaits:
    """`lite` is to come on 1 May, and May is billed by it on 20 April: 15.00."""

    WAITS = (
        *SUBSCRIBED,
        step("2026-04-10", "change_plan", to="lite"),
        ahead("2026-04-20", "2026-05-05"),
    )

    @pytest.mark.parametrize(
        ("change", "expected", "charged_through"),
        [
            (
                {"to": "plus"},
                [
                    ("unused_credit", "2026-04-22", "2026-05-01", -900),
                    ("unused_credit", "2026-05-01", "2026-06-01", -1500),
                    ("recurring", "2026-04-22", "2026-05-01", 1800),
                    ("recurring", "2026-05-01", "2026-06-01", 6000),
                ],
                "2026-06-01",
            ),
            (
                {"to": "seats", "behaviour": "end_of_period"},
                [
                    ("unused_credit", "2026-05-01", "2026-06-01", -1500),
                    ("recurring", "2026-05-01", "2026-06-01", 300),
                ],
                "2026-06-01",
            ),
            (
                {"to": "news", "behaviour": "end_of_period"},
                [
                    ("unused_credit", "2026-05-01", "2026-06-01", -1500),
                    ("recurring", "2026-05-01", "2026-06-01", 3000),
                ],
                "2026-06-01",
            ),
            (
                {"to": "plus", "behaviour": "immediate_without_proration"},
                [
                    ("unused_credit", "2026-05-01", "2026-06-01", -1500),
                    ("recurring", "2026-05-01", "2026-06-01", 6000),
                ],
                "2026-06-01",
            ),
            (
                {"to": "year"},
                [
                    ("unused_credit", "2026-04-22", "2026-05-01", -900),
                    ("unused_credit", "2026-05-01", "2026-06-01", -1500),
                    ("recurring", "2026-04-22", "2027-04-22", 36500),
                ],
                "2027-04-22",
            ),
        ],
    )
    def test_a_newer_change_gives_back_what_was_billed_for_it(
        self, change: dict[str, Any], expected: list[tuple[str, str, str, int]], charged_through: str
    ) -> None:
        account = lived(
            *self.WAITS,
            step("2026-04-22", "change_plan", **change),
            # So that a bill of mere credits stays an invoice.
            step("2026-04-22", "adjust_line", invoice=1, line=1, amount="100.00"),
            step("2026-04-22", "bill"),
        )
        found = [line for line in lines(account, 3) if line[0] != "adjustment"]
        assert sorted(found) == sorted(expected)
        assert through(account) == charged_through

    def test_a_setup_fee_of_a_plan_that_never_begins_is_given_back(self) -> None:
        waits = (
            *SUBSCRIBED,
            step("2026-04-10", "change_plan", to="fee", behaviour="end_of_period"),
            ahead("2026-04-20", "2026-05-05"),
        )
        assert net(lived(*waits)) == 3000 + 1500 + 900
        stays = step("2026-04-22", "change_plan", to="news", behaviour="end_of_period")
        assert net(lived(*waits, stays, step("2026-04-22", "bill"))) == 3000 + 3000

    def test_a_change_of_interval_comes_when_what_is_billed_is_over(self) -> None:
        wished = step("2026-04-22", "change_plan", to="year", behaviour="end_of_period")
        account = lived(*self.WAITS, wished)
        assert account.happened[-1].what == "it takes effect on 2026-06-01"
        account = lived(*self.WAITS, wished, step("2026-06-01", "bill"))
        assert lines(account, 3) == [("recurring", "2026-06-01", "2027-06-01", 36500)]
        assert account.subscription("main").entitled == [
            (date(2026, 4, 1), "news"),
            (date(2026, 5, 1), "lite"),
            (date(2026, 6, 1), "year"),
        ]

    def test_newer_ones_one_after_the_other(self) -> None:
        account = lived(
            *self.WAITS,
            step("2026-04-22", "change_plan", to="seats", behaviour="end_of_period"),
            step("2026-04-23", "change_plan", to="plus", behaviour="end_of_period"),
            step("2026-04-24", "change_plan", to="lite", behaviour="end_of_period"),
            step("2026-05-02", "bill"),
        )
        assert net(account) == 3000 + 1500
        assert through(account) == "2026-06-01"


class TestAPauseThatKeepsPaidTime:
    """April and May are billed on 20 April, and ten days are paused: what is paid for ends on 11 June."""

    PAUSED = (
        *SUBSCRIBED,
        ahead("2026-04-20", "2026-05-02"),
        step("2026-04-21", "pause"),
        step("2026-05-01", "resume"),
    )

    def test_the_period_that_was_billed_ahead_moves_too(self) -> None:
        account = lived(*self.PAUSED, step("2026-06-01", "cancel"), policy=KEEPS)
        # Ten of the 31 days of May were left.
        [note] = account.credit_notes
        assert [(str(line.start), str(line.end), line.net) for line in note.lines] == [
            ("2026-05-22", "2026-06-01", -968)
        ]

    def test_a_change_credits_the_time_where_it_was_billed(self) -> None:
        account = lived(
            *self.PAUSED,
            step("2026-05-06", "change_plan", to="plus"),
            step("2026-05-06", "bill"),
            policy=KEEPS,
        )
        credits = [line for line in lines(account, 3) if line[0] == "unused_credit"]
        assert credits == [
            ("unused_credit", "2026-04-26", "2026-05-01", -500),
            ("unused_credit", "2026-05-01", "2026-06-01", -3000),
        ]
        assert through(account) == "2026-06-11"

    def test_two_pauses_and_a_charge_between_them(self) -> None:
        account = lived(
            *self.PAUSED,
            step("2026-05-06", "change_plan", to="plus"),
            step("2026-05-11", "pause"),
            step("2026-05-16", "resume"),
            step("2026-06-16", "bill"),
            policy=KEEPS,
        )
        assert through(account) == "2026-07-16"

    def test_a_change_that_waits_and_is_billed_moves_too(self) -> None:
        account = lived(
            *SUBSCRIBED,
            step("2026-04-10", "change_plan", to="lite"),
            ahead("2026-04-20", "2026-05-05"),
            step("2026-04-21", "pause"),
            step("2026-05-31", "resume"),
            step("2026-06-15", "bill"),
            policy=KEEPS,
        )
        items = [(each.plan, str(each.starts_on)) for each in account.subscription("main").terms.items]
        assert items == [("news", "2026-04-01"), ("lite", "2026-06-10")]
        assert through(account) == "2026-07-11"

    def test_a_void_of_what_was_moved(self) -> None:
        account = lived(
            *self.PAUSED, step("2026-05-06", "void", invoice=2), step("2026-05-11", "bill"), policy=KEEPS
        )
        assert lines(account, 3) == [("recurring", "2026-05-11", "2026-06-11", 3000)]

    def test_who_comes_back_after_an_end_in_the_pause_is_given_back_what_it_kept(self) -> None:
        account = lived(
            *SUBSCRIBED,
            step("2026-04-10", "cancel", when="end_of_period"),
            step("2026-04-21", "pause"),
            step("2026-05-11", "reactivate"),
            step("2026-05-11", "bill"),
            policy=KEEPS,
        )
        assert lines(account, 2) == [
            ("unused_credit", "2026-04-21", "2026-05-01", -1000),
            ("recurring", "2026-05-11", "2026-06-11", 3000),
        ]


class TestAChangeThatWaitsInAPauseThatKeepsPaidTime:
    @pytest.mark.parametrize("to", ["year", "lite"])
    def test_it_comes_when_the_paid_time_is_over(self, to: str) -> None:
        steps = (
            *SUBSCRIBED,
            step("2026-04-05", "change_plan", to=to, behaviour="end_of_period"),
            step("2026-04-11", "pause"),
            step("2026-04-21", "resume"),
        )
        account = lived(*steps, policy=KEEPS)
        assert account.subscription("main").entitled == [(date(2026, 4, 1), "news"), (date(2026, 5, 11), to)]
        account = lived(*steps, step("2026-05-01", "bill"), step("2026-05-11", "bill"), policy=KEEPS)
        end, amount = ("2027-05-11", 36500) if to == "year" else ("2026-06-11", 1500)
        assert len(account.invoices) == 2
        assert lines(account, 2) == [("recurring", "2026-05-11", end, amount)]


class TestACancelInATrial:
    BILLED = (TRIAL, ahead("2026-04-05", "2026-04-20"))

    def test_what_was_billed_ahead_is_given_back(self) -> None:
        account = lived(*self.BILLED, step("2026-04-06", "cancel", when="end_of_period"))
        assert net(account) == 0
        terms = account.subscription("main").terms
        assert (str(terms.ends_on), str(terms.charged_through)) == ("2026-04-15", "2026-04-15")

    def test_a_cancel_that_is_taken_back_is_billed_again(self) -> None:
        account = lived(
            *self.BILLED,
            step("2026-04-06", "cancel", when="end_of_period"),
            step("2026-04-07", "reactivate"),
            step("2026-04-15", "bill"),
        )
        assert lines(account, 2) == [("recurring", "2026-04-15", "2026-05-15", 3000)]
        assert net(account) == 3000

    def test_it_is_handed_over_when_the_trial_is_over(self) -> None:
        terms = lived(*self.BILLED).subscription("main").terms
        with pytest.raises(Refused, match="billed until 2026-05-15: hand it over from 2026-04-15 on"):
            transfer(terms, date(2026, 4, 6), None, iter("ab").__next__)
        assert transfer(terms, date(2026, 4, 15), None, iter("ab").__next__).day == date(2026, 5, 15)


def test_a_change_undone_at_once_is_charged_for_what_is_charged_now() -> None:
    """It comes back for less time than it was billed for: two months had been billed, and then one."""
    account = lived(
        *SUBSCRIBED,
        ahead("2026-04-11", "2026-05-02"),
        step("2026-04-11", "change_plan", to="plus", behaviour="restart_period"),
        step("2026-04-11", "bill"),
        step("2026-04-11", "change_plan", to="news", behaviour="immediate_with_proration"),
        step("2026-04-11", "bill"),
    )
    assert through(account) == "2026-05-11"
    # Ten days of April, and a month from 11 April on.
    assert net(account) == 1000 + 3000


def test_what_took_the_place_of_arrears_is_charged_until_the_end() -> None:
    account = lived(
        step("2026-04-01", "subscribe", plan="arrears"),
        step("2026-04-16", "cancel", when="end_of_period"),
        step("2026-04-16", "change_plan", to="plus", behaviour="immediate_with_proration"),
        step("2026-05-01", "bill"),
    )
    assert lines(account, 1) == [
        ("recurring", "2026-04-01", "2026-04-16", 1500),
        ("recurring", "2026-04-16", "2026-05-01", 3000),
    ]


def test_arrears_that_were_billed_ahead_are_charged_by_what_is_served() -> None:
    account = lived(
        step("2026-04-01", "subscribe", plan="arrears"),
        ahead("2026-04-16", "2026-05-02"),
        step("2026-04-16", "change_quantity", quantity=1),
        step("2026-05-02", "bill"),
    )
    assert lines(account, 2) == [
        ("unused_credit", "2026-04-16", "2026-05-01", -1500),
        ("recurring", "2026-04-16", "2026-05-01", 1500),
    ]


def test_a_void_bills_no_minimum_again_that_a_change_has_charged_since() -> None:
    account = lived(
        step("2026-04-01", "subscribe", plan="least"),
        step("2026-04-01", "bill"),
        step("2026-05-01", "change_plan", to="plus", behaviour="restart_period"),
        step("2026-05-02", "void", invoice=1),
        step("2026-05-02", "bill"),
    )
    assert lines(account, 2) == [
        ("minimum", "2026-04-01", "2026-05-01", 150),
        ("recurring", "2026-04-01", "2026-05-01", 500),
        ("recurring", "2026-05-01", "2026-06-01", 6000),
    ]
