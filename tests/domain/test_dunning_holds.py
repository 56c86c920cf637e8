"""Dunning of an account that others charge: holds, reminders, giving up, and the days on which it has to act."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from domain.account import collecting, holding
from domain.account.days import advance
from domain.account.state import AccountState
from domain.amendments import Refused
from tests.domain.simulation.playing import played, step

OWES = (
    step("2026-04-01", "subscribe", plan="news", name="mine"),
    step("2026-04-01", "bill"),
)


def owing(**policy: object) -> AccountState:
    """One whose card was declined on 1 April 2026, for 30.00 that is due then; from here on others charge it."""
    account = played(
        *OWES,
        account={"currency": "USD", "auto_pay": False},
        **({"policy": policy} if policy else {}),
    ).account
    account.terms = account.terms.model_copy(update={"auto_pay": True})
    collecting.fail(account, "insufficient_funds")
    return account


def on(account: AccountState, day: date) -> None:
    """Let the days pass as for a live account: nobody charges, and dunning looks once a day."""
    while account.today < day:
        since = account.today
        advance(account, account.today + timedelta(days=1), fleet=False)
        collecting.dun(account, since)


def state_of(account: AccountState) -> str:
    return account.dunning[-1][1]


def notes(account: AccountState) -> list[str]:
    return [each.what for each in account.happened if each.kind == "note"]


def test_a_promise_lets_nothing_come_worse_until_its_day_is_over() -> None:
    account = owing()
    on(account, date(2026, 4, 3))
    assert state_of(account) == "overdue"
    holding.hold(account, "promise", date(2026, 4, 20))
    assert collecting.held(account)
    on(account, date(2026, 4, 20))
    assert state_of(account) == "overdue"
    on(account, date(2026, 4, 21))
    assert state_of(account) == "suspended"
    assert not collecting.held(account)


def test_a_pause_lasts_until_it_is_lifted_and_then_the_age_counts() -> None:
    account = owing()
    on(account, date(2026, 4, 2))
    holding.hold(account, "pause", None)
    on(account, date(2026, 4, 12))
    assert state_of(account) == "overdue"
    assert collecting.retry_on(account) is None
    holding.release(account, "pause")
    assert state_of(account) == "restricted"
    assert collecting.retry_on(account) is not None


def test_a_promise_puts_the_next_try_off() -> None:
    account = owing()
    first = collecting.retry_on(account)
    assert first is not None
    holding.hold(account, "promise", date(2026, 4, 20))
    assert collecting.retry_on(account) == date(2026, 4, 21)
    holding.hold(account, "dispute", None)
    assert collecting.retry_on(account) is None
    holding.release(account, None)
    assert collecting.retry_on(account) == first


def test_holds_that_say_nothing_are_refused() -> None:
    account = owing()
    with pytest.raises(Refused, match="names the day"):
        holding.hold(account, "promise", None)
    with pytest.raises(Refused, match="has passed"):
        holding.hold(account, "pause", date(2026, 3, 31))
    with pytest.raises(Refused, match="not held by a dispute"):
        holding.release(account, "dispute")
    with pytest.raises(Refused, match="dunning is not held"):
        holding.release(account, None)
    collecting.pay(account, 3000, account.open_invoices())
    with pytest.raises(Refused, match="nothing is open"):
        holding.hold(account, "pause", None)


def test_a_failed_charge_is_given_up_once_its_tries_are_used_up() -> None:
    account = owing(dunning={"states": [{"name": "current"}], "retry": {"soft": {"days": [1, 3]}}})
    assert collecting.next_look(account) is None
    for day in (2, 4):
        on(account, date(2026, 4, day))
        collecting.fail(account, "insufficient_funds")
    assert account.collecting is not None
    collecting.dun(account, account.today)
    assert account.collecting.given_up
    assert [each for each in notes(account) if each.startswith("payment given up")] == [
        "payment given up: leave unpaid"
    ]
    assert collecting.retry_on(account) is None
    collecting.give_up_when_due(account)
    assert len([each for each in notes(account) if each.startswith("payment given up")]) == 1


def test_a_lost_card_is_reminded_of_and_not_tried() -> None:
    account = owing()
    collecting.fail(account, "lost_card")
    on(account, date(2026, 4, 9))
    assert "mail payment-method-needed" in notes(account)
    assert collecting.retry_on(account) is None


def test_the_next_day_with_something_to_do_is_a_state_or_a_reminder() -> None:
    account = owing()
    days = []
    while (day := collecting.next_look(account)) is not None and len(days) < 12:
        days.append(day)
        on(account, day)
    assert days == sorted(set(days))
    assert date(2026, 4, 2) in days  # overdue
    assert date(2026, 4, 15) in days  # suspended


def test_nothing_is_tried_of_an_account_that_owes_nothing() -> None:
    account = owing()
    collecting.pay(account, 3000, account.open_invoices())
    assert (account.collecting, collecting.retry_on(account)) == (None, None)
    collecting.dun(account, account.today)
    assert state_of(account) == "current"


def test_a_charge_of_what_was_paid_meanwhile_fails_without_collecting() -> None:
    account = owing()
    collecting.pay(account, 3000, account.open_invoices())
    collecting.fail(account, "insufficient_funds", 3000)
    assert account.collecting is None
    assert account.receipts[-1].code == "insufficient_funds"
    with pytest.raises(Refused, match="nothing is open"):
        collecting.fail(account, "insufficient_funds")
