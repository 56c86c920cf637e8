"""A worker for clocks on the session's server, with a queue of its own."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial

from sqlalchemy import Engine
from temporalio.client import Client
from temporalio.worker import Worker

from activities import test_clock
from activities.subscription import Episodes, SubscriptionActivities
from operations.billrun.rate import TaxEngines
from operations.fulfilment.sending import FulfilledBy, nothing_connected
from workflows import clocks as test_clock_workflow
from workflows import subscription
from workflows.call_starts import start_call


@asynccontextmanager
async def clock_worker(
    client: Client,
    engine: Engine,
    fulfilled_by: FulfilledBy = nothing_connected,
    taxes: TaxEngines | None = None,
) -> AsyncIterator[str]:
    """A worker for clocks and episodes, beside the connected tax engines; answers its queue. What `fulfilled_by` names
    is called on the queues of everybody."""
    deliveries = test_clock.Deliveries(fulfilled_by, partial(start_call, client, wake=False))
    queue = f"clocks-{uuid.uuid4()}"
    with ThreadPoolExecutor(8) as threads:
        async with Worker(
            client,
            task_queue=queue,
            workflows=[subscription.SubscriptionWorkflow, test_clock_workflow.TestClockWorkflow],
            activities=[
                *SubscriptionActivities(engine, fulfilled_by=fulfilled_by).all(),
                *test_clock.TestClockActivities(engine, Episodes(client, queue), deliveries, taxes).all(),
            ],
            activity_executor=threads,
        ):
            yield queue
