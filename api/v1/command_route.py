"""The route class of commands on a subscription: a regular request is read by itself, any other by FastAPI."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any, get_type_hints
from uuid import UUID

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError

from api.etags import if_given
from api.idempotency import one_request
from api.problems import Problem
from api.security import authenticated, require_scope
from api.v1.commanding import SCOPE, SubscriptionCommand

_PARAMETERS = {"on", "order", "return"}
_may = require_scope(SCOPE)


class CommandRoute(APIRoute):
    """FastAPI's dependencies took a third of the time of a command. Where anything about a request is not as it should
    be, they are asked after all, and say what: there is one place that words a refusal."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """What answers a request."""
        by_fastapi = super().get_route_handler()
        hints = get_type_hints(self.endpoint)
        if not hints.keys() <= _PARAMETERS:
            return by_fastapi
        order: type[BaseModel] | None = hints.get("order")

        async def handle(request: Request) -> Response:
            given = await _regular(request, order)
            if given is None:
                return await by_fastapi(request)
            response: Response = await self.endpoint(*given)
            return response

        return handle


async def _regular(request: Request, order: type[BaseModel] | None) -> tuple[object, ...] | None:
    """The arguments of the endpoint; None for a request with anything to be said about."""
    try:
        caller = request.state.caller = await authenticated(request)
        await _may(request)
        once = await one_request(request, request.headers.get("idempotency-key"))
        seen = await if_given(request.headers.get("if-match"))
        on = SubscriptionCommand(request, caller, once, seen, UUID(request.path_params["subscription_id"]))
        if order is None:
            return (on,)
        if request.headers.get("content-type") != "application/json":
            return None
        return on, order.model_validate(json.loads(await request.body()))
    except (Problem, ValueError, RecursionError, ValidationError):
        return None
