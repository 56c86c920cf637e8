"""Every request that a connector sends fits its vendor's own description.

The descriptions and the checker lie outside of the repository; where they are absent the tests are skipped and say so.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from connectors.sdk.registry import find
from connectors.sdk.testing import suite
from runtime.conformance import stand_ins

SHARED = Path(os.environ.get("MASTHEAD_SHARED", Path(__file__).parents[3] / "shared"))
_OF_LISTS = [f"unknown query parameter {name}" for name in ("limit", "after", "properties")]
DESCRIPTIONS = {"stripe": "stripe.json", "avalara": "avatax.json", "hubspot": "hubspot.json"}


def _checker() -> ModuleType:
    path = SHARED / "tools" / "vendor_stub.py"
    if not path.exists():
        pytest.skip(f"no vendor descriptions here: {path} is absent (MASTHEAD_SHARED names another place)")
    spec = importlib.util.spec_from_file_location("vendor_stub", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", sorted(DESCRIPTIONS))
def test_every_request_fits_the_vendors_description(name: str) -> None:
    description = _checker().Spec(SHARED / "specs" / DESCRIPTIONS[name])
    connector, stand_in = find(name), stand_ins()[name]()
    sent: list[Any] = []

    async def shown(case: Any) -> None:
        async with suite.bench(connector, stand_in) as ready:
            await case.run(ready)
            sent.extend(stand_in.requests)

    stand_in.start()
    try:
        for case in suite.cases(connector):
            if case.group == "capability" or case.name == "health changes nothing":
                asyncio.run(shown(case))
    finally:
        stand_in.stop()

    wrong = {
        f"{request.method} {request.path}": problems
        for request in sent
        if (problems := _problems(description, request))
    }
    assert len(sent) > 5
    assert not wrong


def _problems(description: Any, request: Any) -> list[str]:
    operation, problems = description.check(
        request.method, request.path, request.query, request.headers, request.body
    )
    # HubSpot's is read off its SDK, whose signatures hide the query of a list; what the SDK lets through is right.
    listed = request.method == "GET" and operation and not operation.get("parameters")
    return [each for each in problems if not (listed and each in _OF_LISTS)]
