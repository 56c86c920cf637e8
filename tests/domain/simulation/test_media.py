"""Usage, coupons, holiday stops and gifts by their verbs."""

from __future__ import annotations

from typing import Any

import pytest

from tests.domain.simulation.playing import SUBSCRIBED, amounts, notes, refusal, step, told, totals

METERED = (step("2026-04-01", "subscribe", plan="metered"), step("2026-04-01", "bill"))
DELIVERY = {
    "edition": "paper",
    "zone": "UTC",
    "weekdays": ["sat"],
    "cut_off": {"at": "12:00", "days_before": 1},
}
# 2026-04-04 is a Saturday; 28.00 for four of them.
PAPER = (step("2026-04-01", "subscribe", plan="paper"), step("2026-04-01", "bill"))


def used(found: dict[str, Any], number: int) -> list[int]:
    return [each[3] for each in amounts(found, number) if each[0] == "usage"]


def read(at: str, quantity: int, **fields: Any) -> dict[str, Any]:
    return step(at, "usage", meter="articles", quantity=quantity, **fields)


def test_usage_beyond_the_allowance() -> None:
    found = told(*METERED, read("2026-04-10", 25), read("2026-04-20", 5), step("2026-05-01", "bill"))
    # 30 less the allowance of 10, at 0.10
    assert used(found, 2) == [200]
    assert used(told(*METERED, read("2026-04-10", 10), step("2026-05-01", "bill")), 2) == [0]


@pytest.mark.parametrize(
    ("at", "months"),
    [
        ("2026-04-30T23:59:59", ([100], [])),
        ("2026-05-01T00:00", ([], [100])),  # law 8: on the boundary it opens the new period
    ],
)
def test_usage_on_the_boundary(at: str, months: tuple[list[int], list[int]]) -> None:
    found = told(*METERED, read(at, 20), step("2026-05-01", "bill"), step("2026-06-01", "bill"))
    assert (used(found, 2), used(found, 3)) == months


def test_usage_of_a_day_is_that_of_its_noon() -> None:
    found = told(
        step("2026-04-01", "subscribe", plan="metered"),
        step("2026-04-01", "bill"),
        read("2026-04-30", 20),
        step("2026-05-01", "bill"),
        account={"timezone": "Pacific/Auckland"},
    )
    assert used(found, 2) == [100]


def test_events_are_several_records() -> None:
    found = told(
        *METERED, step("2026-04-10", "usage", meter="articles", events=[8, 4]), step("2026-05-01", "bill")
    )
    assert used(found, 2) == [20]
    assert found["invoices"][1]["lines"][0]["quantity"] == "12"


@pytest.mark.parametrize("zero_usage", ["price", "omit", "line"])
def test_no_usage(zero_usage: str) -> None:
    found = told(*METERED, step("2026-05-01", "bill"), policy={"zero_usage": zero_usage})
    assert used(found, 2) == ([0] if zero_usage == "line" else [])


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"meter": "articles"}, "usage is a quantity or a list of events, one of the two"),
        ({"meter": "articles", "quantity": 1, "events": [1]}, "one of the two"),
        ({"meter": "pages", "quantity": 1}, "the catalog has no meter 'pages'"),
        (
            {"meter": "minutes", "quantity": 1},
            "nothing that subscription 'main' has on 2026-04-10 is charged by meter 'minutes'",
        ),
    ],
)
def test_usage_that_cannot_be(fields: dict[str, Any], reason: str) -> None:
    assert reason in refusal(*METERED, step("2026-04-10", "usage", **fields))


def test_usage_after_the_end() -> None:
    steps = (*METERED, step("2026-04-05", "cancel"))
    assert "is charged by meter" in refusal(*steps, read("2026-04-10", 1))


def test_a_cancel_bills_what_was_used() -> None:
    found = told(
        *METERED,
        read("2026-04-10", 30),
        step("2026-04-16", "cancel", credit="none"),
        step("2026-05-01", "bill"),
    )
    assert used(found, 2) == [200]


@pytest.mark.parametrize(
    ("then", "charges"),
    [
        # What was used until 16 April has the allowance of its time, and what is used later one of its own: after a
        # pause or a restart, and for the item that takes the place of another.
        ([step("2026-04-16", "pause"), step("2026-04-16", "resume")], [200, 100]),
        ([step("2026-04-16", "change_plan", to="metered", behaviour="restart_period")], [200, 100]),
        ([step("2026-04-16", "change_quantity", quantity=2)], [200, 100]),
    ],
)
def test_no_usage_is_lost_or_billed_twice(then: list[dict[str, Any]], charges: list[int]) -> None:
    found = told(
        *METERED,
        read("2026-04-10", 30),
        *then,
        read("2026-04-20", 20),
        step("2026-05-20", "bill"),
        step("2026-06-20", "bill"),
    )
    billed = [charge for invoice in found["invoices"] for charge in used(found, invoice["number"])]
    assert billed == charges


