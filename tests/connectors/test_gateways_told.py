"""Random orders under random faults: what was answered, what webhooks tell and what the gateway did are one account.

The gateway's own count is the judge: one charge for what was answered as paid, none for what was not.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from connectors.adyen.connector import Adyen
from connectors.sdk.capabilities.payment_facts import PaymentFact, Standing, standing
from connectors.sdk.testing.case import Bench
from connectors.sdk.testing.faults import HTTP_FAULTS
from connectors.sdk.testing.hub import Carried, carry
from connectors.sdk.testing.suite import bench
from connectors.stripe.connector import Stripe
from masthead.sdk import (
    CaptureOrder,
    ChargeOrder,
    Key,
    Payment,
    PaymentStatus,
    RefundOrder,
    VoidOrder,
)
from masthead.testing import AdyenStandIn, StripeStandIn
from sandbox.adyen.state import LATER

ORDERS = 25
# Those that need no real waiting and end: what is refused for ever, and what stalls, has cells of its own in the kit.
FAULTS = [
    each.name for each in HTTP_FAULTS if each.name not in ("refused", "unauthorized_forever", "slow_headers")
    and not each.name.startswith("stall")
]  # fmt: skip
METHODS = {
    "adyen": ["stored_visa"] * 4 + ["stored_refused", "stored_error", "stored_received", "stored_capture_fails",
              "stored_refund_fails", "stored_disputed", "stored_received_fails"],
    "stripe": ["pm_card_visa"] * 4 + ["pm_card_chargeDeclined", "pm_card_chargeDeclinedLostCard",
               "pm_card_refundFail", "pm_card_createDispute", "pm_card_authenticationRequired"],
}  # fmt: skip


@dataclass
class Order:
    """What was asked for and how each part of it ended."""

    reference: str
    capture: bool
    drawn: list[Any] = field(default_factory=list)
    charge: Carried | None = None
    refunds: dict[str, Carried] = field(default_factory=dict)

    @property
    def paid(self) -> Payment | None:
        return self.charge.answer if self.charge is not None else None


class Run:
    """One seeded run against a bench. What is drawn is kept, so that a failure can be told."""

    def __init__(self, ready: Bench, gateway: str, seed: int) -> None:
        self.bench, self.gateway = ready, gateway
        self.random = random.Random(seed)
        self.orders: list[Order] = []

    async def play(self) -> None:
        for number in range(ORDERS):
            order = Order(f"pay-{number}", self.random.random() < 0.6)
            self.orders.append(order)
            method = self.random.choice(METHODS[self.gateway])
            order.drawn.append(method)
            given = ChargeOrder(
                reference=order.reference,
                amount=1000,
                currency="EUR",
                method=method,
                capture=order.capture,
                customer="acct-1" if self.gateway == "adyen" else None,
            )
            order.charge = await self._carried(order, "charge", given, Key.of("charge", order.reference))
            paid = order.paid
            if paid is None or paid.status not in (PaymentStatus.SUCCEEDED, PaymentStatus.AUTHORIZED):
                continue
            if not order.capture:
                await self._go_on(order, paid)
            if order.capture or self.random.random() < 0.5:
                await self._refund(order, paid)

    async def _go_on(self, order: Order, held: Payment) -> None:
        if self.random.random() < 0.7:
            taken = CaptureOrder(payment=held.id, amount=self.random.choice([None, 600]), known=held)
            await self._carried(order, "capture", taken, Key.of("capture", order.reference))
        else:
            voided = VoidOrder(payment=held.id, known=held)
            await self._carried(order, "void", voided, Key.of("void", order.reference))

    async def _refund(self, order: Order, paid: Payment) -> None:
        for number in range(self.random.randrange(3)):
            reference = f"ref-{order.reference}-{number}"
            amount = self.random.choice([300, 500, 900])
            given = RefundOrder(reference=reference, payment=paid.id, amount=amount, currency="EUR")
            order.refunds[reference] = await self._carried(
                order, "refund", given, Key.of("refund", reference)
            )

    async def _carried(self, order: Order, method: str, given: Any, key: Key) -> Carried:
        fault = self.random.choice([*FAULTS, *[None] * len(FAULTS)])
        order.drawn.append((method, fault))
        if fault is not None:
            self.bench.stand_in.inject(fault)
        return await carry(self.bench.connector, method, given, key, self.bench.clock)

    def judge(self, facts: list[PaymentFact], held: Callable[[str], Standing | None]) -> None:
        """Hold answers and facts against the gateway's own count and books."""
        told = facts + self.random.choices(facts, k=len(facts))
        self.random.shuffle(told)
        for order in self.orders:
            where = f"{order.reference}: {order.drawn}"
            charges = self.bench.stand_in.count("charge", order.reference)
            holds = self.bench.stand_in.count("authorization", order.reference)
            assert charges + (holds if order.capture else 0) <= 1, where
            assert holds <= 1, where
            if order.paid is None:
                assert (charges, holds) == (0, 0), where
                continue
            if order.paid.status is PaymentStatus.FAILED:
                assert (charges, holds) == (0, 0), where
            elif order.capture and order.paid.status is PaymentStatus.SUCCEEDED:
                assert charges == 1, where
            for reference, refund in order.refunds.items():
                counted = self.bench.stand_in.count("refund", reference)
                assert counted <= 1, where
                assert counted == 1 or refund.answer is None or refund.answer.status == "pending", where
            mine = [each for each in told if each.payment == order.paid.id]
            assert standing(mine, captures_itself=order.capture) == held(order.paid.id), where


