"""The stories of checkouts, as `record` plays them: against the gateway's stand-in on a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
from temporalio.client import WorkflowHandle

from activities.checkout import built_in
from connectors.sdk.connector import Connector
from connectors.sdk.memory import memory_context
from connectors.stripe.connector import Stripe
from contracts.names import TASK_QUEUE, subscription_id
from contracts.parked import RESOLVE, Action, Resolve
from contracts.subscription import EpisodeRequest
from operations.checkout.begin import Order
from sandbox.reference.stand_in import ReferenceStandIn
from storage.database import transaction
from tests.activities.acme import Opener
from tests.operations.fulfilment.parcels import SERVICES
from tests.workflows.adyen_shop import adyen_shop
from tests.workflows.hasty import ApprovedJustNow, TakesAtOnce
from tests.workflows.selling import BACK, GATEWAY, Shop, order
from workflows.checkout import CheckoutWorkflow
from workflows.subscription import SubscriptionWorkflow

Handle = WorkflowHandle[Any, Any]

CAPTURE = "/v1/payment_intents/*/capture"
LAST = {"method": "pm_card_visa", "return_url": BACK, "charge": "last"}


class CheckoutStories:
    """Each method plays one story to its end. others: who opens the connections of other stories."""

    def __init__(self, shop: Shop, others: Opener) -> None:
        self._shop = shop
        self._others = others
        self._provisioner: str | None = None

    async def open(self, name: str, /) -> Connector[Any]:
        """A connection of any story."""
        own = name == GATEWAY or name in self._shop.others
        return await (self._shop.open(name) if own else self._others(name))

    def provisioner(self, mode: str) -> str | None:
        """Who provides access, in the story that is about it."""
        return self._provisioner

    def activities(self) -> list[Callable[..., Any]]:
        """Those of checkouts."""
        return self._shop.activities()

    async def checkout(self) -> Handle:
        """A sale."""
        return await self._shop.start(order())

    async def checkout_fulfilled(self) -> Handle:
        """Licences are asked for, as calls of their own."""
        with ReferenceStandIn() as stand_in:
            kind = SERVICES["licences"]
            config = kind.Config.model_validate(kind.sandbox_config(stand_in.url))
            context = memory_context("licences", secrets={"SANDBOX_SECRET": "sandbox"})
            self._shop.others = {"licences": kind(config, context)}
            self._shop.fulfilled_by = {"drm": "licences"}
            handle = await self._shop.start(order("harbor-lights-ebook", "quarterdeck"))
            await handle.result()
            given = lambda: stand_in.count("grant") == 2  # noqa: E731
            await self._shop.until("both licences are given", given)
            self._shop.fulfilled_by = {}
        return handle

    async def subscription_provided(self) -> Handle:
        """What was sold is brought to the identity system, as a call of its own."""
        sale = await self._shop.start(order())
        await sale.result()
        ((own,),) = self._shop.rows(
            "select unnest(subscription_ids)::text from checkout where id = %s", sale.id.partition("/")[2]
        )
        self._provisioner = "users"
        handle = await self._shop.client.start_workflow(
            SubscriptionWorkflow.run,
            EpisodeRequest(subscription_id=own),
            id=subscription_id(own),
            task_queue=TASK_QUEUE,
        )
        await handle.result()
        called = "select status from connector_call where connection = 'users' and status = 'succeeded'"
        await self._shop.until("access is provided", lambda: self._shop.rows(called))
        self._provisioner = None
        return handle

    async def checkout_trial(self) -> Handle:
        """Nothing is due: the card is set up."""
        return await self._shop.start(order("digital-trial"))

    async def checkout_charged_last(self) -> Handle:
        """A method that cannot be held."""
        return await self._shop.start(order(payment=LAST))

    async def checkout_declined(self) -> Handle:
        """The bank says no."""
        return await self._shop.start(order(card="chargeDeclined"))

    async def checkout_refused(self) -> Handle:
        """The gateway does not know the method."""
        return await self._shop.start(order(payment={"method": "pm_unknown", "return_url": BACK}))

    async def checkout_confirmed(self) -> Handle:
        """The customer goes to the bank and comes back."""
        handle = await self.acting()
        await self._approve(handle)
        return handle

    async def checkout_trial_confirmed(self) -> Handle:
        """The customer goes to the bank for a card that is set up."""
        handle = await self.acting(order("digital-trial", card="authenticationRequired"))
        await self._approve(handle)
        return handle

    async def checkout_expired(self) -> Handle:
        """The customer does not come back."""
        return await self._shop.start(
            order(card="threeDSecure2Required"),
            action_within=timedelta(seconds=20),
            looks=(timedelta(seconds=9),),
        )

    async def checkout_canceled(self) -> Handle:
        """The customer gives up at the bank."""
        handle = await self.acting()
        await handle.cancel()
        return handle

    async def checkout_capture_refused(self) -> Handle:
        """The gateway does not take what it holds: the sale is taken back."""
        self._shop.gateway.inject("rejected", path=CAPTURE)
        return await self._shop.start(order())

    async def checkout_stuck(self) -> Handle:
        """The gateway takes no key for the capture until a person has seen to it."""
        self._shop.gateway.inject("unauthorized_once", path=CAPTURE)
        handle = await self._shop.start(order())
        own = handle.id.partition("/")[2]
        await self._shop.until("it is stuck", lambda: self._shop.row(own).park_id)
        decision = Resolve(action=Action.RETRY, actor="recorder", reason="to be recorded")
        async with asyncio.timeout(20):
            await handle.execute_update(RESOLVE, decision)
        return handle

    async def checkout_gateway_away(self) -> Handle:
        """The gateway takes no key at all: the checkout gives up, for surely nothing was done."""
        self._shop.gateway.inject("unauthorized_once", path="/v1/payment_intents")
        return await self._shop.start(order(), authorise_within=timedelta(seconds=2))

    async def checkout_taken_after_all(self) -> Handle:
        """The customer confirms in the moment in which the sale is given up: it completes."""
        self._shop.connector = ApprovedJustNow
        payment = {**LAST, "method": "pm_card_threeDSecure2Required"}
        return await self._patiently(order(payment=payment))

    async def checkout_refunded(self) -> Handle:
        """What was taken at once for a sale that the books refuse is given back."""
        self._shop.connector = TakesAtOnce
        self._shop.taxes = self._somebody_else_opens_it
        handle = await self._patiently(order(opens={"currency": "USD", "external_key": "taken-meanwhile"}))
        self._shop.taxes = built_in
        return handle

    async def _somebody_else_opens_it(self, *_: object) -> None:
        with transaction(self._shop.engine) as connection:
            connection.execute(
                "insert into account (id, mode, external_key, currency, time_zone, locale)"
                " values (gen_random_uuid(), 'live', 'taken-meanwhile', 'USD', 'UTC', 'en')"
            )

    async def checkout_void_refused(self) -> Handle:
        """The gateway does not give back what it holds at once."""
        self._shop.gateway.inject("rejected", path="/v1/payment_intents/*/cancel")
        return await self._patiently(order(card="threeDSecure2Required"))

    async def checkout_much_told(self) -> Handle:
        """News come faster than the gateway is asked."""
        handle = await self.acting()
        own = handle.id.partition("/")[2]
        asked = "select count(*) from connector_call where method = 'payment.find' and key like %s"
        for looks in (1, 2):
            await handle.signal(CheckoutWorkflow.confirm, None)
            await self._shop.until(
                "it asked", lambda n=looks: self._shop.rows(asked, f"checkout:{own}:%")[0][0] >= n
            )
        await self._approve(handle)
        return handle

    async def checkout_withdrawn(self) -> Handle:
        """As when the gateway is away; what was withdrawn before it was sent is not asked for."""
        return await self.checkout_gateway_away()

    async def checkout_held_slowly(self) -> Handle:
        """The bank takes its time over the hold, and the gateway cannot be asked: it tells."""
        with adyen_shop(self._shop, "slow-cards") as slow:
            handle = await slow.start("stored_pending")
            own = handle.id.partition("/")[2]
            await self._shop.until("it is pending", lambda: self._shop.row(own).gateway_id)
            slow.stand_in.advance(timedelta(days=5))
            await slow.told()
            await self._shop.until("it captures", lambda: slow.count("charge") == 1)
            await slow.told()
            await handle.result()
        return handle

    def stories(self) -> dict[str, Callable[[], Awaitable[Handle]]]:
        """All of them."""
        told = (
            self.checkout,
            self.checkout_trial,
            self.checkout_charged_last,
            self.checkout_declined,
            self.checkout_refused,
            self.checkout_confirmed,
            self.checkout_trial_confirmed,
            self.checkout_expired,
            self.checkout_canceled,
            self.checkout_capture_refused,
            self.checkout_stuck,
            self.checkout_gateway_away,
            self.checkout_taken_after_all,
            self.checkout_refunded,
            self.checkout_void_refused,
            self.checkout_much_told,
            self.checkout_fulfilled,
            self.subscription_provided,
            self.checkout_withdrawn,
            self.checkout_held_slowly,
        )
        return {story.__name__: story for story in told}

    async def _patiently(self, asked: Order) -> Handle:
        patience: dict[str, Any] = {
            "action_within": timedelta(seconds=20),
            "looks": (timedelta(seconds=9),),
        }
        handle = await self._shop.start(asked, **patience)
        await handle.result()
        self._shop.connector = Stripe
        return handle

    async def acting(self, asked: Order | None = None) -> Handle:
        """A checkout whose customer is at the bank."""
        handle = await self._shop.start(asked or order(card="threeDSecure2Required"))
        own = handle.id.partition("/")[2]
        await self._shop.until(
            "the customer has to act", lambda: self._shop.row(own).status == "requires_action"
        )
        return handle

    async def _approve(self, handle: Handle) -> None:
        url = self._shop.row(handle.id.partition("/")[2]).next_action_url
        async with httpx.AsyncClient() as browser:
            await browser.post(f"{url}/approve")
        await handle.signal(CheckoutWorkflow.confirm, None)
