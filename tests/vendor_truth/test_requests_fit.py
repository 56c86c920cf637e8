"""Whether requests are held against vendors' descriptions here, and that the check finds what does not fit.

The checks themselves are made on every request of tests/connectors/test_conformance.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from tests.vendor_truth.described import FILES, SHARED, description, misfits


@dataclass(frozen=True)
class Sent:
    method: str
    path: str
    query: list[tuple[str, str]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


WRONG = {
    "adyen": Sent(
        "POST",
        "/payments/ABC/refunds",
        [],
        {"content-type": "application/json"},
        b'{"merchantAccount": "M", "amount": {"value": 1, "currency": "EUR"}, "noSuchField": 1}',
    ),
    "stripe": Sent(
        "POST", "/v1/refunds", [], {"content-type": "application/x-www-form-urlencoded"}, b"no_such=1"
    ),
    "avalara": Sent(
        "POST",
        "/api/v2/transactions/create",
        [],
        {"content-type": "application/json"},
        b'{"type": "SalesOrder", "noSuchField": 1}',
    ),
    "hubspot": Sent("POST", "/crm/v3/objects/contacts/batch/upserts"),
}


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_request_that_the_vendor_does_not_describe_is_found(name: str) -> None:
    if description(name) is None:
        pytest.skip(
            f"no vendor descriptions here: {SHARED} has no specs and tools (MASTHEAD_SHARED names another place)"
        )
    assert misfits(name, [WRONG[name]])