def told_by_adyen(ready: Bench, stand_in: AdyenStandIn) -> list[PaymentFact]:
    stand_in.catch_up()
    config = ready.connector.config
    return [fact for each in stand_in.told for fact in Adyen.facts(config, each.item)]


@pytest.mark.parametrize("seed", range(5))
async def test_adyen_s_answers_notifications_and_books_agree(seed: int) -> None:
    with AdyenStandIn() as stand_in:
        async with bench(Adyen, stand_in) as ready:
            run = Run(ready, "adyen", seed)
            await run.play()
            ready.clock.advance(2 * LATER)
            facts = told_by_adyen(ready, stand_in)

    def held(id: str) -> Standing:
        paid = stand_in.payments[id]
        mine = [each for each in facts if each.payment == id]
        disputed = sum(
            amount for of, amount, status in stand_in.disputes.values() if of is paid and status != "won"
        )
        status = {
            "refused": PaymentStatus.FAILED,
            "cancelled": PaymentStatus.CANCELED,
            "captured": PaymentStatus.SUCCEEDED,
            "authorised": PaymentStatus.SUCCEEDED if paid.captured else PaymentStatus.AUTHORIZED,
            "capture failed": PaymentStatus.AUTHORIZED if paid.manual else PaymentStatus.FAILED,
        }[paid.status]
        decline = standing(mine, captures_itself=not paid.manual).decline
        return Standing(status, paid.captured, paid.refunded, disputed, decline)

    run.judge(facts, held)


@pytest.mark.parametrize("seed", range(5))
async def test_stripe_s_answers_events_and_books_agree(seed: int) -> None:
    with StripeStandIn() as stand_in:
        async with bench(Stripe, stand_in) as ready:
            run = Run(ready, "stripe", seed)
            await run.play()
            ready.clock.advance(2 * LATER)
            stand_in.catch_up()
            events = list(stand_in.objects["event"].values())
            facts = [fact for each in events for fact in Stripe.facts(ready.connector.config, each)]

    def held(id: str) -> Standing:
        intent = stand_in.objects["payment_intent"][id]
        charge = stand_in.objects["charge"].get(intent["latest_charge"] or "", {})
        disputed = sum(
            each["amount"] for each in stand_in.objects["dispute"].values() if each["payment_intent"] == id
        )
        status = {
            "succeeded": PaymentStatus.SUCCEEDED,
            "requires_capture": PaymentStatus.AUTHORIZED,
            "canceled": PaymentStatus.CANCELED,
            "requires_payment_method": PaymentStatus.FAILED,
        }[intent["status"]]
        mine = [each for each in facts if each.payment == id]
        decline = standing(mine).decline if status is PaymentStatus.FAILED else None
        refunded = charge.get("amount_refunded", 0)
        return Standing(status, intent["amount_received"], refunded, disputed, decline)

    run.judge(facts, held)
