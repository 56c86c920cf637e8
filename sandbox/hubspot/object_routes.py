"""The calls for objects and their properties: one at a time, in batches, listed and searched."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from sandbox.calls import Answer, Call, json_answer
from sandbox.hubspot.errors import Problem, invalid
from sandbox.hubspot.portal import Portal
from sandbox.hubspot.properties import Kind, Property, kind_named
from sandbox.hubspot.records import Record
from sandbox.hubspot.search import search
from sandbox.routes import route

_OBJECTS = "/crm/v3/objects/{type}"
_PROPERTIES = "/crm/v3/properties/{type}"
_MOST_LISTED = 100


class ObjectRoutes(Portal):
    """`/crm/v3/objects` and `/crm/v3/properties`."""

    async def around(self, call: Call, apply: Callable[[], Awaitable[Answer]]) -> Answer:
        """Answer a Problem in HubSpot's form."""
        try:
            return await super().around(call, apply)
        except Problem as problem:
            return problem.answer()

    # ---- one object

    @route("POST", _OBJECTS)
    def _create(self, call: Call) -> Answer:
        body = body_of_call(call)
        others = self.associations.asked(_kind(call), body.get("associations"))
        made = self.records.create(_kind(call), body.get("properties"))
        for other, spec in others:
            self.associations.link(made, other, [spec])
        return json_answer(made.as_json(list(made.values)), 201)

    @route("GET", _OBJECTS + "/{id}")
    def _read(self, call: Call) -> Answer:
        record = self._record(call)
        body = record.as_json(_asked(call))
        wanted = [name for name in (call.arg("associations") or "").split(",") if name]
        if wanted:
            body["associations"] = self._associated(record, wanted)
        return json_answer(body)

    @route("PATCH", _OBJECTS + "/{id}")
    def _update(self, call: Call) -> Answer:
        values = body_of_call(call).get("properties")
        record = self.records.update(self._record(call), values)
        return json_answer(record.as_json(list(values or {})))

    @route("DELETE", _OBJECTS + "/{id}")
    def _archive(self, call: Call) -> Answer:
        record = self.records.find(_kind(call), call.params["id"])
        if record is not None:
            self.records.archive(record)
        return Answer(204)

    @route("GET", _OBJECTS)
    def _list(self, call: Call) -> Answer:
        """In the order of ids; `after` is the id of the next page's first object."""
        limit = call.arg("limit") or "10"
        if not limit.isdigit() or not 0 < int(limit) <= _MOST_LISTED:
            raise invalid(f"limit must be 1 to {_MOST_LISTED}, not {limit}", "INVALID_LIMIT")
        start = count_of(call, "after", 0)
        found = [record for record in self.records.all(_kind(call)) if int(record.id) >= start]
        asked = _asked(call)
        body: dict[str, Any] = {"results": [record.as_json(asked) for record in found[: int(limit)]]}
        if len(found) > int(limit):
            after = found[int(limit)].id
            body["paging"] = {"next": {"after": after, "link": f"{call.base_url}{call.path}?after={after}"}}
        return json_answer(body)

    @route("POST", _OBJECTS + "/search")
    def _search(self, call: Call) -> Answer:
        """What the index knows: everything that is older than the lag."""
        kind = _kind(call)
        until = self.clock.now() - self.search_lag
        return json_answer(search(self.records.all(kind), body_of_call(call), kind, self.properties, until))

    # ---- batches

    @route("POST", _OBJECTS + "/batch/read")
    def _batch_read(self, call: Call) -> Answer:
        return self.batches.read(_kind(call), body_of_call(call))

    @route("POST", _OBJECTS + "/batch/create")
    def _batch_create(self, call: Call) -> Answer:
        return self.batches.create(_kind(call), body_of_call(call), self.associations)

    @route("POST", _OBJECTS + "/batch/update")
    def _batch_update(self, call: Call) -> Answer:
        return self.batches.update(_kind(call), body_of_call(call))

    @route("POST", _OBJECTS + "/batch/upsert")
    def _batch_upsert(self, call: Call) -> Answer:
        return self.batches.upsert(_kind(call), body_of_call(call))

    @route("POST", _OBJECTS + "/batch/archive")
    def _batch_archive(self, call: Call) -> Answer:
        return self.batches.archive(_kind(call), body_of_call(call))

    # ---- properties

    @route("GET", _PROPERTIES)
    def _properties(self, call: Call) -> Answer:
        return json_answer({"results": [one.as_json() for one in self.properties.of(_kind(call)).values()]})

    @route("GET", _PROPERTIES + "/{name}")
    def _property(self, call: Call) -> Answer:
        found = self.properties.of(_kind(call)).get(call.params["name"])
        if found is None:
            raise Problem(404, "OBJECT_NOT_FOUND", f"No property exists named '{call.params['name']}'.")
        return json_answer(found.as_json())

    @route("POST", _PROPERTIES)
    def _add_property(self, call: Call) -> Answer:
        given = body_of_call(call)
        for name in ("name", "label", "type", "fieldType", "groupName"):
            if not given.get(name) or not isinstance(given[name], str):
                raise invalid(f"{name} is required", "REQUIRED_FIELD", propertyName=name)
        unique = given.get("hasUniqueValue") is True
        wanted = Property(
            given["name"], given["type"], unique, given["label"], given["groupName"], given["fieldType"]
        )
        return json_answer(self.properties.add(_kind(call), wanted).as_json(), 201)

    # ----

    def _record(self, call: Call) -> Record:
        return self.records.get(_kind(call), call.params["id"], call.arg("idProperty"))

    def _associated(self, record: Record, wanted: list[str]) -> dict[str, Any]:
        body = {}
        for name in wanted:
            kind = kind_named(name)
            type_name = f"{record.kind.singular}_to_{kind.singular}"
            found = [{"id": id, "type": type_name} for id, _ in self.associations.of(record, kind)]
            if found:
                body[kind.plural.replace("_", " ")] = {"results": found}
        return body


def _kind(call: Call) -> Kind:
    return kind_named(call.params["type"])


def _asked(call: Call) -> list[str]:
    return [name for key, value in call.query if key == "properties" for name in value.split(",") if name]


def body_of_call(call: Call) -> dict[str, Any]:
    """The body, a JSON object. Raises Problem (400)."""
    body = call.json()
    if not isinstance(body, dict):
        raise invalid("The body must be a JSON object", "INVALID_JSON")
    return body


def count_of(call: Call, name: str, default: int) -> int:
    """A whole number in the query. Raises Problem (400)."""
    text = call.arg(name) or str(default)
    if not text.isdigit():
        raise invalid(f"{name} must be a number, not {text!r}", "INVALID_PAGE")
    return int(text)