def test_usage_until_a_cancel_is_billed_before_a_return() -> None:
    found = told(
        *METERED,
        read("2026-04-10", 30),
        step("2026-04-11", "cancel", when="end_of_period"),
        step("2026-05-05", "reactivate"),
        step("2026-05-05", "bill"),
        step("2026-06-05", "bill"),
    )
    assert used(found, 2) == [200]
    assert used(found, 3) == []


TEN = {"code": "TEN", "percent": 10, "duration": "forever"}
TWO = {"code": "TWO", "amounts": {"USD": "2.00"}, "duration": "periods", "periods": 2}
ONLY = {"code": "ONLY", "percent": 50, "stacking": "exclusive"}


def test_a_coupon_from_the_next_bill_on() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-10", "apply_coupon", coupon="TWO"),
        step("2026-04-10", "bill", to="2026-07-01"),
        coupons=[TWO],
    )
    assert totals(found) == [3000, 2800, 2800, 3000]


@pytest.mark.parametrize(
    ("order", "cuts"),
    # 10 % of 30.00 and then 2.00; or 2.00 and then 10 % of 28.00
    [("as_applied", [-200, -280]), ("percent_first", [-300, -200]), ("fixed_first", [-200, -280])],
)
def test_two_coupons_in_their_order(order: str, cuts: list[int]) -> None:
    found = told(
        step("2026-04-01", "subscribe", plan="news", coupons=["TWO", "TEN"]),
        step("2026-04-01", "bill"),
        coupons=[TEN, TWO],
        policy={"discount_order": order},
    )
    assert [each[3] for each in amounts(found, 1)[1:]] == cuts


def test_a_coupon_of_its_own_order_cuts_first() -> None:
    found = told(
        step("2026-04-01", "subscribe", plan="news", coupons=["TWO", "TEN"]),
        step("2026-04-01", "bill"),
        coupons=[{**TEN, "order": -1}, TWO],
    )
    assert [each[3] for each in amounts(found, 1)[1:]] == [-300, -200]


@pytest.mark.parametrize(
    ("first", "second", "reason"),
    [
        ("TEN", "TEN", "coupon TEN is on the subscription already"),
        ("ONLY", "TEN", "coupon ONLY, which is on the subscription, allows no other"),
        ("TEN", "ONLY", "coupon ONLY allows no other beside it"),
        ("TEN", "NONE", "there is no coupon 'NONE'"),
    ],
)
def test_coupons_that_cannot_be(first: str, second: str, reason: str) -> None:
    steps = (*SUBSCRIBED, step("2026-04-10", "apply_coupon", coupon=first))
    assert reason in refusal(
        *steps, step("2026-04-11", "apply_coupon", coupon=second), coupons=[TEN, TWO, ONLY]
    )


def test_a_coupon_in_another_currency() -> None:
    reason = refusal(
        step("2026-04-01", "subscribe", plan="news", coupons=["TWO"]),
        account={"currency": "JPY"},
        coupons=[TWO],
    )
    assert reason == "coupon TWO is for accounts in USD, and this one is in JPY"


def test_an_exclusive_coupon_that_has_run_out() -> None:
    found = told(
        step("2026-04-01", "subscribe", plan="news", coupons=["ONLY"]),
        step("2026-04-01", "bill"),
        step("2026-05-01", "apply_coupon", coupon="TEN"),
        step("2026-05-01", "bill"),
        coupons=[TEN, ONLY],
    )
    assert totals(found) == [1500, 2700]


def test_missed_issues_on_the_next_bill() -> None:
    found = told(
        *PAPER,
        step("2026-04-08", "holiday_stop", start="2026-04-10", until="2026-04-19"),
        step("2026-04-29", "bill"),
        delivery=DELIVERY,
        region="XX",
    )
    # 11 and 18 April: 7.00 each and 5 % of it
    lines = found["invoices"][1]["lines"]
    assert [(line["kind"], line["amount"], line["tax"]) for line in lines] == [
        ("delivery_credit", -700, -35),
        ("delivery_credit", -700, -35),
        ("recurring", 2800, 140),
    ]
    assert notes(found) == [
        "2026-04-08 the issue of 2026-04-11 is stopped",
        "2026-04-08 the issue of 2026-04-18 is stopped",
        "2026-04-29 the issue of 2026-04-11 was not delivered: credit",
        "2026-04-29 the issue of 2026-04-18 was not delivered: credit",
    ]
    # Earned by issue: four were paid for, two delivered.
    assert found["revenue"][0]["by"] == "delivery"
    assert found["revenue"][0]["recognised"] == 1400


