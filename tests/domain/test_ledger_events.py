"""The entry of each event, as finance would write it by hand, and what is refused (law I1)."""

from __future__ import annotations

import re
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ledger import CHART, Unbalanced, settle
from domain.ledger_events import ENTRIES, Entry, EntryRefused, Event, entry, trial_balance
from domain.money import MoneyError
from domain.rating import Line
from tests.domain.books import line

DAY = date(2026, 3, 5)


def booked(event: str, amounts: dict[str, int], currency: str = "EUR") -> Entry:
    return entry(event, amounts, document="doc-1", document_date=DAY, currency=currency)


# Event, its amounts, and the entry: account → debit, or credit where negative.
CASES: list[tuple[Event, dict[str, int], dict[str, int]]] = [
    (
        Event.INVOICE_FINALISED,
        {"receivable": 1190, "deferred": 700, "revenue": 300, "tax": 190},
        {"accounts_receivable": 1190, "deferred_revenue": -700, "revenue": -300, "tax_payable": -190},
    ),
    # More credited than charged turns every side round.
    (
        Event.INVOICE_FINALISED,
        {"receivable": -119, "deferred": -100, "tax": -19},
        {"accounts_receivable": -119, "deferred_revenue": 100, "tax_payable": 19},
    ),
    # A charge and a credit of the same amount owe nothing, and yet move revenue.
    (
        Event.INVOICE_FINALISED,
        {"receivable": 0, "deferred": 1000, "revenue": -1000},
        {"deferred_revenue": -1000, "revenue": 1000},
    ),
    # law 9: a void reaches tax and ledger; half of the time was recognised, credit had been used, a part written off.
    (
        Event.INVOICE_VOIDED,
        {
            "receivable": 690,
            "account_credit": 400,
            "bad_debt": 100,
            "deferred": 500,
            "revenue": 500,
            "tax": 190,
        },
        {
            "deferred_revenue": 500,
            "revenue": 500,
            "tax_payable": 190,
            "accounts_receivable": -690,
            "account_credit": -400,
            "bad_debt": -100,
        },
    ),
    (
        Event.INVOICE_VOIDED,
        {"receivable": 5000, "gift": 5000},
        {"gift_liability": 5000, "accounts_receivable": -5000},
    ),
    (
        Event.INVOICE_VOIDED,
        {"receivable": -119, "deferred": -100, "tax": -19},
        {"deferred_revenue": -100, "tax_payable": -19, "accounts_receivable": 119},
    ),
    (
        Event.INVOICE_CREDIT_RELEASED,
        {"receivable": 119, "account_credit": 100, "refund": 19},
        {"accounts_receivable": 119, "account_credit": -100, "refunds_payable": -19},
    ),
    # The gateway keeps 30 of 1200 back: 1170 will be paid out.
    (
        Event.PAYMENT_SUCCEEDED,
        {"clearing": 1200, "receivable": 1190, "account_credit": 10, "fee": 30},
        {
            "payments_in_clearing": 1170,
            "payment_fees": 30,
            "accounts_receivable": -1190,
            "account_credit": -10,
        },
    ),
    (
        Event.PAYMENT_SUCCEEDED,
        {"cash": 1190, "receivable": 1190},
        {"cash": 1190, "accounts_receivable": -1190},
    ),
    (
        Event.PAYMENT_RETURNED,
        {"clearing": 1200, "receivable": 1190, "account_credit": 10, "fee": 300},
        {
            "accounts_receivable": 1190,
            "account_credit": 10,
            "payment_fees": 300,
            "payments_in_clearing": -1500,
        },
    ),
    (Event.PAYMENT_RETURNED, {"cash": 7, "receivable": 7}, {"accounts_receivable": 7, "cash": -7}),
    (
        Event.PAYMENT_RETURNED,
        {"cash": 40, "receivable": 30, "breakage": 10},
        {"accounts_receivable": 30, "breakage_revenue": 10, "cash": -40},
    ),
    (Event.DISPUTE_FEE_KEPT, {"fee": 1500}, {"dispute_fees": 1500, "payments_in_clearing": -1500}),
    (Event.DISPUTE_FEE_RETURNED, {"fee": 1500}, {"dispute_fees": -1500, "payments_in_clearing": 1500}),
    (Event.PAYOUT_RECEIVED, {"amount": 1170}, {"cash": 1170, "payments_in_clearing": -1170}),
    (
        Event.REFUND_PAID,
        {"refund": 500, "clearing": 500, "fee": 10},
        {"refunds_payable": 500, "payment_fees": 10, "payments_in_clearing": -510},
    ),
    (Event.REFUND_PAID, {"receivable": 500, "cash": 500}, {"accounts_receivable": 500, "cash": -500}),
    (
        Event.REFUND_FAILED,
        {"refund": 500, "clearing": 300, "cash": 200},
        {"payments_in_clearing": 300, "cash": 200, "refunds_payable": -500},
    ),
    # law 5: a credit note takes its tax back.
    (
        Event.CREDIT_NOTE_ISSUED,
        {
            "deferred": 600,
            "revenue": 400,
            "tax": 190,
            "receivable": 1000,
            "account_credit": 100,
            "refund": 90,
        },
        {
            "deferred_revenue": 600,
            "revenue": 400,
            "tax_payable": 190,
            "accounts_receivable": -1000,
            "account_credit": -100,
            "refunds_payable": -90,
        },
    ),
    # What was written off of the invoice is credited instead: it is no bad debt any more.
    (
        Event.CREDIT_NOTE_ISSUED,
        {"revenue": 1000, "tax": 190, "bad_debt": 1190},
        {"revenue": 1000, "tax_payable": 190, "bad_debt": -1190},
    ),
    (
        Event.CREDIT_NOTE_ISSUED,
        {"gift": 5000, "refund": 5000},
        {"gift_liability": 5000, "refunds_payable": -5000},
    ),
    (
        Event.DELIVERY_CREDITED,
        {"deferred": 250, "tax": 18, "account_credit": 268},
        {"deferred_revenue": 250, "tax_payable": 18, "account_credit": -268},
    ),
    (Event.DELIVERY_CREDITED, {"revenue": 250, "refund": 250}, {"revenue": 250, "refunds_payable": -250}),
    (Event.ACCOUNT_CREDIT_GRANTED, {"amount": 500}, {"goodwill": 500, "account_credit": -500}),
    (Event.ACCOUNT_CREDIT_USED, {"amount": 500}, {"account_credit": 500, "accounts_receivable": -500}),
    (
        Event.ACCOUNT_CREDIT_REFUNDED,
        {"account_credit": 500, "clearing": 400, "cash": 100, "fee": 5},
        {"account_credit": 500, "payment_fees": 5, "payments_in_clearing": -405, "cash": -100},
    ),
    (Event.ACCOUNT_CREDIT_EXPIRED, {"amount": 500}, {"account_credit": 500, "breakage_revenue": -500}),
    (
        Event.INVOICE_WRITTEN_OFF,
        {"bad_debt": 800, "deferred": 200, "tax": 190, "receivable": 1190},
        {"bad_debt": 800, "deferred_revenue": 200, "tax_payable": 190, "accounts_receivable": -1190},
    ),
    (
        Event.INVOICE_WRITTEN_OFF,
        {"bad_debt": 1190, "receivable": 1190},
        {"bad_debt": 1190, "accounts_receivable": -1190},
    ),
    (
        Event.WRITE_OFF_RECOVERED,
        {"clearing": 600, "cash": 50, "bad_debt": 500, "tax": 95, "account_credit": 55, "fee": 9},
        {
            "payments_in_clearing": 591,
            "cash": 50,
            "payment_fees": 9,
            "bad_debt": -500,
            "tax_payable": -95,
            "account_credit": -55,
        },
    ),
    (
        Event.DISPUTE_OPENED,
        {"amount": 1190, "fee": 1500},
        {"payments_in_dispute": 1190, "dispute_fees": 1500, "payments_in_clearing": -2690},
    ),
    (
        Event.DISPUTE_WON,
        {"amount": 1190, "fee": 1500},
        {"payments_in_clearing": 2690, "payments_in_dispute": -1190, "dispute_fees": -1500},
    ),
    (Event.DISPUTE_WON, {"amount": 1190}, {"payments_in_clearing": 1190, "payments_in_dispute": -1190}),
    (
        Event.DISPUTE_LOST,
        {"receivable": 1000, "loss": 190, "disputed": 1190, "fee": 1500},
        {
            "accounts_receivable": 1000,
            "dispute_losses": 190,
            "dispute_fees": 1500,
            "payments_in_dispute": -1190,
            "payments_in_clearing": -1500,
        },
    ),
    (
        Event.GIFT_SOLD,
        {"receivable": 5350, "gift": 5000, "tax": 350},
        {"accounts_receivable": 5350, "gift_liability": -5000, "tax_payable": -350},
    ),
    (
        Event.GIFT_REDEEMED,
        {"gift": 5350, "deferred": 4000, "account_credit": 1000, "tax": 350},
        {"gift_liability": 5350, "deferred_revenue": -4000, "account_credit": -1000, "tax_payable": -350},
    ),
    (Event.REFUND_RELEASED, {"amount": 900}, {"refunds_payable": 900, "account_credit": -900}),
    (Event.GIFT_EXPIRED, {"amount": 5000}, {"gift_liability": 5000, "breakage_revenue": -5000}),
    (Event.REVENUE_RECOGNISED, {"amount": 310}, {"deferred_revenue": 310, "revenue": -310}),
]


