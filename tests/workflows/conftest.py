"""What tests of workflows share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.workflows.skipping import time_skipping


@pytest.fixture(scope="session")
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """The session's time-skipping server: one root workflow at a time."""
    async with time_skipping() as environment:
        yield environment
