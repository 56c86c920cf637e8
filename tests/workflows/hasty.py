"""Gateways at which whoever pays, or the gateway itself, is faster than a checkout that gives up."""

from __future__ import annotations

from datetime import timedelta

import httpx

from connectors.sdk.capabilities.payment import ChargeOrder, Payment, VoidOrder
from connectors.sdk.idempotency import native
from connectors.sdk.key import Key
from connectors.stripe.connector import Stripe

DAY = timedelta(hours=23)


class ApprovedJustNow(Stripe):
    """Whoever pays approves while the void is on its way."""

    @native(DAY)
    async def void(self, order: VoidOrder, key: Key) -> Payment:
        async with httpx.AsyncClient() as browser:
            await browser.post(f"{self.config.base_url}/challenge/{order.payment}/approve")
        return await super().void(order, key)


class CapturedAfterAll(Stripe):
    """A capture that was refused is there when the void comes."""

    @native(DAY)
    async def void(self, order: VoidOrder, key: Key) -> Payment:
        async with httpx.AsyncClient(auth=("sk_test_x", "")) as late:
            await late.post(f"{self.config.base_url}/v1/payment_intents/{order.payment}/capture")
        return await super().void(order, key)


class TakesAtOnce(Stripe):
    """A method that is taken where it should have been held."""

    @native(DAY)
    async def charge(self, order: ChargeOrder, key: Key) -> Payment:
        return await super().charge(order.model_copy(update={"capture": True}), key)