@pytest.mark.parametrize(("event", "amounts", "books"), CASES)
def test_the_entry_of_an_event(event: Event, amounts: dict[str, int], books: dict[str, int]) -> None:
    made = booked(event, amounts)
    assert {each.account: each.debit - each.credit for each in made.postings} == books
    assert len(made.postings) == len(books)
    assert all(min(each.debit, each.credit) == 0 for each in made.postings)
    assert made.moved("accounts_receivable") == books.get("accounts_receivable", 0)


def test_every_event_has_a_rule_and_every_part_of_a_rule_its_case() -> None:
    assert set(ENTRIES) == set(Event)
    for event, rule in ENTRIES.items():
        parts = {part for part, _ in (*rule.debits, *rule.credits)}
        shown: set[str] = set()
        for each, amounts, _ in CASES:
            shown |= set(amounts) if each is event else set()
        assert shown == parts, event
        assert {part for group in rule.needs for part in group} <= parts
        assert rule.meaning.endswith(".")


def test_the_rules_post_to_the_chart_and_use_all_of_it() -> None:
    used = {account for rule in ENTRIES.values() for _, account in (*rule.debits, *rule.credits)}
    assert used == {account.code for account in CHART}


def test_an_entry_keeps_what_it_was_made_of() -> None:
    made = entry(
        "payout_received",
        {"amount": 5},
        document="po-7",
        document_date=DAY,
        currency="JPY",
        posted_on=date(2026, 4, 1),
    )
    assert (made.event, made.document, made.document_date, made.posted_on, made.currency) == (
        Event.PAYOUT_RECEIVED,
        "po-7",
        DAY,
        date(2026, 4, 1),
        "JPY",
    )
    assert booked("payout_received", {"amount": 5}).posted_on == DAY
    assert booked("payout_received", {"amount": 0}).postings == ()


