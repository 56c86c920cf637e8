"""Whoever pays, or the gateway, is faster than a checkout that gives up: money that was taken is never forgotten."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from connectors.sdk.capabilities.payment import ChargeOrder, Payment
from connectors.sdk.idempotency import native
from connectors.sdk.key import Key
from contracts.checkout import CheckoutStatus
from tests.workflows.hasty import DAY, ApprovedJustNow, CapturedAfterAll, TakesAtOnce
from tests.workflows.selling import ACCOUNT, BACK, Shop, open_account, order

S = CheckoutStatus
CAPTURE = "/v1/payment_intents/*/capture"
LAST = {"method": "pm_card_threeDSecure2Required", "return_url": BACK, "charge": "last"}
SHORT: dict[str, Any] = {"action_within": timedelta(seconds=0.5), "looks": (timedelta(seconds=5),)}


async def test_a_payment_confirmed_in_the_moment_in_which_it_expires_completes_the_sale(shop: Shop) -> None:
    shop.connector = ApprovedJustNow
    result, row = await shop.sell(order(payment=LAST), **SHORT)
    assert (result.status, row.status, row.problem_kind) == (S.COMPLETED, "completed", None)
    assert (shop.gateway.count("charge"), shop.gateway.count("void")) == (1, 0)
    assert shop.rows("select status from invoice") == [("paid",)]
    # The void that was refused is no work for a person any more.
    assert shop.rows("select resolution from parked") == [("withdrawn",)]


async def test_a_hold_confirmed_in_that_moment_is_given_back(shop: Shop) -> None:
    shop.connector = ApprovedJustNow
    result, _ = await shop.sell(order(card="threeDSecure2Required"), **SHORT)
    assert (result.status, result.kind) == (S.EXPIRED, "action_expired")
    assert (shop.gateway.count("authorization"), shop.gateway.count("void")) == (1, 1)


async def test_a_capture_that_was_made_though_it_was_refused_completes_the_sale(shop: Shop) -> None:
    shop.connector = CapturedAfterAll
    shop.gateway.inject("rejected", path=CAPTURE)
    result, row = await shop.sell(order())
    assert (result.status, row.problem_kind) == (S.COMPLETED, None)
    assert shop.gateway.count("charge") == 1
    assert shop.rows("select status from invoice") == [("paid",)]


async def test_what_is_taken_at_once_is_not_taken_again(shop: Shop) -> None:
    shop.connector = TakesAtOnce
    result, _ = await shop.sell(order())
    assert result.status is S.COMPLETED
    assert shop.gateway.count("charge") == 1
    assert shop.rows("select count(*) from connector_call where method = 'payment.capture'") == [(0,)]


async def test_what_is_taken_for_a_sale_that_the_books_refuse_is_refunded(shop: Shop) -> None:
    class AndTheKeyIsTakenMeanwhile(TakesAtOnce):
        @native(DAY)
        async def charge(self, order: ChargeOrder, key: Key) -> Payment:
            open_account(shop.engine, "reader-1")
            return await super().charge(order, key)

    shop.connector = AndTheKeyIsTakenMeanwhile
    result, row = await shop.sell(order(opens=ACCOUNT | {"external_key": "reader-1"}))
    assert (result.status, result.kind) == (S.REFUSED, "account_exists")
    refunded = shop.gateway.effects.of("refund", f"checkout:{row.id}:refund")
    assert [each.detail["amount"] for each in refunded] == [row.due]
