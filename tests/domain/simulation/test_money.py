"""Bills, payments and corrections by their verbs: what each does to documents and books, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.domain.simulation.playing import SUBSCRIBED, amounts, notes, refusal, step, told, totals

# In the region XX digital is taxed at 10 %: news comes to 33.00.
BY_HAND: dict[str, Any] = {"account": {"auto_pay": False}, "region": "XX"}
# The same, and nothing is overdue for a while.
ON_ACCOUNT: dict[str, Any] = {**BY_HAND, "policy": {"payment_terms_days": 90}}


def balance(found: dict[str, Any]) -> dict[str, int]:
    return {account: amount for account, amount in found["trial_balance"].items() if amount}


def test_a_bill_is_taxed_paid_and_deferred() -> None:
    found = told(*SUBSCRIBED, region="XX")
    (invoice,) = found["invoices"]
    assert (invoice["subtotal"], invoice["tax"], invoice["total"]) == (3000, 300, 3300)
    assert invoice["taxes"] == [{"jurisdiction": "Land", "rate": "0.10", "amount": 300}]
    assert (invoice["status"], invoice["amount_due"], invoice["paid"]) == ("paid", 0, 3300)
    assert found["payments"] == [
        {
            "number": 1,
            "date": "2026-04-01",
            "amount": 3300,
            "status": "succeeded",
            "refunded": 0,
            "code": None,
            "invoices": {"1": 3300},
        }
    ]
    assert balance(found) == {"payments_in_clearing": 3300, "deferred_revenue": -3000, "tax_payable": -300}


@pytest.mark.parametrize(
    ("tax", "expected"),
    [
        ({"inclusive": True}, (2727, 273, 3000)),  # 30.00 * 10/110 = 2.727
        ({"treatment": "exempt"}, (3000, 0, 3000)),
        ({"treatment": "reverse_charge"}, (3000, 0, 3000)),
    ],
)
def test_the_tax_terms_of_the_account(tax: dict[str, Any], expected: tuple[int, int, int]) -> None:
    found = told(*SUBSCRIBED, account={"tax": {"region": "XX", **tax}})
    assert (found["invoices"][0]["subtotal"], found["invoices"][0]["tax"], totals(found)[0]) == expected


def test_tax_rounded_per_line_or_per_invoice() -> None:
    # Two lines of 0.05 at 10 %: 0.005 each, rounded up to 0.01 each, or 0.01 together (law 7).
    steps = [
        step("2026-04-01", "subscribe", plan="news", price_override="0.05"),
        step("2026-04-01", "subscribe", plan="news", name="second", price_override="0.05"),
        step("2026-04-01", "bill"),
    ]
    for rounding, tax in (("line", 2), ("invoice", 1)):
        found = told(*steps, region="XX", policy={"tax_rounding": rounding, "gateway_minimum": {"USD": 1}})
        assert found["invoices"][0]["tax"] == tax


def test_a_schedule_of_bills_until_a_target_date() -> None:
    found = told(SUBSCRIBED[0], step("2026-04-01", "bill", to="2026-06-01"))
    # The target date is billed, too.
    assert [invoice["date"] for invoice in found["invoices"]] == ["2026-04-01", "2026-05-01", "2026-06-01"]
    assert found["through"] == "2026-06-01"


def test_a_bill_twice_bills_once() -> None:
    assert totals(told(*SUBSCRIBED, step("2026-04-01", "bill"))) == [3000]


def test_a_bill_that_comes_late_bills_every_period() -> None:
    found = told(SUBSCRIBED[0], step("2026-05-02", "bill"))
    assert [each[1:3] for each in amounts(found, 1)] == [
        ("2026-04-01", "2026-05-01"),
        ("2026-05-01", "2026-06-01"),
    ]
    # What is served when it is billed is revenue with the next journal run.
    assert told(SUBSCRIBED[0], step("2026-05-02", "bill"), step("2026-06-01", "bill"))["trial_balance"][
        "revenue"
    ] == -(3000 + 3000)


def test_a_target_date_that_has_passed() -> None:
    reason = refusal(*SUBSCRIBED, step("2026-04-10", "bill", to="2026-04-09"))
    assert reason == "the target date 2026-04-09 lies before the day of the bill run, 2026-04-10"


def test_two_subscriptions_on_one_invoice() -> None:
    found = told(
        step("2026-04-01", "subscribe", plan="news"),
        step("2026-04-01", "subscribe", plan="lite", name="second", coupons=["HALF"]),
        step("2026-04-01", "bill"),
        coupons=[{"code": "HALF", "percent": 50}],
    )
    # The discount belongs to the second line, and only to that.
    assert [each[3] for each in amounts(found, 1)] == [3000, 1500, -750]
    assert found["invoices"][0]["lines"][2]["coupon"] == "HALF"


def test_revenue_month_by_month() -> None:
    found = told(
        step("2026-04-01", "subscribe", plan="year"),
        step("2026-04-01", "bill", to="2026-06-15"),
    )
    # 30 and 31 days of 1.00; June is not over.
    entries = [(each["date"], each["event"]) for each in found["journal"]]
    assert entries[-2:] == [("2026-05-01", "revenue_recognised"), ("2026-06-01", "revenue_recognised")]
    assert balance(found)["revenue"] == -6100
    assert found["revenue"] == [
        {
            "line": {"invoice": 1, "line": 1},
            "from": "2026-04-01",
            "until": "2027-04-01",
            "by": "day",
            "billed": 36500,
            "recognised": 7500,
            "credited": 0,
            "deferred": 29000,
        }
    ]


def test_payment_terms() -> None:
    found = told(*SUBSCRIBED, **BY_HAND, policy={"payment_terms_days": 14})
    assert found["invoices"][0]["due_date"] == "2026-04-15"
    assert found["balance"] == 3300


def test_money_that_is_sent() -> None:
    found = told(*SUBSCRIBED, step("2026-04-05", "pay"), **BY_HAND)
    assert balance(found) == {"cash": 3300, "deferred_revenue": -3000, "tax_payable": -300}
    assert found["balance"] == 0


def test_part_of_it_and_more_than_it() -> None:
    part = (*SUBSCRIBED, step("2026-04-05", "pay", amount="13.00"))
    assert told(*part, **BY_HAND)["invoices"][0]["status"] == "open"
    assert told(*part, **BY_HAND)["balance"] == 2000
    found = told(*part, step("2026-04-06", "pay", amount="25.00"), **BY_HAND)
    assert found["account_credit"] == 500
    assert found["invoices"][0]["status"] == "paid"


def test_an_overpayment_pays_the_next_invoice_first() -> None:
    found = told(
        *SUBSCRIBED, step("2026-04-05", "pay", amount="40.00"), step("2026-05-01", "bill"), **BY_HAND
    )
    assert found["invoices"][1]["credit_used"] == 700
    assert found["invoices"][1]["amount_due"] == 2600
    assert "2026-05-01 7.00 USD of account credit used on invoice 2" in notes(found)


def test_the_oldest_invoice_is_paid_first_unless_one_is_named() -> None:
    steps = (*SUBSCRIBED, step("2026-05-01", "bill"))
    oldest = told(*steps, step("2026-05-02", "pay", amount="33.00"), **ON_ACCOUNT)
    assert [invoice["paid"] for invoice in oldest["invoices"]] == [3300, 0]
    named = told(*steps, step("2026-05-02", "pay", amount="33.00", invoice=2), **ON_ACCOUNT)
    assert [invoice["paid"] for invoice in named["invoices"]] == [0, 3300]
    whole = told(*steps, step("2026-05-02", "pay", invoice=2), **ON_ACCOUNT)
    assert [invoice["paid"] for invoice in whole["invoices"]] == [0, 3300]


def test_payments_that_cannot_be() -> None:
    assert "nothing is open" in refusal(*SUBSCRIBED, step("2026-04-02", "pay"))
    assert "there is no invoice 2 at this point; 1 invoices were made so far" in refusal(
        *SUBSCRIBED, step("2026-04-02", "pay", invoice=2)
    )
    assert "12.005" in refusal(*SUBSCRIBED, step("2026-04-02", "pay", amount="12.005"))


def test_money_sent_before_any_bill() -> None:
    found = told(step("2026-04-01", "pay", amount="10.00"), *SUBSCRIBED)
    assert found["payments"][1]["amount"] == 2000


def test_a_refund_credits_what_it_pays_back() -> None:
    found = told(*SUBSCRIBED, step("2026-04-05", "refund", amount="11.00", reason="complaint"), region="XX")
    (note,) = found["credit_notes"]
    assert (note["subtotal"], note["tax"], note["total"]) == (-1000, -100, -1100)
    assert note["reason"] == "complaint"
    assert found["payments"][0]["refunded"] == 1100
    assert balance(found)["payments_in_clearing"] == 2200
    assert "2026-04-05 11.00 USD of payment 1 refunded" in notes(found)


def test_a_whole_refund() -> None:
    found = told(*SUBSCRIBED, step("2026-04-05", "refund"), region="XX")
    assert (found["payments"][0]["status"], found["payments"][0]["refunded"]) == ("refunded", 3300)
    assert balance(found) == {}


def test_a_refund_of_a_payment_by_its_number() -> None:
    steps = (*SUBSCRIBED, step("2026-05-01", "bill"))
    found = told(*steps, step("2026-05-02", "refund", payment=1, amount="5.00"))
    assert [payment["refunded"] for payment in found["payments"]] == [500, 0]


def test_a_refund_of_two_invoices_at_once() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-05-01", "bill"),
        step("2026-05-02", "pay"),
        step("2026-05-03", "refund", amount="40.00"),
        account={"auto_pay": False},
        policy={"payment_terms_days": 90},
    )
    assert [(note["invoice"], note["total"]) for note in found["credit_notes"]] == [(1, -3000), (2, -1000)]


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"amount": "30.01"}, "at most 3000 minor units of payment 1 can be refunded"),
        ({"amount": "0"}, "at most 3000 minor units"),
        ({"payment": 2}, "there is no payment 2 at this point"),
    ],
)
def test_refunds_that_cannot_be(fields: dict[str, Any], reason: str) -> None:
    assert reason in refusal(*SUBSCRIBED, step("2026-04-05", "refund", **fields))


def test_a_refund_of_nothing() -> None:
    assert "no payment has succeeded so far" in refusal(SUBSCRIBED[0], step("2026-04-05", "refund"))


def test_a_refund_of_what_was_credited_already() -> None:
    reason = refusal(
        *SUBSCRIBED,
        step("2026-04-02", "credit_note", invoice=1),
        step("2026-04-05", "refund"),
    )
    assert "3000 minor units were credited to the customer already" in reason


@pytest.mark.parametrize(
    ("fields", "net", "tax"),
    [
        ({}, -4500, -450),
        ({"amount": "9.90"}, -900, -90),
        ({"lines": [2]}, -1500, -150),
        ({"lines": [1], "amount": "11.00"}, -1000, -100),
    ],
)
def test_a_credit_note(fields: dict[str, Any], net: int, tax: int) -> None:
    found = told(
        *SUBSCRIBED[:1],
        step("2026-04-01", "subscribe", plan="lite", name="second"),
        step("2026-04-01", "bill"),
        step("2026-04-05", "credit_note", invoice=1, **fields),
        **BY_HAND,
    )
    (note,) = found["credit_notes"]
    assert (note["number"], note["subtotal"], note["tax"]) == ("CN-1", net, tax)
    # law 5: it links to the line that it corrects
    assert {line["corrects"]["invoice"] for line in note["lines"]} == {1}
    # What is open is less by it.
    assert found["balance"] == 4950 + net + tax


@pytest.mark.parametrize(("to", "credit", "refunded"), [("account_credit", 1100, 0), ("refund", 0, 1100)])
def test_a_credit_note_on_a_paid_invoice(to: str, credit: int, refunded: int) -> None:
    found = told(
        *SUBSCRIBED, step("2026-04-05", "credit_note", invoice=1, amount="11.00", to=to), region="XX"
    )
    assert found["account_credit"] == credit
    assert found["payments"][0]["refunded"] == refunded


def test_a_refund_where_nothing_was_paid_becomes_account_credit() -> None:
    found = told(
        step("2026-04-01", "grant_credit", amount="50.00"),
        *SUBSCRIBED,
        step("2026-04-05", "credit_note", invoice=1, to="refund"),
    )
    # 30.00 of the granted 50.00 were used and came back.
    assert found["payments"] == []
    assert found["account_credit"] == 5000


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"invoice": 2}, "there is no invoice 2"),
        ({"invoice": 1, "lines": [3]}, "invoice 1 has 2 lines, so there is no line 3"),
        ({"invoice": 1, "lines": [2]}, "line 2 of invoice 1 is a discount, no charge"),
        ({"invoice": 1, "amount": "15.01"}, "1501 minor units are to be credited and 1500 are left"),
        ({"invoice": 1, "lines": [1, 2], "amount": "1"}, "line 2 of invoice 1 is a discount"),
    ],
)
def test_credit_notes_that_cannot_be(fields: dict[str, Any], reason: str) -> None:
    assert reason in refusal(
        step("2026-04-01", "subscribe", plan="news", coupons=["HALF"]),
        step("2026-04-01", "bill"),
        step("2026-04-05", "credit_note", **fields),
        coupons=[{"code": "HALF", "percent": 50}],
    )


def test_an_amount_is_for_one_line() -> None:
    assert "name one line, or none" in refusal(
        *SUBSCRIBED[:1],
        step("2026-04-01", "subscribe", plan="lite", name="second"),
        step("2026-04-01", "bill"),
        step("2026-04-05", "credit_note", invoice=1, lines=[1, 2], amount="1"),
    )


def test_goodwill() -> None:
    found = told(step("2026-04-01", "grant_credit", amount="10.00"), *SUBSCRIBED)
    assert found["invoices"][0]["credit_used"] == 1000
    assert balance(found) == {"goodwill": 1000, "payments_in_clearing": 2000, "deferred_revenue": -3000}


@pytest.mark.parametrize("by_policy", [True, False])
def test_goodwill_that_expires(by_policy: bool) -> None:
    fields = {} if by_policy else {"expires_on": "2026-04-11"}
    policy = {"credit_expires_after_days": 10} if by_policy else {}
    grant = step("2026-04-01", "grant_credit", amount="10.00", **fields)
    assert told(grant, step("2026-04-10", "bill"), policy=policy)["account_credit"] == 1000
    found = told(grant, step("2026-04-11", "bill"), policy=policy)
    assert found["account_credit"] == 0
    assert balance(found) == {"goodwill": 1000, "breakage_revenue": -1000}
    assert notes(found) == ["2026-04-11 10.00 USD of account credit expired (goodwill 1)"]


def test_goodwill_that_cannot_be() -> None:
    assert "grant more than zero" in refusal(step("2026-04-01", "grant_credit", amount="0"))
    assert "expires on 2026-04-01" in refusal(
        step("2026-04-01", "grant_credit", amount="1", expires_on="2026-04-01")
    )


def test_an_adjustment_down_is_a_credit_note_and_up_waits_for_the_next_invoice() -> None:
    adjust = {"invoice": 1, "line": 1, "reason": "wrong rate"}
    down = told(*SUBSCRIBED, step("2026-04-05", "adjust_line", amount="-10.00", **adjust), region="XX")
    assert (down["credit_notes"][0]["subtotal"], down["credit_notes"][0]["tax"]) == (-1000, -100)
    assert down["credit_notes"][0]["reason"] == "wrong rate"
    steps = (*SUBSCRIBED, step("2026-04-05", "adjust_line", amount="10.00", **adjust))
    assert told(*steps, region="XX")["pending"] == 1000
    up = told(*steps, step("2026-05-01", "bill"), region="XX")
    assert amounts(up, 2)[0][3] == 1000
    assert up["invoices"][1]["lines"][0]["tax"] == 100
    assert up["invoices"][1]["lines"][0]["corrects"] == {"invoice": 1, "line": 1}
    assert up["pending"] == 0


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"invoice": 1, "line": 1, "amount": "0"}, "adjustment of line 1 of invoice 1 needs an amount"),
        (
            {"invoice": 1, "line": 1, "amount": "-30.01"},
            "line 1 of invoice 1 is to be adjusted by -3001 minor units, and 3000 before tax are left of it",
        ),
        ({"invoice": 1, "line": 2, "amount": "1"}, "has 1 lines, so there is no line 2"),
        ({"invoice": 3, "line": 1, "amount": "1"}, "there is no invoice 3"),
    ],
)
def test_adjustments_that_cannot_be(fields: dict[str, Any], reason: str) -> None:
    assert reason in refusal(*SUBSCRIBED, step("2026-04-05", "adjust_line", **fields))


def test_a_void_lets_the_same_days_be_billed_again() -> None:
    found = told(*SUBSCRIBED, step("2026-04-05", "void", invoice=1), step("2026-04-05", "bill"), **BY_HAND)
    assert [invoice["status"] for invoice in found["invoices"]] == ["void", "open"]
    assert amounts(found, 1) == amounts(found, 2)
    # law 9: the void reached tax and ledger
    assert balance(found) == {"accounts_receivable": 3300, "deferred_revenue": -3000, "tax_payable": -300}


def test_a_void_after_a_month_takes_revenue_back() -> None:
    steps = (*SUBSCRIBED, step("2026-05-01", "bill"), step("2026-05-02", "void", invoice=1))
    found = told(*steps, **ON_ACCOUNT)
    # The days were billed again by nobody: invoice 2 charged what came after them.
    assert found["invoices"][0]["status"] == "void"
    assert balance(found) == {"accounts_receivable": 3300, "deferred_revenue": -3000, "tax_payable": -300}


def test_a_void_gives_account_credit_back() -> None:
    found = told(
        step("2026-04-01", "grant_credit", amount="10.00"),
        *SUBSCRIBED,
        step("2026-04-05", "void", invoice=1),
        **BY_HAND,
    )
    assert found["account_credit"] == 1000
    assert found["balance"] == 0


def test_a_void_gives_back_no_credit_that_has_expired_meanwhile() -> None:
    found = told(
        step("2026-04-01", "grant_credit", amount="10.00", expires_on="2026-04-03"),
        *SUBSCRIBED,
        step("2026-04-05", "void", invoice=1),
        **BY_HAND,
    )
    assert found["account_credit"] == 0
    assert balance(found) == {"goodwill": 1000, "breakage_revenue": -1000}


def test_a_void_frees_usage() -> None:
    found = told(
        step("2026-04-01", "subscribe", plan="metered"),
        step("2026-04-01", "bill"),
        step("2026-04-10", "usage", meter="articles", quantity=30),
        step("2026-05-01", "bill"),
        step("2026-05-02", "void", invoice=2),
        step("2026-05-02", "bill"),
        account={"auto_pay": False},
        policy={"payment_terms_days": 90},
    )
    # 30 less the allowance of 10, at 0.10
    assert [each[0::3] for each in amounts(found, 3)] == [each[0::3] for each in amounts(found, 2)]
    assert ("usage", 200) in [each[0::3] for each in amounts(found, 3)]


def test_credits_on_a_voided_invoice_are_owed_all_the_same() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-11", "change_plan", to="plus"),
        step("2026-05-01", "bill"),
        step("2026-05-02", "void", invoice=2),
        step("2026-05-02", "bill"),
        **ON_ACCOUNT,
    )
    assert totals(found)[1] == totals(found)[2]
    assert ("unused_credit", -2000) in [each[0::3] for each in amounts(found, 3)]


def test_voids_that_cannot_be() -> None:
    assert "only an open invoice on which nothing is paid can be voided" in refusal(
        *SUBSCRIBED, step("2026-04-05", "void", invoice=1)
    )
    assert "there is no invoice 2" in refusal(*SUBSCRIBED, step("2026-04-05", "void", invoice=2))


def test_a_void_of_days_that_a_pause_credited() -> None:
    reason = refusal(
        *SUBSCRIBED, step("2026-04-11", "pause"), step("2026-04-12", "void", invoice=1), **BY_HAND
    )
    assert "write a credit note over the rest" in reason


def test_a_gift_is_refunded_not_voided() -> None:
    reason = refusal(
        step("2026-04-01", "gift", plan="year"), step("2026-04-02", "void", invoice=1), **BY_HAND
    )
    assert "refund the gift" in reason


def test_a_void_of_who_has_gone_is_not_billed_again() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-11", "cancel", credit="none"),
        step("2026-04-12", "void", invoice=1),
        step("2026-05-01", "bill"),
        **BY_HAND,
    )
    assert (totals(found), found["balance"]) == ([3300], 0)


def test_a_void_of_one_subscription_leaves_the_other() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-02", "subscribe", plan="lite", name="second"),
        step("2026-04-02", "bill"),
        step("2026-04-03", "void", invoice=1),
        step("2026-04-03", "bill"),
        **BY_HAND,
    )
    assert [line["plan"] for line in found["invoices"][2]["lines"]] == ["news"]


def test_a_void_of_an_earlier_month_is_not_billed_again() -> None:
    # Later days are charged already: charged-through cannot go back behind them.
    found = told(
        *SUBSCRIBED,
        step("2026-05-01", "bill"),
        step("2026-05-02", "void", invoice=1),
        step("2026-05-02", "bill"),
        **ON_ACCOUNT,
    )
    assert len(found["invoices"]) == 2


def test_a_void_after_a_pause_that_kept_time() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-11", "pause"),
        step("2026-04-21", "resume"),
        step("2026-04-22", "void", invoice=1),
        step("2026-04-22", "bill"),
        account={"auto_pay": False},
        policy={"pause": {"paid_time": "extend"}},
    )
    assert (len(found["invoices"]), found["balance"]) == (1, 0)


def test_a_void_during_a_pause_that_keeps_time() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-11", "pause"),
        step("2026-04-12", "void", invoice=1),
        account={"auto_pay": False},
        policy={"pause": {"paid_time": "extend"}},
    )
    assert (found["invoices"][0]["status"], found["balance"]) == ("void", 0)


def test_write_offs() -> None:
    steps = (*SUBSCRIBED, step("2026-05-01", "bill"))
    whole = told(*steps, step("2026-05-02", "write_off"), **ON_ACCOUNT)
    assert [invoice["status"] for invoice in whole["invoices"]] == ["uncollectible", "uncollectible"]
    assert balance(whole)["bad_debt"] == 6600
    one = told(*steps, step("2026-05-02", "write_off", invoice=1), **ON_ACCOUNT)
    assert [invoice["written_off"] for invoice in one["invoices"]] == [3300, 0]
    part = told(*steps, step("2026-05-02", "write_off", invoice=1, amount="3.00"), **ON_ACCOUNT)
    assert part["invoices"][0]["amount_due"] == 3000
    assert notes(part) == ["2026-05-02 3.00 USD of invoice 1 written off"]


def test_a_credit_note_after_a_write_off_lessens_the_bad_debt() -> None:
    found = told(
        *SUBSCRIBED,
        step("2026-04-02", "write_off"),
        step("2026-04-03", "credit_note", invoice=1, amount="11.00"),
        **BY_HAND,
    )
    assert balance(found)["bad_debt"] == 2200


def test_write_offs_that_cannot_be() -> None:
    assert "no invoice is open" in refusal(*SUBSCRIBED, step("2026-04-02", "write_off"))
    steps = (*SUBSCRIBED, step("2026-05-01", "bill"))
    assert "name it" in refusal(*steps, step("2026-05-02", "write_off", amount="1"), **ON_ACCOUNT)
    assert "is paid, nothing is open on it" in refusal(
        *SUBSCRIBED, step("2026-04-02", "write_off", invoice=1)
    )


def test_credits_without_charges_make_no_invoice() -> None:
    found = told(*SUBSCRIBED, step("2026-04-11", "pause"), step("2026-04-12", "bill"), region="XX")
    assert len(found["invoices"]) == 1
    # 20 of 30 days and of their tax
    assert [(note["subtotal"], note["tax"]) for note in found["credit_notes"]] == [(-2000, -200)]
    assert "2026-04-12 22.00 USD of it became account credit" in notes(found)