@pytest.mark.parametrize(
    ("event", "amounts", "message"),
    [
        (
            "invoice_paid",
            {},
            "no entry is laid down for 'invoice_paid'; there is one for: invoice_finalised, ",
        ),
        ("payout_received", {"cash": 5}, "payout_received has no part 'cash'; its parts are: amount"),
        ("payout_received", {"amount": -1}, "amount of payout_received is -1: no part may be negative"),
        ("payout_received", {}, "payout_received lacks a part: give amount"),
        ("payment_succeeded", {"fee": 30}, "payment_succeeded lacks a part: give clearing or cash"),
        ("payment_succeeded", {"cash": 30}, "lacks a part: give receivable or account_credit"),
        ("credit_note_issued", {"refund": 0}, "give deferred or revenue or tax or gift"),
    ],
)
def test_what_makes_no_entry_is_refused(event: str, amounts: dict[str, int], message: str) -> None:
    with pytest.raises(EntryRefused, match=re.escape(message)):
        booked(event, amounts)


@pytest.mark.parametrize("amount", [5.0, True, "5"])
def test_amounts_are_whole_minor_units(amount: object) -> None:
    with pytest.raises(EntryRefused, match="give whole minor units"):
        booked("payout_received", {"amount": amount})  # type: ignore[dict-item]


