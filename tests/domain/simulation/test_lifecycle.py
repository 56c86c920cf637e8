"""The life of a subscription by its verbs: what each does to the bills, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.domain.simulation.playing import (
    SUBSCRIBED,
    amounts,
    notes,
    played,
    refusal,
    step,
    told,
    totals,
)

NEXT_BILL = step("2026-05-01", "bill")


def main(found: dict[str, Any]) -> dict[str, Any]:
    (subscription,) = found["subscriptions"]
    return dict(subscription)


def test_nothing_is_charged_before_the_bill() -> None:
    found = told(SUBSCRIBED[0])
    assert found["invoices"] == []
    assert main(found)["charged_through"] == "2026-04-01"
    assert main(found)["state"] == "active"


def test_a_subscription_with_all_its_terms() -> None:
    found = told(
        step(
            "2026-04-01",
            "subscribe",
            plan="news",
            name="second",
            price_override="12.00",
            add_ons=["add-on"],
            coupons=["HALF"],
            ends_on="2026-04-16",
        ),
        step("2026-04-01", "bill"),
        step("2026-04-16", "bill"),
        coupons=[{"code": "HALF", "percent": 50}],
    )
    # 15 of 30 days of 12.00 and of the add-on's 6.00, half of each off
    assert amounts(found, 1) == [
        ("recurring", "2026-04-01", "2026-04-16", 600),
        ("recurring", "2026-04-01", "2026-04-16", 300),
        ("discount", None, None, -300),
        ("discount", None, None, -150),
    ]
    assert len(found["invoices"]) == 1
    assert (main(found)["name"], main(found)["state"]) == ("second", "expired")
    assert main(found)["items"] == []
    assert main(found)["entitled_plan"] is None


def test_seats_with_an_overridden_price() -> None:
    found = told(
        step("2026-04-01", "subscribe", plan="seats", quantity=4, price_override="2.50"),
        step("2026-04-01", "bill"),
    )
    assert totals(found) == [1000]
    assert main(found)["items"][0]["quantity"] == "4"


def test_a_trial_is_not_billed() -> None:
    found = told(step("2026-04-01", "subscribe", plan="trial"), step("2026-04-01", "bill", to="2026-04-15"))
    assert amounts(found, 1) == [("recurring", "2026-04-15", "2026-05-15", 3000)]
    assert main(told(step("2026-04-01", "subscribe", plan="trial")))["state"] == "trialing"


def test_a_bill_cycle_day_of_the_account_makes_a_stub() -> None:
    found = told(
        step("2026-04-11", "subscribe", plan="news"),
        step("2026-04-11", "bill", to="2026-05-01"),
        account={"bill_cycle_day": 1},
    )
    # law 3: 20 of the 30 days that would have ended on 1 May
    assert [each[1:] for number in (1, 2) for each in amounts(found, number)] == [
        ("2026-04-11", "2026-05-01", 2000),
        ("2026-05-01", "2026-06-01", 3000),
    ]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"plan": "gone"}, "there is no plan 'gone' in the catalog; it has: news, plus"),
        ({"plan": "news", "version": 2}, "plan 'news' has no version 2"),
        ({"plan": "news", "ends_on": "2026-04-01"}, "the end date 2026-04-01 is not after the start date"),
        ({"plan": "book"}, "the plan has one-time prices only"),
        ({"plan": "news", "add_ons": ["year"]}, "their intervals have to be the same"),
        ({"plan": "news", "price_override": "1.005"}, "1.005"),
        ({"plan": "news", "coupons": ["NONE"]}, "there is no coupon 'NONE'"),
    ],
)
def test_a_subscription_that_cannot_be(fields: dict[str, Any], reason: str) -> None:
    assert reason in refusal(step("2026-04-01", "subscribe", **fields))


def test_a_plan_that_is_not_sold_yet() -> None:
    assert "plan 'news' has no version sold on 2019-12-31" in refusal(
        step("2019-12-31", "subscribe", plan="news")
    )


def test_a_version_by_its_number() -> None:
    assert totals(told(step("2026-04-01", "subscribe", plan="news", version=1), SUBSCRIBED[1])) == [3000]


def test_a_name_is_given_once() -> None:
    reason = refusal(*SUBSCRIBED, step("2026-04-02", "subscribe", plan="plus"))
    assert reason == "there is a subscription 'main' already; give the new one another name"


@pytest.mark.parametrize(
    ("do", "fields"),
    [
        ("change_plan", {"to": "plus"}),
        ("change_quantity", {"quantity": 2}),
        ("pause", {}),
        ("resume", {}),
        ("cancel", {}),
        ("reactivate", {}),
        ("apply_coupon", {"coupon": "X"}),
        ("usage", {"meter": "articles", "quantity": 1}),
        ("holiday_stop", {"start": "2026-04-05", "until": "2026-04-09"}),
    ],
)
def test_a_subscription_that_is_not_there(do: str, fields: dict[str, Any]) -> None:
    reason = refusal(*SUBSCRIBED, step("2026-04-02", do, subscription="other", **fields))
    assert reason == "there is no subscription 'other' at this point; there is: main"


def test_no_subscription_at_all() -> None:
    assert refusal(step("2026-04-02", "pause")).endswith("there is: none")


# law 6, each direction and behaviour: 10 days used, 20 left of 30
CHANGES = [
    ("plus", "immediate_with_proration", [-2000, 4000, 6000]),
    ("plus", "immediate_without_proration", [6000]),
    ("plus", "end_of_period", [6000]),
    ("lite", "immediate_with_proration", [-2000, 1000, 1500]),
]


@pytest.mark.parametrize(("to", "behaviour", "expected"), CHANGES)
@pytest.mark.parametrize("by_policy", [True, False])
def test_a_change_by_its_behaviour(to: str, behaviour: str, expected: list[int], by_policy: bool) -> None:
    way = "upgrade" if to == "plus" else "downgrade"
    fields = {} if by_policy else {"behaviour": behaviour}
    policy = {"changes": {way: behaviour}} if by_policy else {}
    found = told(*SUBSCRIBED, step("2026-04-11", "change_plan", to=to, **fields), NEXT_BILL, policy=policy)
    assert [each[3] for each in amounts(found, 2)] == expected
    assert main(found)["entitled_plan"] == to
    waits = ["2026-04-11 it takes effect on 2026-05-01"] if behaviour == "end_of_period" else []
    assert notes(found) == waits


def test_a_restart_begins_a_period_on_the_day() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-11", "change_plan", to="plus", behaviour="restart_period"),
        step("2026-04-11", "bill"),
    )
    assert amounts(found, 2) == [
        ("unused_credit", "2026-04-11", "2026-05-01", -2000),
        ("recurring", "2026-04-11", "2026-05-11", 6000),
    ]


def test_the_old_plan_is_read_until_a_change_takes_effect() -> None:
    steps = (*SUBSCRIBED, step("2026-04-11", "change_plan", to="lite"))
    assert main(told(*steps))["entitled_plan"] == "news"
    assert main(told(*steps))["items"] == [
        {"plan": "news", "version": 1, "quantity": "1", "from": "2026-04-01", "until": "2026-05-01"},
        {"plan": "lite", "version": 1, "quantity": "1", "from": "2026-05-01", "until": None},
    ]
    assert main(told(*steps, NEXT_BILL))["entitled_plan"] == "lite"


def test_another_change_takes_the_place_of_one_that_waits() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-11", "change_plan", to="lite"),
        step("2026-04-16", "change_plan", to="plus"),
        NEXT_BILL,
    )
    assert [each[3] for each in amounts(found, 2)] == [-1500, 3000, 6000]


def test_there_and_back_on_one_day_nets_zero() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-11", "change_plan", to="plus"),
        step("2026-04-11", "change_plan", to="news", behaviour="immediate_with_proration"),
        NEXT_BILL,
    )
    assert sum(each[3] for each in amounts(found, 2)) == 3000


def test_a_price_for_one_change() -> None:
    found = told(*SUBSCRIBED, step("2026-04-11", "change_plan", to="plus", price_override="45.00"), NEXT_BILL)
    assert [each[3] for each in amounts(found, 2)] == [-2000, 3000, 4500]


def test_the_intro_is_not_given_again_unless_the_policy_says_so() -> None:
    steps = (*SUBSCRIBED, step("2026-05-01", "change_plan", to="intro"), NEXT_BILL)
    assert totals(told(*steps)) == [3000, 3000]
    assert totals(told(*steps, policy={"changes": {"intro_again": True}})) == [3000, 100]


@pytest.mark.parametrize("item", [None, "add-on"])
def test_the_item_that_is_changed(item: str | None) -> None:
    found = told(
        step("2026-04-01", "subscribe", plan="news", add_ons=["add-on"]),
        step("2026-04-01", "bill"),
        step("2026-04-16", "change_plan", to="plus", item=item),
        NEXT_BILL,
    )
    # Half of April: 15.00 of news or 3.00 of the add-on goes back, 30.00 of plus is charged.
    assert sorted(each[3] for each in amounts(found, 2)) == sorted(
        [-1500, 3000, 6000, 600] if item is None else [-300, 3000, 3000, 6000]
    )


def test_by_second_the_instant_counts() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-11T12:00", "change_plan", to="plus"),
        NEXT_BILL,
        policy={"proration": "second"},
        account={"timezone": "Asia/Tokyo"},
    )
    # 19.5 of 30 days
    assert [each[3] for each in amounts(found, 2)] == [-1950, 3900, 6000]
    assert amounts(found, 2)[0][1] == "2026-04-11T12:00:00+09:00"


def test_an_instant_with_an_offset_falls_on_the_account_s_day() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-10T20:00+00:00", "change_plan", to="plus"),
        NEXT_BILL,
        account={"timezone": "Asia/Tokyo"},
    )
    assert amounts(found, 2)[0][1] == "2026-04-11"


@pytest.mark.parametrize("interval_change", ["restart_period", "end_of_period"])
def test_a_change_of_interval(interval_change: str) -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-11", "change_plan", to="year"),
        step("2026-04-11", "bill", to="2026-05-01"),
        policy={"changes": {"interval_change": interval_change}},
    )
    if interval_change == "restart_period":
        assert amounts(found, 2) == [
            ("unused_credit", "2026-04-11", "2026-05-01", -2000),
            ("recurring", "2026-04-11", "2027-04-11", 36500),
        ]
    else:
        assert amounts(found, 2) == [("recurring", "2026-05-01", "2027-05-01", 36500)]
        assert notes(found) == ["2026-04-11 it takes effect on 2026-05-01"]


@pytest.mark.parametrize("between", ["cancel", "change_plan"])
def test_a_change_of_interval_that_waits_falls_away(between: str) -> None:
    fields: dict[str, Any] = {"change_plan": {"to": "plus"}}.get(between, {})
    found = told(
        *SUBSCRIBED,
        step("2026-04-11", "change_plan", to="year", behaviour="end_of_period"),
        step("2026-04-16", between, **fields),
        NEXT_BILL,
    )
    assert 36500 not in totals(found)


def test_a_change_of_interval_that_waits_outlasts_a_pause() -> None:
    steps = (
        *SUBSCRIBED,
        step("2026-04-11", "change_plan", to="year", behaviour="end_of_period"),
        step("2026-04-16", "pause"),
    )
    assert main(told(*steps, NEXT_BILL))["items"][0]["plan"] == "news"
    found = told(*steps, step("2026-05-11", "resume"), step("2026-05-12", "bill"))
    # On 12 May, the first day after the pause, the year begins; 11 May is the old plan's: 30.00 / 31.
    assert main(found)["items"][0]["plan"] == "year"
    (invoice,) = found["invoices"][1:]
    assert {line["plan"]: line["amount"] for line in invoice["lines"]}["year"] == 36500


def test_items_stand_in_the_order_of_their_ids() -> None:
    # So they are read back from a database: what resuming began came before the year that waited.
    found = played(
        *SUBSCRIBED,
        step("2026-04-11", "change_plan", to="year", behaviour="end_of_period"),
        step("2026-04-16", "pause"),
        step("2026-04-18", "resume"),
        NEXT_BILL,
    )
    items = found.account.subscriptions["main"].terms.items
    assert [item.plan for item in items] == ["news", "news", "year"]
    assert [item.id for item in items] == sorted(item.id for item in items)


def test_a_plan_taken_anew_on_the_day_of_a_pause_is_not_billed_twice() -> None:
    # The pause gave all of April back, by a credit note: less than nothing is no invoice.
    found = told(
        *SUBSCRIBED,
        step("2026-04-01", "pause"),
        step("2026-04-01", "bill"),
        step("2026-04-01", "resume"),
        step("2026-04-01", "change_plan", to="news"),
        step("2026-04-01", "bill"),
    )
    assert [amounts(found, number) for number in (1, 2)] == [
        [("recurring", "2026-04-01", "2026-05-01", 3000)],
        [("recurring", "2026-04-01", "2026-05-01", 3000)],
    ]
    assert [note["total"] for note in found["credit_notes"]] == [-3000]


def test_a_change_of_interval_of_what_ends_before_it() -> None:
    reason = refusal(
        step("2026-04-01", "subscribe", plan="news", ends_on="2026-05-01"),
        step("2026-04-01", "bill"),
        step("2026-04-11", "change_plan", to="year", behaviour="end_of_period"),
    )
    assert reason == "the subscription ends on 2026-05-01, before the change would take effect"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"to": "gone"}, "there is no plan 'gone'"),
        ({"to": "plus", "item": "lite"}, "subscription 'main' has no item of plan 'lite' on 2026-04-11"),
        (
            {"to": "year", "behaviour": "immediate_with_proration"},
            "restarts the period, or waits for its end",
        ),
    ],
)
def test_a_change_that_cannot_be(fields: dict[str, Any], reason: str) -> None:
    assert reason in refusal(*SUBSCRIBED, step("2026-04-11", "change_plan", **fields))


def test_a_subscription_that_has_ended_is_not_changed() -> None:
    steps = (*SUBSCRIBED, step("2026-04-06", "cancel"))
    reason = refusal(*steps, step("2026-04-11", "change_quantity", quantity=2))
    assert "reactivate it first" in reason or "has ended" in reason


def test_a_quantity_up_and_down() -> None:
    steps = (
        step("2026-04-01", "subscribe", plan="seats", quantity=5),
        step("2026-04-01", "bill"),
        step("2026-04-16", "change_quantity", quantity=7),
    )
    # Half a month of five seats back, half a month of seven charged.
    assert [each[3] for each in amounts(told(*steps, NEXT_BILL), 2)] == [-750, 1050, 2100]
    down = told(*steps, step("2026-04-21", "change_quantity", quantity=6), NEXT_BILL)
    assert [each[3] for each in amounts(down, 2)] == [-750, 1050, 1800]


def test_a_pause_credits_and_charges_the_rest_on_resuming() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-11", "pause"),
        step("2026-04-21", "resume"),
        step("2026-04-21", "bill"),
    )
    # 20 days back, 10 charged: the credit is more, so it goes on a credit note and pays the invoice.
    assert found["credit_notes"][0]["total"] == -2000
    assert totals(found)[1] == 1000
    assert found["invoices"][1]["credit_used"] == 1000
    assert found["account_credit"] == 1000
    assert main(found)["next_bill_on"] == "2026-05-01"


def test_a_pause_that_ends_by_itself() -> None:
    found = told(*SUBSCRIBED, step("2026-04-11", "pause", until="2026-04-21"), step("2026-04-22", "bill"))
    assert notes(found)[0] == "2026-04-21 subscription main is resumed"
    assert totals(found) == [3000, 1000]


def test_a_pause_that_would_end_after_the_term_is_told() -> None:
    # The term of three months ends on 1 July; credited time does not extend it by this policy.
    found = told(
        step("2026-04-01", "subscribe", plan="term"),
        step("2026-04-01", "bill"),
        step("2026-04-11", "pause", until="2026-08-01"),
        step("2026-08-02", "bill"),
        policy={"pause": {"extends_term": False}},
    )
    assert any("main was not resumed: the subscription ended on 2026-07-01" in note for note in notes(found))


def test_a_pause_resumed_before_its_day() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-11", "pause", until="2026-04-21"),
        step("2026-04-16", "resume"),
        step("2026-04-22", "bill"),
    )
    assert amounts(found, 2) == [("recurring", "2026-04-16", "2026-05-01", 1500)]


def test_a_pause_that_keeps_paid_time_moves_the_billing_day() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-11", "pause"),
        step("2026-04-21", "resume"),
        step("2026-04-22", "bill", to="2026-05-11"),
        policy={"pause": {"paid_time": "extend"}},
    )
    assert found["credit_notes"] == []
    assert [(each["date"], each["total"]) for each in found["invoices"]] == [
        ("2026-04-01", 3000),
        ("2026-05-11", 3000),
    ]


def test_what_a_pause_moved_is_credited_where_it_was_billed() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-11", "pause"),
        step("2026-04-21", "resume"),
        step("2026-05-06", "cancel"),
        policy={"pause": {"paid_time": "extend"}},
    )
    # Paid until 1 May, and with the ten days moved until 11 May: five days are left on 6 May.
    assert [note["total"] for note in found["credit_notes"]] == [-500]


@pytest.mark.parametrize(("extends", "ends_on"), [(True, "2026-07-11"), (False, "2026-07-01")])
def test_a_pause_may_extend_a_term(extends: bool, ends_on: str) -> None:
    found = told(
        step("2026-04-01", "subscribe", plan="term"),
        step("2026-04-01", "bill"),
        step("2026-04-11", "pause"),
        step("2026-04-21", "resume"),
        policy={"pause": {"extends_term": extends}},
    )
    assert main(found)["ends_on"] == ends_on


@pytest.mark.parametrize(
    ("do", "fields"),
    [
        ("pause", {}),
        ("change_plan", {"to": "plus"}),
        ("change_plan", {"to": "year", "behaviour": "end_of_period"}),
        ("change_quantity", {"quantity": 2}),
    ],
)
def test_what_a_paused_subscription_does_not_take(do: str, fields: dict[str, Any]) -> None:
    reason = refusal(*SUBSCRIBED, step("2026-04-11", "pause"), step("2026-04-12", do, **fields))
    assert "resume it first" in reason


def test_pauses_that_cannot_be() -> None:
    assert "cannot end on 2026-04-11" in refusal(*SUBSCRIBED, step("2026-04-11", "pause", until="2026-04-11"))
    assert "is not paused" in refusal(*SUBSCRIBED, step("2026-04-11", "resume"))
    trial = (step("2026-04-01", "subscribe", plan="trial"),)
    assert "a trial cannot be paused" in refusal(*trial, step("2026-04-05", "pause"))


def test_arrears_are_billed_when_they_are_over_whatever_was_paused() -> None:
    found = told(
        step("2026-04-01", "subscribe", plan="arrears"),
        step("2026-04-11", "pause"),
        step("2026-04-21", "resume"),
        step("2026-04-21", "bill", to="2026-05-01"),
    )
    assert [each[1:] for number in (1, 2) for each in amounts(found, number)] == [
        ("2026-04-01", "2026-04-11", 1000),
        ("2026-04-21", "2026-05-01", 1000),
    ]


# 20 of 30 days left on 11 April
@pytest.mark.parametrize(
    ("fields", "credit", "refunded"),
    [
        ({}, 2000, 0),
        ({"credit": "none"}, 0, 0),
        ({"credit": "whole_period"}, 3000, 0),
        ({"to": "refund"}, 2000, 2000),
        ({"credit": "whole_period", "to": "refund"}, 3000, 3000),
    ],
)
@pytest.mark.parametrize("by_policy", [True, False])
def test_a_cancel_at_once(fields: dict[str, str], credit: int, refunded: int, by_policy: bool) -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-11", "cancel", **({} if by_policy else fields)),
        NEXT_BILL,
        policy={"cancel": fields} if by_policy else {},
    )
    assert [-note["total"] for note in found["credit_notes"]] == ([credit] if credit else [])
    assert found["payments"][0]["refunded"] == refunded
    assert found["account_credit"] == credit - refunded
    assert totals(found) == [3000]
    assert main(found)["state"] == "canceled"
    assert main(found)["entitled_plan"] is None


def test_a_cancel_at_the_end_of_the_period() -> None:
    steps = (*SUBSCRIBED, step("2026-04-11", "cancel", when="end_of_period"))
    assert notes(told(*steps)) == ["2026-04-11 subscription main will end on 2026-05-01"]
    assert main(told(*steps))["state"] == "active"
    found = told(*steps, NEXT_BILL)
    assert totals(found) == [3000]
    assert found["credit_notes"] == []
    assert main(found)["state"] == "canceled"


def test_a_cancel_ends_a_pause() -> None:
    for paid_time, credited in (("credit", []), ("extend", [-2000])):
        found = told(
            *SUBSCRIBED,
            step("2026-04-11", "pause", until="2026-04-25"),
            step("2026-04-16", "cancel"),
            NEXT_BILL,
            policy={"pause": {"paid_time": paid_time}},
        )
        assert main(found)["state"] == "canceled"
        # What the pause credited waits for the bill of May; what it kept is credited by the cancel.
        assert [note["total"] for note in found["credit_notes"]] == (credited or [-2000])


def test_a_cancel_credits_what_waits_by_not_billing_it() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-11", "change_plan", to="plus"),
        step("2026-04-21", "cancel"),
        NEXT_BILL,
    )
    # 10 days of plus are owed (20.00), 20 days of news were credited (20.00).
    assert sum(totals(found)) - 3000 + sum(note["total"] for note in found["credit_notes"]) == 0


def test_a_cancel_twice() -> None:
    assert "has ended" in refusal(*SUBSCRIBED, step("2026-04-06", "cancel"), step("2026-04-07", "cancel"))


def test_a_cancel_taken_back() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-11", "cancel", when="end_of_period"),
        step("2026-04-12", "reactivate"),
        NEXT_BILL,
    )
    assert totals(found) == [3000, 3000]
    assert main(found)["state"] == "active"
    assert main(found)["entitled_plan"] == "news"


def test_a_return_after_the_end() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-11", "cancel"),
        step("2026-04-21", "reactivate"),
        step("2026-04-21", "bill"),
    )
    assert amounts(found, 2) == [("recurring", "2026-04-21", "2026-05-21", 3000)]
    # What was credited pays first: 20 days of April.
    assert found["invoices"][1]["credit_used"] == 2000


def test_a_return_without_a_second_trial_or_intro() -> None:
    for plan, price in (("trial", 3000), ("intro", 100)):
        found = told(
            step("2026-04-01", "subscribe", plan=plan),
            step("2026-04-01", "bill", to="2026-05-20"),
            step("2026-05-20", "cancel", credit="none"),
            step("2026-06-10", "reactivate"),
            step("2026-06-10", "bill"),
        )
        assert totals(found)[0] == price
        assert amounts(found, len(found["invoices"])) == [("recurring", "2026-06-10", "2026-07-10", 3000)]


def test_a_return_after_a_cancel_in_a_pause() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-11", "pause"),
        step("2026-04-16", "cancel"),
        step("2026-04-21", "reactivate"),
        step("2026-04-21", "bill"),
    )
    assert amounts(found, len(found["invoices"]))[-1][1:] == ("2026-04-21", "2026-05-21", 3000)


def test_a_reactivation_that_cannot_be() -> None:
    reason = refusal(*SUBSCRIBED, step("2026-04-11", "reactivate"))
    assert reason == "subscription 'main' has not been canceled, so it cannot be reactivated"


def test_another_bill_cycle_day() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-10", "set_bill_cycle_day", day=11),
        step("2026-04-10", "bill", to="2026-05-11"),
    )
    # law 3: ten days until the new day, of the 30 days from 11 April to 11 May
    assert amounts(found, 2) == [("recurring", "2026-05-01", "2026-05-11", 1000)]
    assert amounts(found, 3) == [("recurring", "2026-05-11", "2026-06-11", 3000)]


def test_a_bill_cycle_day_leaves_what_is_paused_or_over() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-01", "subscribe", plan="news", name="second"),
        step("2026-04-02", "pause"),
        step("2026-04-02", "cancel", subscription="second", credit="none"),
        step("2026-04-10", "set_bill_cycle_day", day=11),
        step("2026-04-12", "subscribe", plan="news", name="third"),
        step("2026-04-12", "bill"),
    )
    assert [each["next_bill_on"] for each in found["subscriptions"]] == [None, None, "2026-05-11"]


def test_another_time_zone() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-10", "move_time_zone", timezone="Asia/Tokyo"),
        step("2026-04-10T16:00+00:00", "change_plan", to="plus"),
        NEXT_BILL,
    )
    # In Tokyo it is 11 April already.
    assert amounts(found, 2)[0] == ("unused_credit", "2026-04-11", "2026-05-01", -2000)


def test_a_credit_note_says_what_it_corrects_also_once_the_invoice_is_void() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-01", "bill"),
        step("2026-04-01", "adjust_line", invoice=1, line=1, amount="-3.00", reason="adjustment"),
        step("2026-04-01", "void", invoice=1, reason="void"),
        account={"auto_pay": False},
    )
    assert [line["corrects"] for line in found["credit_notes"][0]["lines"]] == [{"invoice": 1, "line": 1}]
