"""Automatic payment that fails: retries, reminders, giving up, and the states of dunning."""

from __future__ import annotations

from typing import Any

import pytest

from tests.domain.simulation.playing import SUBSCRIBED, notes, refusal, step, told, totals

FIRST, BILL = SUBSCRIBED


def tries(found: dict[str, Any]) -> list[tuple[str, str, str | None]]:
    return [(each["date"], each["status"], each["code"]) for each in found["payments"]]


def states(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(each["date"], each["state"]) for each in found["dunning"]]


def failing(code: str, until: str | None, last: str, **more: Any) -> dict[str, Any]:
    fields = {} if until is None else {"until": until}
    return told(
        FIRST,
        step("2026-04-01", "payment_fails", code=code, **fields),
        BILL,
        step(last, "move_time_zone", timezone="UTC"),
        **more,
    )


def test_a_soft_decline_is_tried_again_by_schedule() -> None:
    found = failing("insufficient_funds", "2026-04-30", "2026-04-20")
    # 1, 3, 5 and 7 days after the first failure, then it is given up.
    assert tries(found) == [
        (f"2026-04-{day}", "failed", "insufficient_funds") for day in ("01", "02", "04", "06", "08")
    ]
    assert "2026-04-08 payment given up: leave unpaid" in notes(found)


def test_the_order_of_the_day_s_steps_does_not_matter() -> None:
    found = told(FIRST, BILL, step("2026-04-01", "payment_fails"), step("2026-04-02", "bill"))
    assert tries(found) == [
        ("2026-04-01", "failed", "insufficient_funds"),
        ("2026-04-02", "succeeded", None),
    ]


def test_a_new_invoice_is_tried_after_the_last_was_given_up() -> None:
    found = told(
        FIRST,
        step("2026-04-01", "payment_fails", until="2026-04-20"),
        BILL,
        step("2026-05-01", "bill"),
        policy={"dunning": {"states": [{"name": "current"}], "retry": {"soft": {"days": [2]}}}},
    )
    assert tries(found)[-1] == ("2026-05-01", "succeeded", None)
    assert found["balance"] == 0


def test_a_new_invoice_waits_with_the_one_that_is_tried() -> None:
    found = told(
        step("2026-04-01", "subscribe", plan="paper"),
        step("2026-04-01", "payment_fails", until="2026-05-10"),
        step("2026-04-01", "bill"),
        step("2026-04-29", "bill"),
        step("2026-05-10", "bill"),
        policy={"dunning": {"states": [{"name": "current"}], "retry": {"soft": {"days": [30]}}}},
    )
    # On 29 April the retry of 1 May is still to come; it is for both.
    assert [(each["date"], each["amount"]) for each in found["payments"]] == [
        ("2026-04-01", 2800),
        ("2026-05-01", 5600),
    ]


@pytest.mark.parametrize(
    ("code", "template", "days"),
    [
        ("expired_card", "payment-method-needed", ["02", "04", "08", "15"]),
        ("authentication_required", "payment-action-needed", ["02", "04", "08"]),
    ],
)
def test_what_is_not_tried_again_is_reminded_of(code: str, template: str, days: list[str]) -> None:
    found = failing(code, None, "2026-04-20")
    assert len(found["payments"]) == 1
    assert [note for note in notes(found) if template in note] == [
        f"2026-04-{day} mail {template}" for day in days
    ]


def test_waiting_that_ends() -> None:
    dunning = {
        "states": [{"name": "current"}],
        "retry": {"soft": {"days": []}, "hard": {"give_up_after": 5}},
        "give_up": "cancel",
    }
    assert "given up" not in " ".join(
        notes(failing("expired_card", None, "2026-04-05", policy={"dunning": dunning}))
    )
    found = failing("expired_card", None, "2026-04-06", policy={"dunning": dunning})
    assert "2026-04-06 payment given up: cancel" in notes(found)
    assert found["subscriptions"][0]["state"] == "canceled"
    # law 4: 25 of 30 days are not used and not owed any more
    assert found["balance"] == 500


