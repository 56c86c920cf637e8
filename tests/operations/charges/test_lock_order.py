"""Answers of gateways and their webhooks lock in one order: accounts first, then the calls of their charges."""

from __future__ import annotations

import asyncio
from typing import Any

from activities.charges import ChargeSender
from connectors.sdk.connector import Connector
from contracts.connector_call import CallStatus
from operations.calls.sending import Trouble, park_call
from sandbox.stripe.stand_in import StripeStandIn
from storage.calls import read_call
from storage.charges import lock_payers
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.operations.charges.charged import NOW, Fleet
from tests.workflows.paying import opened

WAITING = "select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


async def test_parking_a_call_waits_for_the_account_and_keeps_no_call_from_a_webhook_meanwhile(
    pg_server: PostgresForTests,
) -> None:
    engine = make_engine(pg_server.fresh_database("lock_order"))
    fleet = Fleet(engine, 1)
    [begun] = fleet.begin().begun

    def parked() -> CallStatus:
        with transaction(engine) as connection:
            call = read_call(connection, begun.call.call_id)
            return park_call(
                connection, call, Trouble("unauthorized", "401"), doubt=None, workflow_id=None
            ).status

    with transaction(engine) as webhook:
        lock_payers(webhook, fleet.accounts)
        parking = asyncio.create_task(asyncio.to_thread(parked))
        async with asyncio.timeout(30):
            while not await asyncio.to_thread(fleet.rows, WAITING):  # noqa: ASYNC110 - nothing tells it
                await asyncio.sleep(0.01)
        webhook.execute("select from connector_call where id = %s for update nowait", (begun.call.call_id,))
    assert await parking is CallStatus.PARKED
    engine.dispose()


async def test_an_answer_waits_for_the_account_and_keeps_no_call_from_a_webhook_meanwhile(
    pg_server: PostgresForTests,
) -> None:
    engine = make_engine(pg_server.fresh_database("lock_order"))
    fleet = Fleet(engine, 1)
    [begun] = fleet.begin().begun
    with StripeStandIn() as gateway:

        async def open_connector(name: str, /) -> Connector[Any]:
            return opened(name, gateway.url)

        sender = ChargeSender(engine, open_connector, fleet.tariffs)
        with transaction(engine) as webhook:
            lock_payers(webhook, fleet.accounts)
            sending = asyncio.create_task(sender.send([(begun.charge_id, begun.call.call_id)], NOW))
            async with asyncio.timeout(30):
                while not await asyncio.to_thread(fleet.rows, WAITING):  # noqa: ASYNC110 - nothing tells it
                    await asyncio.sleep(0.01)
            webhook.execute(
                "select from connector_call where id = %s for update nowait", (begun.call.call_id,)
            )
        sent = await sending
    assert sent.counts() == {"succeeded": 1}
    engine.dispose()