def test_a_missed_issue_is_credited_once_on_the_next_bill() -> None:
    found = told(
        *PAPER,
        step("2026-04-08", "holiday_stop", start="2026-04-10", until="2026-04-13"),
        step("2026-04-12", "bill"),
        step("2026-04-12", "bill"),
        step("2026-04-29", "bill"),
        step("2026-04-29", "bill"),
        delivery=DELIVERY,
    )
    assert found["credit_notes"] == []
    assert totals(found) == [2800, 2800 - 700]


@pytest.mark.parametrize(("at", "stopped", "late"), [("2026-04-10T11:59", 2, 0), ("2026-04-10T12:00", 1, 1)])
def test_the_print_cut_off(at: str, stopped: int, late: int) -> None:
    found = told(*PAPER, step(at, "holiday_stop", start="2026-04-11", until="2026-04-19"), delivery=DELIVERY)
    assert len([note for note in notes(found) if note.endswith("is stopped")]) == stopped
    assert len([note for note in notes(found) if "print cut-off has passed" in note]) == late


def test_a_missed_issue_of_who_has_gone_is_refunded() -> None:
    stop = step("2026-04-08", "holiday_stop", start="2026-04-10", until="2026-04-13")
    at_the_end = told(
        *PAPER,
        stop,
        step("2026-04-09", "cancel", when="end_of_period"),
        step("2026-04-29", "bill"),
        delivery=DELIVERY,
    )
    assert at_the_end["payments"][0]["refunded"] == 700
    at_once = told(
        *PAPER,
        stop,
        step("2026-04-15", "cancel", credit="none"),
        step("2026-04-29", "bill"),
        delivery=DELIVERY,
    )
    assert at_once["payments"][0]["refunded"] == 700
    assert [note["reason"] for note in at_once["credit_notes"]] == ["issues not delivered"]


@pytest.mark.parametrize(
    ("fields", "policy", "reason"),
    [
        ({"start": "2026-04-06", "until": "2026-04-11"}, {}, "there is nothing to stop"),
        ({"start": "2026-04-10", "until": "2026-04-10"}, {}, "lasts 1 days at least, not 0"),
        ({"start": "2026-04-10", "until": "2026-04-19"}, {"longest_days": 8}, "8 days at most, not 9"),
        ({"start": "2026-04-10", "until": "2026-04-19"}, {"allowance": 1}, "1 are allowed; 1 are left"),
    ],
)
def test_stops_that_cannot_be(fields: dict[str, str], policy: dict[str, Any], reason: str) -> None:
    assert reason in refusal(
        *PAPER,
        step("2026-04-06", "holiday_stop", **fields),
        delivery=DELIVERY,
        policy={"holiday_stops": policy},
    )


def test_a_stop_needs_a_calendar() -> None:
    reason = refusal(*PAPER, step("2026-04-06", "holiday_stop", start="2026-04-10", until="2026-04-12"))
    assert "the scenario has no delivery calendar" in reason


def test_a_calendar_is_of_one_edition() -> None:
    found = told(*SUBSCRIBED, delivery=DELIVERY)
    assert found["revenue"][0]["by"] == "day"


GIFT = step("2026-04-01", "gift", plan="year")


def test_a_gift_is_invoiced_and_owed_to_its_reader() -> None:
    found = told(GIFT, region="XX")
    assert totals(found) == [36500 + 3650]
    assert found["trial_balance"]["gift_liability"] == -36500
    assert found["gifts"] == [
        {"name": "gift", "state": "bought", "claim_until": "2027-04-01", "access": None, "refunded": 0}
    ]
    # Nothing is earned before it is read.
    assert found["revenue"] == []


def test_a_gift_at_a_price_of_its_own() -> None:
    assert totals(told(step("2026-04-01", "gift", plan="year", price="99.00"))) == [9900]


def test_a_gift_is_not_charged_without_automatic_payment() -> None:
    assert told(GIFT, account={"auto_pay": False})["balance"] == 36500


