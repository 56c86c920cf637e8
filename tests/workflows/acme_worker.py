"""A worker process for calls to the test vendor, to be killed: DATABASE_URL, TEMPORAL_ADDRESS, ACME_URL."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from temporalio.worker import Worker

from activities.connectors import ConnectorActivities
from activities.parked import ParkedActivities
from contracts.names import CALL_QUEUE, TASK_QUEUE
from runtime.temporal import connect
from storage.database import make_engine
from tests.activities.acme import Opener
from tests.names import NAMESPACE
from tests.soon_noticed import notice_soon
from workflows.connector_call import ConnectorCallWorkflow


async def main() -> None:
    """Work until killed."""
    notice_soon()
    client = await connect(os.environ["TEMPORAL_ADDRESS"], NAMESPACE)
    engine = make_engine(os.environ["DATABASE_URL"])
    calls = ConnectorActivities(engine, Opener(os.environ["ACME_URL"]))
    with ThreadPoolExecutor(2) as threads:
        async with (
            Worker(
                client,
                task_queue=TASK_QUEUE,
                workflows=[ConnectorCallWorkflow],
                activities=ParkedActivities(engine).all(),
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