def test_giving_up_by_writing_off() -> None:
    dunning = {
        "states": [{"name": "current"}],
        "retry": {"soft": {"days": []}},
        "give_up": "write_off",
    }
    found = failing("insufficient_funds", None, "2026-04-02", policy={"dunning": dunning})
    assert found["invoices"][0]["status"] == "uncollectible"
    assert found["subscriptions"][0]["state"] == "active"


def test_the_states_and_what_they_do() -> None:
    found = failing("expired_card", None, "2026-06-01")
    # 1, 7, 14, 30 and 60 days after 1 April
    assert states(found) == [
        ("2026-04-01", "current"),
        ("2026-04-02", "overdue"),
        ("2026-04-08", "restricted"),
        ("2026-04-15", "suspended"),
        ("2026-05-01", "canceled"),
        ("2026-05-31", "written_off"),
        ("2026-05-31", "current"),
    ]
    assert "2026-04-08 account: restrict" in notes(found)
    assert "2026-04-15 account: suspend" in notes(found)
    assert "2026-05-31 30.00 USD of invoice 1 written off" in notes(found)
    assert found["subscriptions"][0]["state"] == "canceled"


def test_a_suspended_account_reads_nothing() -> None:
    restricted = failing("expired_card", None, "2026-04-14")["subscriptions"][0]
    assert (restricted["entitled_plan"], restricted["past_due"]) == ("news", True)
    suspended = failing("expired_card", None, "2026-04-15")["subscriptions"][0]
    assert (suspended["entitled_plan"], suspended["past_due"]) == (None, True)


def test_a_restricted_account_does_not_change_its_plan() -> None:
    steps = (FIRST, step("2026-04-01", "payment_fails", code="expired_card"), BILL)
    assert "dunning blocks changes of plan" in refusal(*steps, step("2026-04-08", "change_plan", to="plus"))
    found = told(*steps, step("2026-04-07", "change_plan", to="plus"))
    assert found["refused"] == []


def test_a_blocked_account_is_not_billed() -> None:
    dunning = {
        "states": [{"name": "current"}, {"name": "stopped", "when": {"age_days": 5}, "blocks": ["billing"]}],
        "retry": {"soft": {"days": []}},
    }
    steps = (
        FIRST,
        step("2026-04-01", "payment_fails", code="expired_card"),
        BILL,
        step("2026-05-01", "bill"),
    )
    assert totals(told(*steps, policy={"dunning": dunning})) == [3000]
    paid = told(*steps, step("2026-05-02", "pay"), step("2026-05-02", "bill"), policy={"dunning": dunning})
    assert totals(paid) == [3000, 3000]


def test_paying_clears_all() -> None:
    found = told(
        FIRST,
        step("2026-04-01", "payment_fails", code="expired_card"),
        BILL,
        step("2026-04-20", "pay"),
        step("2026-05-01", "bill"),
    )
    assert states(found)[-1] == ("2026-04-20", "current")
    # Another payment method: what comes next is charged again.
    assert tries(found)[-1] == ("2026-05-01", "succeeded", None)


def test_states_that_are_passed_over_do_what_they_say() -> None:
    found = told(*SUBSCRIBED, step("2026-04-20", "bill"), account={"auto_pay": False})
    mails = [note for note in notes(found) if "mail" in note]
    assert mails == [
        "2026-04-02 mail payment-overdue",
        "2026-04-08 mail account-restricted",
        "2026-04-15 mail account-suspended",
    ]


