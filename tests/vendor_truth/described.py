"""Vendors' own descriptions of their calls, and what in a request does not fit one.

The descriptions and the checker lie outside of the repository (MASTHEAD_SHARED, else `shared` beside it).
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

SHARED = Path(os.environ.get("MASTHEAD_SHARED", Path(__file__).parents[3] / "shared"))
FILES = {"adyen": "adyen.json", "stripe": "stripe.json", "avalara": "avatax.json", "hubspot": "hubspot.json"}
_CHECKER = SHARED / "tools" / "vendor_stub.py"
_OF_LISTS = [f"unknown query parameter {name}" for name in ("limit", "after", "properties")]


@functools.cache
def description(connector: str) -> Any | None:
    """The description of the vendor that a connector speaks to; None where it is not here."""
    if connector not in FILES or not _CHECKER.exists():
        return None
    spec = importlib.util.spec_from_file_location("vendor_stub", _CHECKER)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Spec(SHARED / "specs" / FILES[connector])


def misfits(connector: str, requests: Iterable[Any]) -> dict[str, list[str]]:
    """What does not fit, by method and path; empty as well where the description is not here."""
    described = description(connector)
    if described is None:
        return {}
    return {
        f"{request.method} {request.path}": problems
        for request in requests
        if (problems := _problems(described, request))
    }


def _problems(described: Any, request: Any) -> list[str]:
    operation, problems = described.check(
        request.method, request.path, request.query, request.headers, request.body
    )
    # HubSpot's is read off its SDK, whose signatures hide the query of a list; what the SDK lets through is right.
    listed = request.method == "GET" and operation and not operation.get("parameters")
    return [each for each in problems if not (listed and each in _OF_LISTS)]
