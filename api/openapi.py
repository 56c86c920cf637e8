"""The OpenAPI document: what FastAPI makes of the routes, with the problems that each may answer, the scope that each
asks for, and which headers it cannot do without."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from api.etags import if_match
from api.idempotency import one_request
from api.problems import MEDIA_TYPE, ProblemOut

DESCRIPTION = """
The HTTP API of Masthead. Amounts of money are whole numbers of the currency's smallest unit (cents; yen), beside a
currency; amounts of the catalog, which may be finer, are decimal text in major units. Days are `2026-12-01` in the
account's time zone, instants RFC 3339. Ids are opaque.

Send a key as `Authorization: Bearer KEY`. Each operation names the scope that it asks for. A key may be bound to one
account, and to live or test mode: what it may not see is 404.

Errors are problem details (RFC 9457) with a stable `kind` and a `remedy`. Lists come in pages: pass `next` as `after`.
What moves money or creates what does takes an `Idempotency-Key`; what two may edit shows an `ETag`, which an edit asks
for as `If-Match` and a command may be given.
"""
# Headers that a route cannot do without: FastAPI takes them for optional, for the dependency says what is missing.
_REQUIRED_BY = {one_request: "Idempotency-Key", if_match: "If-Match"}
# What one_request lets pass.
_HEADERS = {"Idempotency-Key": {"minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"}}
_PROBLEM = "#/components/schemas/Problem"


def describe(app: FastAPI, routers: Sequence[APIRouter]) -> None:
    """Let `app` answer the finished document; `routers` are all that it includes, with their own prefixes."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _finished(app, routers)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _finished(app: FastAPI, routers: Sequence[APIRouter]) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, summary=app.summary, description=DESCRIPTION, routes=app.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    model = ProblemOut.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(model.pop("$defs", {}))
    schemas["Problem"] = model
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for schema in schemas.values():
        _complete(schema.get("example"), schema, schemas)
    known = {
        (route.path_format, method.lower()): route
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            route = known[path, method]
            _finish(operation, list(_calls(route.dependant)))
            if getattr(route.endpoint, "__masthead_open__", False):
                operation["security"] = []
    return document


def _finish(operation: dict[str, Any], calls: Sequence[Any]) -> None:
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    for statuses, what in (("4XX", "Refused"), ("5XX", "Could not be answered")):
        responses.setdefault(
            statuses, {"description": what, "content": {MEDIA_TYPE: {"schema": {"$ref": _PROBLEM}}}}
        )
    required = {_REQUIRED_BY[call] for call in calls if call in _REQUIRED_BY}
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _sent(parameter["schema"])
        if parameter["in"] == "header":
            parameter["required"] = parameter["name"] in required
            parameter["schema"] |= {"title": parameter["name"], **_HEADERS.get(parameter["name"], {})}
    scope = next((call.__masthead_scope__ for call in calls if hasattr(call, "__masthead_scope__")), None)
    if scope is not None:
        operation["x-scope"] = scope
        operation["description"] = f"{operation.get('description', '')}\n\nScope: `{scope}`.".strip()


def _complete(example: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> None:
    """Put back what is null in an example: FastAPI leaves it out of the document."""
    schema = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
    if isinstance(example, list):
        for each in example:
            _complete(each, schema.get("items", {}), schemas)
    elif isinstance(example, dict):
        for name in schema.get("required", ()):
            example.setdefault(name, None)
        for name, inner in schema.get("properties", {}).items():
            for one in (inner, *inner.get("anyOf", ())):
                _complete(example.get(name), one, schemas)


def _sent(schema: dict[str, Any]) -> dict[str, Any]:
    """What a parameter may be where it is sent: never null, which is how Python takes one that is left out."""
    kinds = [each for each in schema.get("anyOf", ()) if each.get("type") != "null"]
    if len(kinds) != 1:
        return schema
    return {**{name: value for name, value in schema.items() if name != "anyOf"}, **kinds[0]}


def _calls(dependant: Dependant) -> Iterator[Any]:
    """The dependencies of a route, and theirs."""
    for each in dependant.dependencies:
        yield each.call
        yield from _calls(each)