def test_a_gift_uses_account_credit() -> None:
    found = told(step("2026-04-01", "grant_credit", amount="65.00"), GIFT)
    assert found["payments"][0]["amount"] == 30000


def test_a_claimed_gift_is_earned_as_it_is_read() -> None:
    found = told(GIFT, step("2026-04-11", "claim"), step("2026-05-01", "bill"))
    assert found["gifts"][0]["access"] == ["2026-04-11", "2027-04-11"]
    # 20 days of 1.00
    assert found["trial_balance"]["revenue"] == -2000
    assert found["trial_balance"]["deferred_revenue"] == -34500
    assert found["trial_balance"]["gift_liability"] == 0


def test_a_gift_begins_on_the_giver_s_day_or_later() -> None:
    chosen = step("2026-04-01", "gift", plan="year", starts_on="2026-04-20")
    found = told(chosen, step("2026-04-11", "claim"))
    assert found["gifts"][0]["access"] == ["2026-04-20", "2027-04-20"]
    policy = {
        "gifts": {"claim_within": {"unit": "year"}, "access": {"unit": "month"}, "latest_start_days": 5}
    }
    later = told(chosen, step("2026-04-11", "claim", starts_on="2026-04-25"), policy=policy)
    assert later["gifts"][0]["access"] == ["2026-04-25", "2026-05-25"]
    assert "the gift can begin from 2026-04-20 to 2026-04-25" in refusal(
        chosen, step("2026-04-11", "claim", starts_on="2026-04-26"), policy=policy
    )


def test_a_gift_claimed_twice_is_claimed_once() -> None:
    once = told(GIFT, step("2026-04-11", "claim"))
    twice = told(GIFT, step("2026-04-11", "claim"), step("2026-04-11", "claim"))
    assert twice["trial_balance"] == once["trial_balance"]


def test_a_gift_that_was_credited_whole_can_be_claimed_for_nothing() -> None:
    found = told(GIFT, step("2026-04-02", "credit_note", invoice=1), step("2026-04-11", "claim"))
    assert found["gifts"][0]["state"] == "claimed"
    assert found["trial_balance"].get("deferred_revenue", 0) == 0


def test_a_gift_that_nobody_claims_is_breakage() -> None:
    found = told(GIFT, step("2027-04-01", "bill"), region="XX")
    assert found["gifts"][0]["state"] == "expired"
    assert found["trial_balance"]["breakage_revenue"] == -36500
    assert notes(found) == ["2027-04-01 gift gift was not claimed in time"]
    assert told(GIFT, step("2027-03-31", "bill"))["gifts"][0]["state"] == "bought"


def test_a_refunded_gift() -> None:
    before = told(GIFT, step("2026-04-05", "refund_gift"), region="XX")
    assert before["payments"][0]["refunded"] == 40150
    assert before["gifts"][0]["refunded"] == 36500
    # Ten days were read.
    read_some = (GIFT, step("2026-04-11", "claim"), step("2026-04-21", "refund_gift"))
    assert told(*read_some)["payments"][0]["refunded"] == 35500
    policy = {"gifts": {"claim_within": {"unit": "year"}, "access": {"unit": "year"}, "after_claim": "none"}}
    nothing = told(*read_some, policy=policy)
    assert nothing["payments"][0]["refunded"] == 0
    assert nothing["gifts"][0]["state"] == "refunded"


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        ((GIFT, step("2026-04-02", "gift", plan="news")), "there is a gift 'gift' already"),
        ((step("2026-04-02", "claim", gift="other"),), "there is no gift 'other' at this point"),
        ((step("2026-04-02", "refund_gift"),), "there is no gift 'gift' at this point"),
        ((GIFT, step("2027-04-01", "claim")), "could be claimed until the day before 2027-04-01"),
        ((GIFT, step("2027-04-01", "refund_gift")), "expired gifts are not refunded"),
        ((step("2026-04-01", "gift", plan="gone"),), "there is no plan 'gone'"),
        (
            (step("2026-04-01", "gift", plan="year", starts_on="2026-03-01"),),
            "cannot be read from 2026-03-01: it is bought on 2026-04-01",
        ),
    ],
)
def test_gifts_that_cannot_be(steps: tuple[dict[str, Any], ...], reason: str) -> None:
    assert reason in refusal(*steps)


def test_a_plan_that_is_no_gift() -> None:
    # There is no period of it that is paid in advance.
    assert refusal(step("2026-04-01", "gift", plan="book"))
