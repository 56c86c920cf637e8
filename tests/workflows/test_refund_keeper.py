"""Refunds that were promised by whatever changed an account, and that nobody has begun: the keeper does."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from runtime.leading import Complaints, Lead
from runtime.refund_keeper import look
from runtime.temporal import connect
from sandbox.stripe.stand_in import StripeStandIn
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.workflows.refunding import Till

ROLE = 0x74657374


@pytest.fixture
async def till(pg_server: PostgresForTests, temporal_address: str) -> AsyncIterator[Till]:
    engine = make_engine(pg_server.fresh_database("refund_keeper"))
    try:
        with StripeStandIn() as stripe:
            till = Till(engine, await connect(temporal_address, NAMESPACE), {"stripe": stripe})
            async with till.working():
                yield till
            till.check()
    finally:
        engine.dispose()


async def keep(till: Till, later: timedelta) -> None:
    async with Lead(till.engine, ROLE, "keeper-of-a-test") as lead:
        session = await lead.won()
        now = datetime.now(UTC) + later
        await look(lead, session, till.client, now, Complaints(logging.getLogger(__name__)))


async def test_what_is_promised_is_begun_once(till: Till) -> None:
    row = till.ask(await till.paid("stripe"), "1.00")
    await keep(till, timedelta())  # its own request still begins it
    assert till.row(row).begun_at is None
    for _ in range(2):
        await keep(till, timedelta(minutes=1))
    await till.until("it is paid", lambda: till.row(row).status == "succeeded")
    assert till.gateways["stripe"].count("refund") == 1