def test_states_by_count_jump_over_others() -> None:
    dunning = {
        "states": [
            {"name": "current", "on_entry": [{"do": "mail", "template": "all-clear"}]},
            {"name": "late", "when": {"age_days": 3}, "on_entry": [{"do": "mail", "template": "late"}]},
            {
                "name": "hopeless",
                "when": {"unpaid_amount": {"USD": 3000}},
                "on_entry": [{"do": "write_off"}],
            },
        ],
        "retry": {"soft": {"days": []}},
    }
    found = told(
        *SUBSCRIBED,
        step("2026-04-02", "bill"),
        account={"auto_pay": False},
        policy={"dunning": dunning},
    )
    # The amount counts at once; the state before it is entered on the way, and the write-off clears the account.
    assert states(found) == [("2026-04-01", "current"), ("2026-04-02", "hopeless"), ("2026-04-02", "current")]
    assert [note for note in notes(found) if "mail" in note] == [
        "2026-04-02 mail late",
        "2026-04-02 mail all-clear",
    ]


def test_a_failed_charge_without_automatic_payment() -> None:
    steps = (*SUBSCRIBED, step("2026-04-05", "payment_fails", code="do_not_honor"))
    found = told(*steps, step("2026-04-30", "bill"), account={"auto_pay": False})
    assert tries(found) == [("2026-04-05", "failed", "do_not_honor")]


def test_charges_that_cannot_fail() -> None:
    by_hand: dict[str, Any] = {"account": {"auto_pay": False}}
    assert "nothing is open" in refusal(FIRST, step("2026-04-05", "payment_fails"), **by_hand)
    reason = refusal(*SUBSCRIBED, step("2026-04-05", "payment_fails", code="timeout"), **by_hand)
    assert "the outcome is unknown" in reason


@pytest.mark.parametrize(("price", "charged"), [("0.49", []), ("0.50", [50])])
def test_less_than_the_gateway_s_minimum_is_carried_forward(price: str, charged: list[int]) -> None:
    found = told(step("2026-04-01", "subscribe", plan="news", price_override=price), BILL)
    # law 10
    assert [each["amount"] for each in found["payments"]] == charged


def test_what_is_carried_is_charged_with_the_next_and_is_no_reason_for_dunning() -> None:
    found = told(
        step("2026-04-01", "subscribe", plan="news", price_override="0.49"),
        step("2026-04-01", "bill", to="2026-05-01"),
    )
    assert [each["amount"] for each in found["payments"]] == [98]
    assert [state for _, state in states(found)] == ["current"]
    assert notes(found) == ["2026-04-01 0.49 USD is less than the gateway charges: carried forward"]


def test_a_minimum_of_the_publisher_s_own() -> None:
    found = told(*SUBSCRIBED, policy={"gateway_minimum": {"USD": 3001}})
    assert found["payments"] == []
    assert found["balance"] == 3000


def test_what_is_small_is_dunned_where_it_is_not_charged_automatically() -> None:
    found = told(
        step("2026-04-01", "subscribe", plan="news", price_override="0.49"),
        BILL,
        step("2026-04-02", "bill"),
        account={"auto_pay": False},
    )
    assert states(found)[-1] == ("2026-04-02", "overdue")


def test_a_rest_under_the_minimum_ends_the_retries() -> None:
    found = told(
        FIRST,
        step("2026-04-01", "payment_fails", until="2026-04-01"),
        BILL,
        step("2026-04-01", "credit_note", invoice=1, amount="29.60"),
        step("2026-04-20", "bill"),
    )
    assert len(found["payments"]) == 1
    assert found["balance"] == 40
    assert [note for note in notes(found) if "carried" in note] == [
        "2026-04-02 0.40 USD is less than the gateway charges: carried forward"
    ]


def test_a_void_ends_the_retries() -> None:
    found = told(
        FIRST,
        step("2026-04-01", "payment_fails"),
        BILL,
        step("2026-04-01", "void", invoice=1),
        step("2026-04-03", "bill"),
    )
    # The same month is billed anew and charged.
    assert tries(found)[-1] == ("2026-04-03", "succeeded", None)
    assert found["balance"] == 0