def test_an_entry_names_its_document_and_a_currency_of_this_world() -> None:
    with pytest.raises(EntryRefused, match="names no document"):
        entry("payout_received", {"amount": 5}, document="", document_date=DAY, currency="EUR")
    with pytest.raises(MoneyError, match="ISO 4217"):
        booked("payout_received", {"amount": 5}, currency="euro")


@pytest.mark.parametrize("apart", [-1, 1])
def test_amounts_that_do_not_add_up_are_refused(apart: int) -> None:
    # law I1
    with pytest.raises(Unbalanced, match=f"differ by {-apart} minor units"):
        booked("invoice_finalised", {"receivable": 1190, "deferred": 1000 + apart, "tax": 190})


def test_the_trial_balance_sums_accounts_by_currency() -> None:
    # law I1: per currency and over all
    books = trial_balance(
        [
            booked("payment_succeeded", {"cash": 700, "receivable": 700}),
            booked("payment_succeeded", {"cash": 300, "receivable": 300}),
            booked("payment_succeeded", {"cash": 5, "account_credit": 5}, currency="JPY"),
        ]
    )
    assert books == {
        "EUR": {"cash": 1000, "accounts_receivable": -1000},
        "JPY": {"cash": 5, "account_credit": -5},
    }
    assert trial_balance([]) == {}


KINDS = ["recurring", "usage", "one_time", "minimum", "adjustment", "unused_credit", "delivery_credit"]


@given(
    st.lists(st.tuples(st.integers(-(10**9), 10**9), st.sampled_from(KINDS)), max_size=6),
    st.integers(-(10**6), 10**6),
)
def test_settling_lines_and_the_table_make_the_same_entry(kinds: list[tuple[int, str]], tax: int) -> None:
    lines: list[Line] = [line(amount, kind) for amount, kind in kinds]
    lines += [line(tax, "tax", 0)] if lines else []
    total = sum(each.amount for each in lines)
    over_time = {"recurring", "unused_credit", "delivery_credit"}
    amounts = {
        "receivable": total,
        "deferred": sum(amount for amount, kind in kinds if kind in over_time),
        "revenue": sum(amount for amount, kind in kinds if kind not in over_time),
        "tax": tax if lines else 0,
    }
    assert booked("invoice_finalised", amounts).postings == tuple(settle(lines)[2])


def _halves(draw: st.DrawFn, total: int, parts: list[str]) -> dict[str, int]:
    """`total` over `parts`, cut at random."""
    cuts = sorted(draw(st.integers(0, total)) for _ in parts[1:])
    return {part: b - a for part, a, b in zip(parts, [0, *cuts], [*cuts, total], strict=True)}


@st.composite
def happenings(draw: st.DrawFn) -> tuple[Event, dict[str, int]]:
    """Any event with any amounts that add up."""
    event = draw(st.sampled_from(Event))
    rule = ENTRIES[event]
    debits, credits = [part for part, _ in rule.debits], [part for part, _ in rule.credits]
    both = [part for part in debits if part in credits]
    amounts = {part: draw(st.integers(0, 10**6)) for part in both}
    total = draw(st.integers(0, 10**9))
    for side in (debits, credits):
        single = [part for part in side if part not in both]
        amounts |= _halves(draw, total, single) if single else {}
    return event, amounts


@given(happenings())
def test_every_events_entry_balances(happening: tuple[Event, dict[str, int]]) -> None:
    # law I1
    made = booked(*happening)
    assert sum(each.debit for each in made.postings) == sum(each.credit for each in made.postings)
    accounts = [each.account for each in made.postings]
    assert len(set(accounts)) == len(accounts)
    assert all(each.debit >= 0 and each.credit >= 0 and each.debit != each.credit for each in made.postings)
