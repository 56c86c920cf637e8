"""Errors in Stripe's form."""

from __future__ import annotations

from typing import Any

from sandbox.calls import Refused, json_answer

_DOCS = "https://stripe.com/docs/error-codes/"


def stripe_error(status: int, type: str, message: str, code: str | None = None, **more: Any) -> Refused:
    """An error to raise: `{"error": {type, message, code, ...}}`; what is None in `more` is left out."""
    error: dict[str, Any] = {"message": message, "type": type}
    if code is not None:
        error |= {"code": code, "doc_url": _DOCS + code.replace("_", "-")}
    error |= {name: value for name, value in more.items() if value is not None}
    return Refused(json_answer({"error": error}, status))


def invalid(message: str, code: str | None = None, param: str | None = None, **more: Any) -> Refused:
    """A 400 invalid_request_error."""
    return stripe_error(400, "invalid_request_error", message, code, param=param, **more)


def missing(kind: str, id: str, param: str = "id") -> Refused:
    """The 404 for an object that does not exist."""
    message = f"No such {kind}: '{id}'"
    return stripe_error(404, "invalid_request_error", message, "resource_missing", param=param)


#: Kind of an error that no handler made → type, message and code of Stripe's body.
WIRE_ERRORS: dict[str, tuple[str, str, str | None]] = {
    "rate_limited": ("invalid_request_error", "Request rate limit exceeded. Try again later.", "rate_limit"),
    "unavailable": ("api_error", "The service is not available at the moment. Try again later.", None),
    "server_error": ("api_error", "An unknown error occurred on the server.", None),
    "unauthorized": ("invalid_request_error", "Invalid API Key provided: sk_test_***", None),
    "error_in_200": ("api_error", "An error occurred while the request was worked on.", None),
    "conflict": (
        "idempotency_error",
        "There is currently another in-progress request using this Idempotent Key. Please try again later.",
        "idempotency_key_in_use",
    ),
    "rejected": ("invalid_request_error", "The request was refused.", None),
    "not_found": ("invalid_request_error", "Unrecognized request URL. See the list of API routes.", None),
    "method_not_allowed": ("invalid_request_error", "Unrecognized request URL for this method.", None),
    "malformed": ("invalid_request_error", "Invalid request: the body cannot be read.", None),
}
