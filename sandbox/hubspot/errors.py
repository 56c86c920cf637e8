"""Errors in HubSpot's form."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox.calls import Answer, json_answer

#: The stand-in's kinds of error: category and message.
BY_KIND = {
    "unavailable": ("SERVICE_UNAVAILABLE", "The service is temporarily unavailable."),
    "server_error": ("INTERNAL_ERROR", "internal error"),
    "unauthorized": ("INVALID_AUTHENTICATION", "Authentication credentials not found or not valid."),
    "error_in_200": ("VALIDATION_ERROR", "The request could not be carried out."),
    "conflict": ("CONFLICT", "The object is in conflict with another one."),
    "not_found": ("OBJECT_NOT_FOUND", "resource not found"),
    "method_not_allowed": ("METHOD_NOT_ALLOWED", "method not allowed"),
    "malformed": ("VALIDATION_ERROR", "Invalid input JSON."),
}
_POLICIES = {"TEN_SECONDLY_ROLLING": "ten_secondly_rolling", "DAILY": "daily"}


@dataclass(eq=False)
class Problem(Exception):
    """What is wrong with a call or with one record of a batch.

    `errors` are HubSpot's details ({message, code, context}); `context` names what the whole problem is about. One that
    `spoils` fails its whole batch.
    """

    status: int
    category: str
    message: str
    errors: Sequence[Mapping[str, Any]] = ()
    context: Mapping[str, list[str]] | None = None
    spoils: bool = False

    def as_json(self) -> dict[str, Any]:
        """The body of an error answer."""
        body: dict[str, Any] = {
            "status": "error",
            "message": self.message,
            "correlationId": str(uuid.uuid4()),
            "category": self.category,
        }
        if self.errors:
            body["errors"] = [dict(error) for error in self.errors]
        if self.context:
            body["context"] = dict(self.context)
        return body

    def as_record_error(self, ids: Sequence[str], trace: str | None = None) -> dict[str, Any]:
        """The same as an entry of a batch's `errors`."""
        context = {"ids": list(ids), **(self.context or {})}
        if trace:
            context["objectWriteTraceId"] = [trace]
        errors = [dict(error) for error in self.errors]
        return {
            "status": "error",
            "category": self.category,
            "message": self.message,
            "context": context,
            "errors": errors,
            "links": {},
        }

    def answer(self) -> Answer:
        """The answer that carries it."""
        return json_answer(self.as_json(), self.status)


def rate_limited(policy: str) -> dict[str, Any]:
    """The body of a 429: TEN_SECONDLY_ROLLING passes in seconds, DAILY at midnight."""
    return {
        "status": "error",
        "message": f"You have reached your {_POLICIES[policy]} limit.",
        "errorType": "RATE_LIMIT",
        "category": "RATE_LIMITS",
        "correlationId": str(uuid.uuid4()),
        "policyName": policy,
        "requestId": str(uuid.uuid4()),
    }


def invalid(message: str, code: str = "INVALID_INPUT", **context: str) -> Problem:
    """400: something in the request."""
    detail = {"message": message, "code": code, "context": {name: [value] for name, value in context.items()}}
    return Problem(400, "VALIDATION_ERROR", message, [detail])


def unknown_property(name: str) -> Problem:
    """400: a property that the portal does not define."""
    text = f'Property "{name}" does not exist'
    told = [{"isValid": False, "message": text, "error": "PROPERTY_DOESNT_EXIST", "name": name}]
    detail = {"message": text, "code": "PROPERTY_DOESNT_EXIST", "context": {"propertyName": [name]}}
    return Problem(
        400, "VALIDATION_ERROR", f"Property values were not valid: {json.dumps(told)}", [detail], spoils=True
    )


def missing(kind: str, id: str) -> Problem:
    """404: no such object."""
    return Problem(404, "OBJECT_NOT_FOUND", f"Object not found. {kind} {id!r} does not exist or is archived.")
