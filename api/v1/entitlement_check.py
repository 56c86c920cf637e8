"""`GET /v1/entitlements/check`, which a paywall asks before every article."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import AwareDatetime, Field, ValidationError

from api.security import Caller, authenticated, ensure_scope, require_scope
from api.v1.access import EXAMPLE_ACCOUNT, AccessOut, AskedReader, FeatureCode, Key, access, paywall_of

SCOPE = "entitlements:read"
_EARLIEST, _LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class Check(AskedReader):
    """Who wants to use what, and when."""

    feature: FeatureCode = Field(description="code of the feature")
    resource: Key | None = Field(default=None, description="the article, of a metered feature")
    at: AwareDatetime | None = Field(
        default=None,
        ge=_EARLIEST,
        le=_LATEST,
        description="the instant; if left out, now, or what the account's test clock says",
    )


def _query(request: Request) -> str:
    query: bytes = request.scope["query_string"]
    return query.decode("latin-1")


class _HotRoute(APIRoute):
    """A route that reads its few parameters itself. Through FastAPI's dependencies that took longer than all the rest
    of an answer; the document says the same."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        async def handle(request: Request) -> Response:
            caller = await authenticated(request)
            ensure_scope(caller, SCOPE)
            try:
                asked = Check.model_validate(dict(parse_qsl(_query(request), keep_blank_values=True)))
            except ValidationError as error:
                found = [{**each, "loc": ("query", *each["loc"])} for each in error.errors(include_url=False)]
                raise RequestValidationError(found) from None
            return await check_access(request, caller, asked)

        return handle


router = APIRouter(prefix="/v1/entitlements", tags=["entitlements"], route_class=_HotRoute)


@router.get(
    "/check",
    summary="Whether a reader may use a feature",
    response_model=AccessOut,
    openapi_extra={"x-example-query": {"feature": "archive", "subscriber": EXAMPLE_ACCOUNT}},
)
async def check_access(
    request: Request,
    caller: Annotated[Caller, Depends(require_scope(SCOPE))],
    asked: Annotated[Check, Query()],
) -> Response:
    """Counts nothing; see `use`. A reader of whom nothing is known is denied with `no_grant`; 404 for a feature that
    the catalog does not have."""
    at = asked.at or datetime.now(UTC)
    with paywall_of(request) as paywall:
        reader = asked.reader(caller)
        answer = await paywall.check(reader, asked.feature, at, asked.resource, by_clock=asked.at is None)
    return Response(json.dumps(access(answer)), media_type="application/json")
