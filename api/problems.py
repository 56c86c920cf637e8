"""Errors of the HTTP API as problem details (RFC 9457), from one place."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

log = logging.getLogger("masthead.api")


class Problem(Exception):
    """An error that the caller shall see. `kind` is machine-readable and stable; `detail` is safe to show."""

    def __init__(self, status: int, kind: str, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.detail = detail
        self.more = more


def install(app: FastAPI) -> None:
    """Answer every error of `app` with application/problem+json."""
    app.add_exception_handler(Problem, _handle)
    app.add_exception_handler(HTTPException, _handle)
    app.add_exception_handler(RequestValidationError, _handle)
    app.add_exception_handler(Exception, _handle)


async def _handle(request: Request, error: Exception) -> JSONResponse:
    if isinstance(error, Problem):
        return _answer(request, error.status, error.kind, error.detail, more=error.more)
    if isinstance(error, RequestValidationError):
        # Without the input: it may hold what must not be repeated.
        errors = [{"location": list(item["loc"]), "message": item["msg"]} for item in error.errors()]
        detail = f"{len(errors)} field(s) of the request are not valid"
        return _answer(request, 422, "invalid_request", detail, more={"errors": errors})
    if isinstance(error, HTTPException):
        kind = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        return _answer(request, error.status_code, kind, str(error.detail), headers=error.headers)
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _answer(
        request, 500, "internal_error", "Something went wrong here. The failure is in the API's log."
    )


def _answer(
    request: Request,
    status: int,
    kind: str,
    detail: str,
    *,
    more: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    body = {
        "type": f"urn:masthead:problem:{kind}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        **(more or {}),
    }
    return JSONResponse(body, status, headers=headers, media_type="application/problem+json")
