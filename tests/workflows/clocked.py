"""A worker for clocks on the session's server, with a queue of its own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from sqlalchemy import Engine
from temporalio.client import Client
from temporalio.worker import Worker

from activities import test_clock
from activities.subscription import Episodes, SubscriptionActivities
from operations.billrun.rate import TaxEngines
from workflows import clocks as test_clock_workflow
from workflows import subscription


@asynccontextmanager
async def clock_worker(client: Client, engine: Engine, taxes: TaxEngines | None = None) -> AsyncIterator[str]:
    """A worker for clocks and episodes, beside the connected tax engines; answers its queue."""
    queue = f"clocks-{uuid.uuid4()}"
    with ThreadPoolExecutor(8) as threads:
        async with Worker(
            client,
            task_queue=queue,
            workflows=[subscription.SubscriptionWorkflow, test_clock_workflow.TestClockWorkflow],
            activities=[
                *SubscriptionActivities(engine).all(),
                *test_clock.TestClockActivities(engine, Episodes(client, queue), taxes).all(),
            ],
            activity_executor=threads,
        ):
            yield queue
