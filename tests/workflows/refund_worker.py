"""A worker process for refunds, to be killed: DATABASE_URL, TEMPORAL_ADDRESS, GATEWAY (its kind), GATEWAY_URL."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from runtime.collector import uncollected

with uncollected():
    from temporalio.worker import Worker

    from activities.connectors import ConnectorActivities
    from activities.parked import ParkedActivities
    from activities.refund import RefundActivities
    from connectors.sdk.connector import Connector
    from contracts.names import CALL_QUEUE, TASK_QUEUE
    from runtime.temporal import connect
    from storage.database import make_engine
    from tests.names import NAMESPACE
    from tests.soon_noticed import notice_soon
    from tests.workflows.refunding import connection_to
    from workflows.refund import RefundWorkflow


async def open_gateway(name: str, /) -> Connector[Any]:
    """The connection to the gateway, as patient as in earnest."""
    return connection_to(name, os.environ["GATEWAY"], os.environ["GATEWAY_URL"])


async def main() -> None:
    """Work until killed."""
    notice_soon()
    client = await connect(os.environ["TEMPORAL_ADDRESS"], NAMESPACE)
    engine = make_engine(os.environ["DATABASE_URL"])
    with ThreadPoolExecutor(4) as threads:
        async with (
            Worker(
                client,
                task_queue=TASK_QUEUE,
                workflows=[RefundWorkflow],
                activities=[*RefundActivities(engine).all(), *ParkedActivities(engine).all()],
                activity_executor=threads,
                sticky_queue_schedule_to_start_timeout=timedelta(seconds=2),
                max_heartbeat_throttle_interval=timedelta(seconds=1),
            ),
            Worker(
                client,
                task_queue=CALL_QUEUE,
                activities=ConnectorActivities(engine, open_gateway).all(),
            ),
        ):
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
