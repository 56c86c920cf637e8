"""Errors of the HTTP API as problem details (RFC 9457), from one place. Each has a kind, which machines may rely on,
and a remedy, which says what to do about it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from api.observed import request_id
from storage.database import DATABASE_AWAY

log = logging.getLogger("masthead.api")

MEDIA_TYPE = "application/problem+json"

# What to do where nothing more particular is said.
_REMEDIES = {
    400: "Correct the request as the detail says, and send it again.",
    401: "Send a valid key; an operator makes one with `masthead keys create` or POST /v1/api-keys.",
    402: "Ask the customer for another way to pay.",
    403: "Use a key that may do this; GET /v1/api-keys shows which scopes a key has.",
    404: "Check the id, and that it belongs to the mode and account of your key.",
    405: "Use one of the methods that the Allow header names.",
    409: "Look at the present state, and decide anew.",
    412: "Read it again, make your change to what you get, and send it with the ETag of that answer.",
    413: "Send less at once.",
    415: "Send JSON, with Content-Type: application/json.",
    422: "Correct what is named, and send the request again.",
    428: "Read it first, and send the ETag of that answer as If-Match.",
    429: "Wait as long as Retry-After says, and send it again.",
    500: "Tell the operator, with the answer's X-Request-ID; the API's log has the cause.",
    503: "Send it again in some seconds; with the same Idempotency-Key where it has one.",
}


class Problem(Exception):
    """An error that the caller shall see. `kind` is machine-readable and stable; `detail` is safe to show; `remedy`
    says what to do (default: what holds for the status). `more` goes into the answer as it is."""

    def __init__(
        self,
        status: int,
        kind: str,
        detail: str,
        *,
        remedy: str | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.remedy = remedy or remedy_for(status)
        self.headers = headers
        self.more = more


class FieldError(BaseModel):
    """What is wrong with a field. location: where it is, outermost first."""

    location: list[str | int]
    message: str


class ProblemOut(BaseModel):
    """Why a request was refused, or could not be answered (RFC 9457). kind is stable; remedy says what to do. There may
    be more members, by kind."""

    model_config = ConfigDict(
        title="Problem",
        extra="allow",
        json_schema_extra={
            "example": {
                "type": "urn:masthead:problem:no_such_account",
                "kind": "no_such_account",
                "title": "Not Found",
                "status": 404,
                "detail": "There is no account 01a205bd-0000-7000-8000-000000000000.",
                "remedy": "Check the id, and that it belongs to the mode and account of your key.",
                "instance": "/v1/accounts/01a205bd-0000-7000-8000-000000000000",
            }
        },
    )

    type: str
    kind: str
    title: str
    status: int
    detail: str
    remedy: str
    instance: str
    errors: list[FieldError] = Field(default=[], description="the fields, where kind is invalid_request")


def remedy_for(status: int) -> str:
    """What to do about an error of that status, where nothing more particular is known."""
    return _REMEDIES.get(status) or _REMEDIES[500 if status >= 500 else 400]


def install(app: FastAPI) -> None:
    """Answer every error of `app` with application/problem+json."""
    app.add_exception_handler(Problem, _handle)
    app.add_exception_handler(HTTPException, _handle)
    app.add_exception_handler(RequestValidationError, _handle)
    for away in DATABASE_AWAY:
        app.add_exception_handler(away, _handle)
    app.add_exception_handler(Exception, _handle)


async def _handle(request: Request, error: Exception) -> JSONResponse:
    return answer(request.url.path, _problem(request, error))


def _problem(request: Request, error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, RequestValidationError):
        # Without the input: it may hold what must not be repeated.
        errors = [{"location": list(item["loc"]), "message": item["msg"]} for item in error.errors()]
        detail = f"{len(errors)} field(s) of the request are not valid"
        return Problem(422, "invalid_request", detail, errors=errors)
    if isinstance(error, HTTPException):
        kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_").replace("-", "_")
        if error.status_code == 404:
            return Problem(404, kind, "There is nothing here.", remedy="GET /openapi.json lists every path.")
        return Problem(error.status_code, kind, str(error.detail), headers=error.headers)
    if isinstance(error, DATABASE_AWAY):
        log.warning(
            "%s %s: the database does not answer (%s)", request.method, request.url.path, type(error).__name__
        )
        detail = "The database does not answer at the moment, or was too busy."
        return Problem(503, "database_away", detail, headers={"Retry-After": "5"})
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    # Nothing that adds it is around this answer.
    headers = {"X-Request-ID": own} if (own := request_id()) else None
    detail = "Something went wrong here. The failure is in the API's log."
    return Problem(500, "internal_error", detail, headers=headers)


def answer(path: str, problem: Problem) -> JSONResponse:
    """`problem` as the answer to a request for `path`."""
    body = {
        "type": f"urn:masthead:problem:{problem.kind}",
        "kind": problem.kind,
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "remedy": problem.remedy,
        "instance": path,
        **problem.more,
    }
    return JSONResponse(body, problem.status, headers=problem.headers, media_type=MEDIA_TYPE)
