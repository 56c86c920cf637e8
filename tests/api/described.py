"""The API's OpenAPI document for tests that are made of it, and which ids of the world its parameters are given.

A route that is added is covered by those tests at once. A parameter with a new name fails a test until it is named
here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from api.app import create_app
from tests.api.world import settings_for

# A parameter or a field of a body by its name: which of a reader's ids it is given. A path or query parameter
# that is no account's stands in NOT_ACCOUNTS with the reason.
IDS: dict[str, str] = {
    "account_id": "account",
    "to_account_id": "account",
    "subscription_id": "subscription",
    "invoice_id": "invoice",
    "item_id": "item",
    "note_id": "credit_note",
    "checkout_id": "checkout",
    "subscriber": "account",
    "payment_id": "payment",
    "refund_id": "refund",
    "dispute_id": "dispute",
}
# These find by what the other account is called: a list without it is as good as 404.
NAMES = {"external_key": "key"}
NOT_ACCOUNTS = {
    "code": "a plan's, and the catalog is everybody's",
    "on": "a day",
    "since": "a day",
    "until": "a day",
    "feature": "a feature's, and the catalog is everybody's",
    "visitor": "a cookie's: not for keys of one account",
    "resource": "an article's",
    "at": "an instant",
    "mode": "a word",
    "after": "a cursor",
    "limit": "a number",
    "status": "a word",
    "kind": "a word; routes of parked work and events are not for keys of one account",
    "action": "a word",
    "state": "a word",
    "charge_id": "a charge's in doubt: not for keys of one account",
    "run_id": "a bill run's or payment run's: not for keys of one account",
    "park_id": "parked work's: not for keys of one account",
    "endpoint_id": "a webhook endpoint's: not for keys of one account",
    "clock_id": "a test clock's: not for keys of one account",
    "wait": "a number",
    "standing": "yes or no",
    "key_id": "an API key's: not for keys of one account",
    "account": "a filter of parked work: not for keys of one account",
    "connection": "a filter of parked work",
    "error_kind": "a filter of parked work",
    "method": "a filter of parked work",
    "trace_key": "a filter of parked work",
}
# What is sent instead of the document's example, where that needs another catalog, or names no account.
_CART: dict[str, Any] = {"items": [{"plan": "reader"}], "account_id": "replaced by one that is there"}
_PAYMENT = {"method": "pm_card_visa", "return_url": "https://shop.example/back"}
BODIES: dict[str, dict[str, Any]] = {
    "post /v1/quotes": _CART,
    "post /v1/checkouts": {**_CART, "payment": _PAYMENT},
}


DOCUMENT: dict[str, Any] = create_app(settings_for("postgresql://me@127.0.0.1:1/x", Path())).openapi()


def all_operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every operation of the document."""
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Those that need a key: all but health, and the pages to which mails lead."""
    for method, path, operation in all_operations():
        if path.startswith("/v1/"):
            yield method, path, operation


def body_schema(operation: dict[str, Any]) -> dict[str, Any]:
    content = operation.get("requestBody", {}).get("content", {})
    schema: dict[str, Any] = content.get("application/json", {}).get("schema", {})
    (*_, given) = (schema, *(each for each in schema.get("anyOf", ()) if "$ref" in each))
    return given  # one that may be left out is still one


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" in schema:
        found: dict[str, Any] = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return found
    return schema


def fields_of(schema: dict[str, Any]) -> Iterator[str]:
    schema = resolved(schema)
    for name, inner in schema.get("properties", {}).items():
        yield name
        for each in (inner, *inner.get("anyOf", ())):
            yield from fields_of(each)
    if "items" in schema:
        yield from fields_of(schema["items"])


def example_body(method: str, path: str) -> Any:
    """What is sent to the operation; None where it takes nothing."""
    if f"{method} {path}" in BODIES:
        return BODIES[f"{method} {path}"]
    operation = DOCUMENT["paths"][path][method]
    schema = resolved(body_schema(operation))
    if not schema:
        return None
    assert "example" in schema, f"the body of {operation['operationId']} has no example in its model: add one"
    return schema["example"]
