"""What a checkout writes into an account: subscriptions and purchases on one invoice."""

from __future__ import annotations

import pytest

from domain.account.buying import CartItem, buy, never_started
from domain.account.lifecycle import state
from domain.account.state import AccountState
from domain.amendments import Refused
from domain.subscriptions import State
from tests.domain.simulation.playing import played, step


def fresh() -> AccountState:
    """One that has nothing on 1 April 2026, and is taxed at a tenth."""
    found = played(
        step("2026-04-01", "move_time_zone", timezone="UTC"),
        account={"currency": "USD", "auto_pay": False, "tax": {"region": "XX"}},
    )
    return found.account


def test_a_cart_is_one_invoice() -> None:
    found = fresh()
    bought = buy(found, [CartItem(plan="news"), CartItem(plan="book", quantity=2)], "cart")
    assert bought.subscriptions == ("cart-1",)
    assert [(each.plan, each.quantity) for each in bought.purchases] == [("book", 2)]
    assert bought.invoice is not None
    charges = [(line.kind, line.amount) for line in bought.invoice.lines if line.kind != "tax"]
    assert charges == [("recurring", 3000), ("one_time", 900)]
    assert bought.due == 3900 + 390


def test_a_trial_owes_nothing_now() -> None:
    bought = buy(fresh(), [CartItem(plan="trial", name="mine")], "cart")
    assert (bought.subscriptions, bought.invoice, bought.due) == (("mine",), None, 0)


def test_what_cannot_be_sold() -> None:
    with pytest.raises(Refused, match="nothing in the cart"):
        buy(fresh(), [], "cart")
    with pytest.raises(Refused, match="takes no add-ons"):
        buy(fresh(), [CartItem(plan="book", name="mine")], "cart")


def test_the_tax_may_be_given() -> None:
    found = fresh()
    bought = buy(found, [CartItem(plan="news")], "cart", lambda draft: None)
    assert bought.due == 3000


def test_what_never_started_ends_on_its_first_day() -> None:
    found = fresh()
    (name,) = buy(found, [CartItem(plan="news")], "cart").subscriptions
    never_started(found, found.subscription(name))
    never_started(found, found.subscription(name))
    assert state(found.subscription(name), found.today) is State.CANCELED
