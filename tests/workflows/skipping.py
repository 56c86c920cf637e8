"""The time-skipping server: a year passes in a moment. It has one clock, so one root workflow runs at a time."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.testing import WorkflowEnvironment

from contracts.names import SEARCH_ATTRIBUTES
from runtime.temporal import MastheadPlugin

TEST_SERVER = Path(sys.executable).with_name("temporal-test-server")


@asynccontextmanager
async def time_skipping(identity: str | None = None) -> AsyncIterator[WorkflowEnvironment]:
    """The environment, with our converter and search attributes (without which starts seem to hang)."""
    async with await WorkflowEnvironment.start_time_skipping(
        plugins=[MastheadPlugin()], identity=identity, test_server_existing_path=str(TEST_SERVER)
    ) as environment:
        client = environment.client
        types = {
            key.name: cast("IndexedValueType.ValueType", int(key.indexed_value_type))
            for key in SEARCH_ATTRIBUTES
        }
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(namespace=client.namespace, search_attributes=types)
        )
        yield environment
