"""A shop whose gateway cannot be asked: Adyen's stand-in, and the inbox that its notifications reach."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from temporalio.service import RPCError

from connectors.adyen.config import AdyenConfig
from connectors.adyen.connector import Adyen
from connectors.sdk.memory import memory_context
from contracts.checkout import CheckoutStatus
from operations.checkout.told import keep_and_wake
from operations.webhooks_in.apply import apply_batch
from operations.webhooks_in.handlers import WebhookHandlers
from runtime.sellers import reading
from sandbox.adyen.stand_in import AdyenStandIn
from storage.database import libpq_url
from storage.inbound_endpoints import InboundEndpoint
from tests.operations.webhooks_in.inbox import Told, make_endpoint, put
from tests.workflows.selling import BACK, Shop, order
from workflows.checkout_starts import CheckoutHandle

NAME = "adyen"


def url_of(shop: Shop) -> str:
    """The shop's database."""
    return libpq_url(shop.engine.url.render_as_string(hide_password=False))


class AdyenShop:
    """A shop whose gateway is the stand-in, and the inbox that its notifications reach."""

    def __init__(self, shop: Shop, stand_in: AdyenStandIn, endpoint: InboundEndpoint) -> None:
        self.shop = shop
        self.stand_in = stand_in
        self._endpoint = endpoint
        self._handlers = WebhookHandlers(keep_and_wake)
        self._delivered = 0

    async def start(self, method: str = "stored_visa", **more: Any) -> CheckoutHandle:
        """A checkout with a stored card, or another method."""
        patience = {key: more.pop(key) for key in ("action_within", "looks") if key in more}
        payment = {"method": method, "customer": "shopper-1", "return_url": BACK, **more}
        return await self.shop.start(order(payment=payment), **patience)

    async def told(self) -> None:
        """What the stand-in has told since: into the inbox, applied, and whoever waits for it woken."""
        new, self._delivered = self.stand_in.told[self._delivered :], len(self.stand_in.told)
        deliveries = [
            Told(
                f"{each.item['eventCode']}:{each.item['pspReference']}",
                each.item["originalReference"] or each.item["pspReference"],
                self._delivered + place,
                each.item["eventCode"],
                json.dumps(each.item).encode(),
            )
            for place, each in enumerate(new)
        ]
        put(url_of(self.shop), self._endpoint, deliveries)
        applied = apply_batch(self.shop.engine, self._endpoint, self._handlers)
        for signal in applied.signals:
            with suppress(RPCError):
                await self.shop.client.get_workflow_handle(signal.workflow_id).signal(
                    signal.name, signal.argument
                )

    async def ended(self, handle: CheckoutHandle) -> CheckoutStatus:
        """How it ends, its gateway telling what it has to tell."""
        result = asyncio.create_task(handle.result())
        async with asyncio.timeout(60):
            while not result.done():
                await self.told()
                await asyncio.wait([result], timeout=0.1)
        assert await self.shop.replay(handle) == 1
        return result.result().status

    def count(self, kind: str) -> int:
        """Effects of a kind at the gateway."""
        return self.stand_in.count(kind)


@contextmanager
def adyen_shop(shop: Shop, name: str = NAME) -> Iterator[AdyenShop]:
    """`shop` with such a gateway, as the connection `name`; afterwards it uses what it used before."""
    before = shop.uses, shop.sets_up, shop.told_by
    with AdyenStandIn() as stand_in:
        config = AdyenConfig.model_validate(
            {**Adyen.sandbox_config(stand_in.url), "api_key": "env:ADYEN_KEY"}
        )
        context = memory_context(name, secrets={"ADYEN_KEY": "key"}, timeout=2.0)
        shop.others[name] = Adyen(config, context)
        shop.gateways[name] = stand_in
        shop.uses, shop.sets_up = name, False
        shop.told_by = lambda asked: reading(Adyen, config) if asked == name else None
        yield AdyenShop(shop, stand_in, make_endpoint(url_of(shop), name))
        shop.uses, shop.sets_up, shop.told_by = before
