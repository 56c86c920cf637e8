"""Everybody who plays in a recorded history: the stand-ins, the workers, and the stories of every kind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine
from temporalio.client import WorkflowHandle
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from activities.bill_run import BillRunActivities
from activities.connectors import ConnectorActivities
from activities.parked import ParkedActivities
from activities.refund import RefundActivities
from activities.renewals import RenewalActivities
from activities.subscription import Episodes, SubscriptionActivities, SweepActivities
from activities.sync import SyncControlActivities
from activities.test_clock import TestClockActivities
from activities.webhooks_out import WebhookActivities
from bench.fleet import build_fleet
from contracts.names import CALL_QUEUE, SYNC_QUEUE, TASK_QUEUE
from runtime import registry
from sandbox.adyen.stand_in import AdyenStandIn
from sandbox.avatax.stand_in import AvaTaxStandIn
from sandbox.reference.stand_in import ReferenceStandIn
from sandbox.stripe.stand_in import StripeStandIn
from storage.database import make_engine
from storage.encryption import Encryption, new_key
from tests.activities.acme import Opener, running_vendor
from tests.histories.calls import CallStories
from tests.histories.checkouts import CheckoutStories
from tests.histories.clocks import ClockStories
from tests.histories.dunnings import DunningStories
from tests.histories.payments import PaymentStories
from tests.histories.plain import PlainStories
from tests.histories.refunds import RefundStories
from tests.histories.syncs import SyncStories
from tests.histories.taxes import TaxStories
from tests.workflows.refunding import Till
from tests.workflows.selling import Shop

IDENTITY = "recorder"
ACCOUNTS = 60

Handle = WorkflowHandle[Any, Any]
Story = Callable[[], Awaitable[Handle]]


@dataclass(frozen=True)
class Cast:
    """The stories of every kind, on one database and one server."""

    environment: WorkflowEnvironment
    engine: Engine
    url: str
    shop: Shop
    plain: PlainStories
    calls: CallStories
    syncs: SyncStories
    taxes: TaxStories
    checkouts: CheckoutStories
    refunds: RefundStories
    clocks: ClockStories
    payments: PaymentStories
    dunnings: DunningStories

    def stories(self) -> dict[str, Story]:
        """All of them, in the order in which they can be played on one database."""
        return (
            self.plain.stories()
            | self.calls.stories()
            | self.syncs.stories()
            | self.taxes.stories()
            | self.checkouts.stories()
            | self.refunds.stories()
            | self.clocks.stories()
            | self.payments.stories()
            | self.dunnings.stories()
        )


@asynccontextmanager
async def playing(environment: WorkflowEnvironment, url: str) -> AsyncIterator[Cast]:
    """The cast, with workers and a small fleet in the database at `url`."""
    engine = make_engine(url)
    build_fleet(engine, ACCOUNTS)
    client = environment.client
    encryption = Encryption.of(new_key())
    with (
        ThreadPoolExecutor(4) as threads,
        running_vendor() as vendor,
        ReferenceStandIn() as stand_in,
        AvaTaxStandIn() as avatax,
        StripeStandIn() as gateway,
        StripeStandIn() as stripe,
        AdyenStandIn() as adyen,
    ):
        shop = Shop(engine, client, gateway)
        checkouts = CheckoutStories(shop, Opener(vendor.url))
        till = Till(engine, client, {"stripe": stripe, "adyen": adyen})
        refunds = RefundStories(till, checkouts.open)
        cast = Cast(
            environment=environment,
            engine=engine,
            url=url,
            shop=shop,
            plain=PlainStories(environment, url, encryption),
            calls=CallStories(client, engine, vendor),
            syncs=SyncStories(client, engine, url, stand_in),
            taxes=TaxStories(client, engine, avatax),
            checkouts=checkouts,
            refunds=refunds,
            clocks=ClockStories(client, engine),
            payments=PaymentStories(client, engine, gateway),
            dunnings=DunningStories(environment, engine, gateway),
        )
        async with (
            Worker(
                client,
                task_queue=TASK_QUEUE,
                identity=IDENTITY,
                workflows=registry.WORKFLOWS,
                activities=[
                    *BillRunActivities(engine).all(),
                    *checkouts.activities(),
                    *cast.dunnings.activities(),
                    *ParkedActivities(engine).all(),
                    *RefundActivities(engine).all(),
                    *cast.payments.activities(),
                    *SubscriptionActivities(engine, checkouts.provisioner).all(),
                    *SweepActivities(engine, Episodes(client, "nobody")).all(),
                    *RenewalActivities(engine).all(),
                    *SyncControlActivities(engine).all(),
                    *WebhookActivities(engine, encryption, allow_loopback=True).all(),
                    *TestClockActivities(engine, Episodes(client)).all(),
                ],
                activity_executor=threads,
            ),
            Worker(
                client,
                task_queue=CALL_QUEUE,
                identity=IDENTITY,
                activities=[*ConnectorActivities(engine, refunds.open).all(), *cast.taxes.activities()],
            ),
            Worker(client, task_queue=SYNC_QUEUE, identity=IDENTITY, activities=cast.syncs.activities()),
        ):
            yield cast
    engine.dispose()
