"""Errors in Adyen's form."""

from __future__ import annotations

from typing import Any

from sandbox.calls import Refused, json_answer


def error_of(status: int, code: str, message: str, type: str = "validation") -> dict[str, Any]:
    """Adyen's body of an error."""
    return {"status": status, "errorCode": code, "message": message, "errorType": type}


def invalid(code: str, message: str) -> Refused:
    """A 422 to raise."""
    return Refused(json_answer(error_of(422, code, message), 422))


#: Kind of an error that no handler made → errorCode, message and errorType.
WIRE_ERRORS: dict[str, tuple[str, str, str]] = {
    "rate_limited": ("029", "Too many requests", "security"),
    "unavailable": ("700", "Service temporarily unavailable", "internal"),
    "server_error": ("905", "An internal error occurred", "internal"),
    "unauthorized": ("000", "HTTP Status Response - Unauthorized", "security"),
    "error_in_200": ("905", "An internal error occurred", "internal"),
    "conflict": ("704", "request already processed or in progress", "validation"),
    "rejected": ("702", "The request was refused", "validation"),
    "not_found": ("000", "HTTP Status Response - Not Found", "validation"),
    "method_not_allowed": ("000", "HTTP Status Response - Method Not Allowed", "validation"),
    "malformed": ("702", "Unexpected input: the body cannot be read", "validation"),
}
