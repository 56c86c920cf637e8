"""What tests of workflows share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from temporalio.testing import WorkflowEnvironment

from runtime.temporal import connect
from sandbox.stripe.stand_in import StripeStandIn
from storage.database import make_engine
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.workflows.selling import Shop
from tests.workflows.skipping import time_skipping


@pytest.fixture(scope="session")
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """The session's time-skipping server: one root workflow at a time."""
    async with time_skipping() as environment:
        yield environment


@pytest.fixture
async def shop(pg_server: PostgresForTests, temporal_address: str) -> AsyncIterator[Shop]:
    """A shop with workers in this process; after the test its laws are checked."""
    engine = make_engine(pg_server.fresh_database("checkout"))
    try:
        with StripeStandIn() as gateway:
            shop = Shop(engine, await connect(temporal_address, NAMESPACE), gateway)
            async with shop.working():
                yield shop
            shop.check()
    finally:
        engine.dispose()
