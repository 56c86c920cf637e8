"""A worker process for payment runs, to be killed: DATABASE_URL, TEMPORAL_ADDRESS, GATEWAY_URL (Stripe's stand-in)."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from runtime.collector import uncollected

with uncollected():
    from temporalio.worker import Worker

    from activities.payment_run import PaymentRunActivities
    from connectors.sdk.connector import Connector
    from contracts.names import TASK_QUEUE
    from runtime.temporal import connect
    from storage.database import make_engine
    from tests.names import NAMESPACE
    from tests.soon_noticed import notice_soon
    from tests.workflows.paying import opened
    from workflows.payment_run import PaymentRunWorkflow


async def open_gateway(name: str, /) -> Connector[Any]:
    """The connection to the gateway, patient."""
    return opened(name, os.environ["GATEWAY_URL"], timeout=20)


async def main() -> None:
    """Work until killed."""
    notice_soon()
    client = await connect(os.environ["TEMPORAL_ADDRESS"], NAMESPACE)
    engine = make_engine(os.environ["DATABASE_URL"])
    with ThreadPoolExecutor(4) as threads:
        async with Worker(
            client,
            task_queue=TASK_QUEUE,
            workflows=[PaymentRunWorkflow],
            activities=PaymentRunActivities(engine, open_gateway).all(),
            activity_executor=threads,
            sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
            max_heartbeat_throttle_interval=timedelta(seconds=1),
        ):
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
