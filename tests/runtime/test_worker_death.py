"""A worker that dies in the middle of short database work is noticed by its silence, not after the minute that the
work may take."""

from __future__ import annotations

import asyncio
import os
import signal

import psycopg
import pytest
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.client import Client

from contracts.names import TASK_QUEUE, subscription_id
from contracts.subscription import EpisodeRequest
from runtime.temporal import connect
from tests.conftest import wait_until
from tests.names import NAMESPACE
from tests.runtime.conftest import Up
from tests.subscribers import add_subscription
from workflows.subscription import SubscriptionWorkflow


@pytest.mark.deep
def test_its_work_is_given_to_another_within_seconds(up: Up) -> None:
    url = up.state.database_url
    assert url is not None
    with psycopg.connect(url) as connection:
        subscription = add_subscription(connection)

    async def client() -> Client:
        return await connect(up.state.temporal_address, NAMESPACE)

    async def start() -> None:
        await (await client()).start_workflow(
            SubscriptionWorkflow.run,
            EpisodeRequest(subscription_id=subscription),
            id=subscription_id(subscription),
            task_queue=TASK_QUEUE,
        )

    async def look() -> list[PendingActivityInfo]:
        seen = await (await client()).get_workflow_handle(subscription_id(subscription)).describe()
        return list(seen.raw_description.pending_activities)

    async def result() -> str:
        handle = (await client()).get_workflow_handle_for(
            SubscriptionWorkflow.run, subscription_id(subscription)
        )
        return (await handle.result()).status

    def attempts() -> int:
        return max((pending.attempt for pending in asyncio.run(look())), default=0)

    def at_work() -> bool:
        with psycopg.connect(url) as connection:
            waiting = connection.execute("select query from pg_stat_activity where wait_event_type = 'Lock'")
            return any("from subscription" in query for (query,) in waiting)

    with psycopg.connect(url) as holder:
        holder.execute("lock table subscription in access exclusive mode")
        asyncio.run(start())
        wait_until("a worker reads", lambda: attempts() == 1 and at_work())
        os.kill(up.pid("worker-1"), signal.SIGKILL)
        wait_until("it is tried again", lambda: attempts() == 2, 25)
    assert asyncio.run(result()) == "active"
