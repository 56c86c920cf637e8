"""A worker process for checkouts, to be killed: DATABASE_URL, TEMPORAL_ADDRESS, GATEWAY_URL, REFERENCE_URL where
licences and parcels are connected, and TAKES_AT_ONCE where the gateway takes what it should hold."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from runtime.collector import uncollected

with uncollected():
    from temporalio.worker import Worker

    from activities.checkout import CheckoutActivities
    from activities.connectors import ConnectorActivities
    from activities.parked import ParkedActivities
    from connectors.sdk.config import Secret
    from connectors.sdk.connector import Connector
    from connectors.sdk.memory import memory_context
    from connectors.stripe.config import StripeConfig
    from connectors.stripe.connector import Stripe
    from contracts.names import CALL_QUEUE, TASK_QUEUE
    from operations.checkout.quote import Gateway
    from runtime.temporal import connect
    from storage.database import make_engine
    from tests.names import NAMESPACE
    from tests.operations.fulfilment.parcels import CONNECTED, SERVICES
    from tests.soon_noticed import notice_soon
    from tests.workflows.hasty import TakesAtOnce
    from workflows.checkout import CheckoutWorkflow
    from workflows.connector_call import ConnectorCallWorkflow


async def open_gateway(name: str, /) -> Connector[Any]:
    """The connection to the gateway, as patient as in earnest, or to who gives licences and sends parcels."""
    if name in SERVICES:
        kind = SERVICES[name]
        settings = kind.Config.model_validate(kind.sandbox_config(os.environ["REFERENCE_URL"]))
        return kind(settings, memory_context(name, secrets={"SANDBOX_SECRET": "sandbox"}))
    config = StripeConfig(api_key=Secret("env:STRIPE_KEY"), base_url=os.environ["GATEWAY_URL"])
    gateway = TakesAtOnce if "TAKES_AT_ONCE" in os.environ else Stripe
    return gateway(config, memory_context(name, secrets={"STRIPE_KEY": "sk_test_x"}))


async def main() -> None:
    """Work until killed."""
    notice_soon()
    client = await connect(os.environ["TEMPORAL_ADDRESS"], NAMESPACE)
    engine = make_engine(os.environ["DATABASE_URL"])
    connected = CONNECTED if "REFERENCE_URL" in os.environ else {}
    sales = CheckoutActivities(engine, lambda _: Gateway("cards", True), lambda _: connected)
    calls = ConnectorActivities(engine, open_gateway)
    with ThreadPoolExecutor(4) as threads:
        async with (
            Worker(
                client,
                task_queue=TASK_QUEUE,
                workflows=[CheckoutWorkflow, ConnectorCallWorkflow],
                activities=[*sales.all(), *ParkedActivities(engine).all()],
                activity_executor=threads,
                sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
                max_heartbeat_throttle_interval=timedelta(seconds=1),
            ),
            Worker(
                client,
                task_queue=CALL_QUEUE,
                activities=calls.all(),
                max_heartbeat_throttle_interval=timedelta(seconds=1),
            ),
        ):
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
