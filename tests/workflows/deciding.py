"""A person's decision about parked work, of which the rows may tell a moment before the workflow knows of it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from temporalio.client import WorkflowHandle, WorkflowUpdateFailedError

from contracts.parked import RESOLVE, Resolve

WITHIN_SECONDS = 30.0


async def decide(handle: WorkflowHandle[Any, Any], order: Resolve) -> None:
    """Send the decision, again where nothing is parked there yet."""
    deadline = time.monotonic() + WITHIN_SECONDS
    while True:
        try:
            await handle.execute_update(RESOLVE, order)
            return
        except WorkflowUpdateFailedError as error:
            if "nothing is parked here" not in str(error.cause) or time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.05)
