"""A checkout from the cart to a paid invoice, and what is left of one that does not complete."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import httpx
import pytest

from activities.checkout import by_engine
from connectors.avalara.connector import Avalara
from contracts.checkout import CheckoutStatus
from operations.checkout.begin import CannotBegin, KeyReused
from sandbox.avatax.stand_in import AvaTaxStandIn
from tests import single_invoices
from tests.workflows.selling import ACCOUNT, BACK, Shop, open_account, order
from workflows.checkout import CheckoutWorkflow

NOTHING_SOLD = "select count(*) from subscription"


# What the gateway told of the card, so that its payer can be told before it ends.
CARD = "select brand, last4, expires_on > now() from payment_method"


async def test_a_new_reader_buys(shop: Shop) -> None:
    result, row = await shop.sell(order("digital-monthly"))
    assert (result.status, result.kind) == (CheckoutStatus.COMPLETED, None)
    assert (row.status, row.currency, row.total, row.due) == ("completed", "USD", row.due, row.total)
    assert shop.gateway.count("charge") == shop.gateway.count("authorization") == 1
    assert shop.rows("select status, total from invoice") == [("paid", row.total)]
    assert shop.rows("select status, amount, gateway_id from payment") == [
        ("succeeded", row.due, row.gateway_id)
    ]
    assert shop.rows("select count(*) from awaiting_payment") == [(0,)]
    granted = shop.rows("select feature from entitlement_grant where ends_at is null or ends_at > now()")
    assert ("news",) in granted
    assert shop.rows("select name, email from person") == [
        ("Zenobia Quillfeather", "zenobia@quillfeather.example")
    ]
    assert shop.rows("select count(*) from checkout_person") == [(0,)]
    assert shop.rows("select kind from event_log where kind like 'checkout.%%'") == [("checkout.completed",)]
    assert shop.rows("select payment_method, auto_pay from account") == [("pm_card_visa", True)]
    kept = "select connection, method, customer, kind, is_default from payment_method"
    assert shop.rows(kept) == [("cards", "pm_card_visa", None, "card", True)]
    assert shop.rows(CARD) == [("visa", "4242", True)]


async def test_a_declined_card_leaves_nothing(shop: Shop) -> None:
    result, row = await shop.sell(order(card="chargeDeclinedInsufficientFunds"))
    assert (result.status, row.problem_kind) == (CheckoutStatus.DECLINED, "card_declined")
    assert "not enough money" in (row.problem or "")
    for table in ("account", "subscription", "invoice", "person", "checkout_person"):
        assert shop.rows(f"select count(*) from {table}") == [(0,)]


async def test_a_trial_sets_the_card_up_without_a_charge(shop: Shop) -> None:
    result, row = await shop.sell(order("digital-trial"))
    assert (result.status, row.due, row.invoice_id) == (CheckoutStatus.COMPLETED, 0, None)
    assert (shop.gateway.count("setup"), shop.gateway.count("charge")) == (1, 0)
    assert shop.rows("select status, trial_ends_on - starts_on from subscription") == [("trialing", 14)]
    # What the trial is charged by when it ends.
    assert shop.rows("select method, is_default from payment_method") == [("pm_card_visa", True)]
    assert shop.rows(CARD) == [("visa", "4242", True)]


async def test_the_customer_confirms(shop: Shop) -> None:
    handle = await shop.start(order(card="threeDSecure2Required"))
    own = handle.id.partition("/")[2]
    await shop.until("the customer has to act", lambda: shop.row(own).status == "requires_action")
    url = shop.row(own).next_action_url
    assert url is not None
    assert shop.rows(NOTHING_SOLD) == [(0,)]
    async with httpx.AsyncClient() as browser:
        await browser.post(f"{url}/approve")
    await handle.signal(CheckoutWorkflow.confirm, None)
    assert (await handle.result()).status is CheckoutStatus.COMPLETED
    assert shop.row(own).next_action_url is None


async def test_a_customer_who_does_not_come_back(shop: Shop) -> None:
    result, row = await shop.sell(
        order(card="threeDSecure2Required"), action_within=timedelta(seconds=1), looks=(timedelta(seconds=5),)
    )
    assert (result.status, row.problem_kind) == (CheckoutStatus.EXPIRED, "action_expired")
    assert shop.gateway.count("void") == 1
    assert shop.rows(NOTHING_SOLD) == [(0,)]


async def test_a_trial_whose_bank_wants_the_customer(shop: Shop) -> None:
    handle = await shop.start(order("digital-trial", card="authenticationRequired"))
    own = handle.id.partition("/")[2]
    await shop.until("the customer has to act", lambda: shop.row(own).status == "requires_action")
    async with httpx.AsyncClient() as browser:
        await browser.post(f"{shop.row(own).next_action_url}/approve")
    await handle.signal(CheckoutWorkflow.confirm, None)
    assert (await handle.result()).status is CheckoutStatus.COMPLETED
    assert (shop.gateway.count("setup"), shop.gateway.count("charge")) == (1, 0)


async def test_a_customer_who_fails_at_the_bank(shop: Shop) -> None:
    handle = await shop.start(order(card="threeDSecure2Required"))
    own = handle.id.partition("/")[2]
    await shop.until("the customer has to act", lambda: shop.row(own).status == "requires_action")
    async with httpx.AsyncClient() as browser:
        await browser.post(f"{shop.row(own).next_action_url}/fail")
    await handle.signal(CheckoutWorkflow.confirm, None)
    assert (await handle.result()).status is CheckoutStatus.DECLINED
    # Whoever has the bank's page open still cannot make a hold of it.
    assert shop.gateway.count("void") == 1


async def test_what_cannot_be_held_is_charged_last(shop: Shop) -> None:
    method = {"method": "pm_card_visa", "return_url": BACK, "charge": "last"}
    result, row = await shop.sell(order(payment=method))
    assert result.status is CheckoutStatus.COMPLETED
    assert (shop.gateway.count("authorization"), shop.gateway.count("charge")) == (0, 1)
    assert shop.rows("select kind from payment_method") == [("direct_debit",)]
    declined, row = await shop.sell(order(payment=method | {"method": "pm_card_chargeDeclined"}))
    assert declined.status is CheckoutStatus.DECLINED
    # The invoice was final before the charge, and is void after it.
    assert shop.rows("select status from invoice where id = %s", row.invoice_id) == [("void",)]
    assert shop.rows(
        "select status, ends_on - starts_on from subscription where account_id = %s", row.account_id
    ) == [("canceled", 0)]


async def test_several_things_at_once_for_an_account_that_is_there(shop: Shop) -> None:
    _, first = await shop.sell(order())
    items = [
        {"plan": "digital-team", "quantity": 3},
        {"plan": "print-digital"},
        {"plan": "harbor-lights-ebook", "quantity": 2},
        {"plan": "print-weekend"},
    ]
    result, row = await shop.sell(order(account_id=first.account_id, opens=None, buyer=None, items=items))
    assert result.status is CheckoutStatus.COMPLETED, result
    assert len(row.subscription_ids) == 3
    assert shop.rows("select count(*) from account") == [(1,)]
    assert shop.rows("select plan_code, quantity, paid_at is not null from purchase") == [
        ("harbor-lights-ebook", 2, True)
    ]
    assert shop.rows("select status, total from invoice order by number") == [
        ("paid", first.total),
        ("paid", row.total),
    ]
    # Each of four things asks for what may follow; nobody is connected that would do it.
    asked = "select count(*), count(connection) from fulfilment_request where checkout_id = %s"
    assert shop.rows(asked, row.id) == [(12, 0)]


async def test_a_capture_that_is_refused_takes_the_sale_back(shop: Shop) -> None:
    shop.gateway.inject("rejected", path="/v1/payment_intents/*/capture")
    result, _ = await shop.sell(order("digital-monthly", "harbor-lights-ebook"))
    assert (result.status, result.kind) == (CheckoutStatus.DECLINED, "capture_refused")
    assert shop.rows("select status, balance from invoice") == [("void", 0)]
    assert shop.gateway.count("void") == 1
    assert shop.rows("select count(*) from awaiting_payment") == [(1,)]
    assert shop.rows("select count(*) from payment_method") == [(0,)]


async def test_the_last_method_is_the_one_that_is_charged(shop: Shop) -> None:
    _, first = await shop.sell(order())
    for card in ("mastercard", "visa", "mastercard"):
        method = {"method": f"pm_card_{card}", "return_url": BACK}
        again = order(account_id=first.account_id, opens=None, buyer=None, payment=method)
        assert (await shop.sell(again))[0].status is CheckoutStatus.COMPLETED
    kept = "select method, is_default, retired_at from payment_method order by method"
    assert shop.rows(kept) == [("pm_card_mastercard", True, None), ("pm_card_visa", False, None)]


async def test_a_key_of_another_account_is_refused_before_anything_is_held(shop: Shop) -> None:
    shop_key = ACCOUNT | {"external_key": "reader-1"}
    assert (await shop.sell(order(opens=shop_key)))[0].status is CheckoutStatus.COMPLETED
    with pytest.raises(CannotBegin, match="There is an account of that key"):
        await shop.start(order(opens=shop_key))


async def test_books_that_do_not_take_it_give_back_what_is_held(shop: Shop) -> None:
    """The key is taken while the checkout goes on."""
    shop_key = ACCOUNT | {"external_key": "reader-1"}

    async def meanwhile(*_: object) -> None:
        open_account(shop.engine, "reader-1")

    shop.taxes = meanwhile
    result, row = await shop.sell(order(opens=shop_key))
    assert (result.status, result.kind) == (CheckoutStatus.REFUSED, "account_exists")
    assert shop.gateway.effects.count("void", f"checkout:{row.id}") == 1


async def test_an_engine_taxes_a_reader_who_is_not_there_yet(shop: Shop) -> None:
    with AvaTaxStandIn() as engine:
        shop.taxes = by_engine(taxed_by(shop, engine).quotes)
        _, row = await shop.sell(order())
        taxed = shop.rows(
            "select i.tax, d.total, d.code from invoice i join tax_document d on d.invoice_id = i.id"
        )
        assert taxed == [((row.total or 0) - 1200, (row.total or 0) - 1200, "INV-1")]
        # What the engine answered holds an address: it is gone with the checkout.
        assert shop.rows("select count(*) from checkout_person") == [(0,)]
        shop.gateway.inject("rejected", path="/v1/payment_intents/*/capture")
        result, _ = await shop.sell(order())
        assert result.kind == "capture_refused"
        assert shop.rows("select code from tax_document where void_requested_at is not null") == [("INV-2",)]


async def test_a_tax_engine_that_is_away(shop: Shop) -> None:
    with AvaTaxStandIn() as engine:
        shop.taxes = by_engine(taxed_by(shop, engine).quotes)
        engine.inject("unavailable", times=None)
        result, _ = await shop.sell(order())
        assert (result.status, result.kind) == (CheckoutStatus.REFUSED, "tax_unavailable")
        result, _ = await shop.sell(order(opens=ACCOUNT | {"tax_region": None}))
        assert (result.status, result.kind) == (CheckoutStatus.REFUSED, "tax_refused")
    assert shop.gateway.count("authorization") == 0


def taxed_by(shop: Shop, engine: AvaTaxStandIn) -> single_invoices.Shop:
    """The engine behind a connection."""
    return single_invoices.Shop(shop.engine, Avalara, engine)


async def test_the_same_checkout_twice_is_one_sale(shop: Shop) -> None:
    first, second = await asyncio.gather(shop.start(order(), "key-1"), shop.start(order(), "key-1"))
    assert first.id == second.id
    assert (await first.result(), await second.result())[0].status is CheckoutStatus.COMPLETED
    again = await shop.start(order(), "key-1")
    assert (await again.result()).status is CheckoutStatus.COMPLETED
    assert shop.gateway.count("charge") == 1
    with pytest.raises(KeyReused):
        await shop.start(order("digital-yearly"), "key-1")


async def test_nothing_of_a_person_and_no_token_is_in_the_history(shop: Shop) -> None:
    handle = await shop.start(order(card="threeDSecure2Required"))
    own = handle.id.partition("/")[2]
    await shop.until("the customer has to act", lambda: shop.row(own).status == "requires_action")
    await handle.cancel()
    assert (await handle.result()).status is CheckoutStatus.CANCELED
    history = (await handle.fetch_history()).to_json()
    for secret in ("Quillfeather", "quillfeather.example", "pm_card", "challenge", "shop.example"):
        assert secret not in history
