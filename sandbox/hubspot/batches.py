"""Batches: up to 100 records, each with its own answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sandbox.calls import Answer, json_answer
from sandbox.hubspot.associations import Associations
from sandbox.hubspot.errors import Problem, invalid
from sandbox.hubspot.properties import Kind, Properties
from sandbox.hubspot.records import Records

MOST = 100
_One = Callable[[dict[str, Any]], dict[str, Any]]


class Batches:
    """The batch calls over one portal's records. All raise Problem for what fails the whole batch."""

    def __init__(self, records: Records, properties: Properties, now: Callable[[], datetime]) -> None:
        self._records = records
        self._properties = properties
        self._now = now

    def read(self, kind: Kind, body: Mapping[str, Any]) -> Answer:
        """Those that exist; one error names all that do not."""
        inputs = checked_inputs(body, "id")
        id_property = str(body.get("idProperty") or "") or None
        found = [self._records.find(kind, str(one["id"]), id_property) for one in inputs]
        asked = names(body.get("properties"))
        results = [record.as_json(asked) for record in found if record is not None]
        lost = [str(one["id"]) for one, record in zip(inputs, found, strict=True) if record is None]
        text = f"Could not get some {kind.singular.upper()} objects, they may be deleted or not exist."
        errors = [Problem(404, "OBJECT_NOT_FOUND", text).as_record_error(lost)] if lost else []
        return self._answer(results, errors, 200)

    def create(self, kind: Kind, body: Mapping[str, Any], associations: Associations) -> Answer:
        """New objects, with the associations that their inputs ask for."""

        def one(given: dict[str, Any]) -> dict[str, Any]:
            others = associations.asked(kind, given.get("associations"))
            made = self._records.create(kind, given["properties"])
            for other, spec in others:
                associations.link(made, other, [spec])
            return made.as_json(list(given["properties"]))

        return self._each(kind, checked_inputs(body, "properties"), one, 201)

    def update(self, kind: Kind, body: Mapping[str, Any]) -> Answer:
        """Other values for objects that exist."""

        def one(given: dict[str, Any]) -> dict[str, Any]:
            record = self._records.get(kind, str(given["id"]), given.get("idProperty"))
            return self._records.update(record, given["properties"]).as_json(list(given["properties"]))

        return self._each(kind, checked_inputs(body, "id", "properties"), one, 200)

    def upsert(self, kind: Kind, body: Mapping[str, Any]) -> Answer:
        """The object of a unique value, made where there is none. `new` says which it was."""
        inputs = checked_inputs(body, "id", "properties")
        for given in inputs:
            if not given.get("idProperty"):
                raise invalid("idProperty is required for an upsert", "MISSING_ID_PROPERTY")
            self._records.check_id_property(kind, given["idProperty"])

        def one(given: dict[str, Any]) -> dict[str, Any]:
            id, name = str(given["id"]), given["idProperty"]
            record = self._records.find(kind, id, name)
            if record is None:
                made = self._records.create(kind, {name: id, **given["properties"]}, key=id)
                return {**made.as_json(list(given["properties"])), "new": True}
            self._records.update(record, given["properties"])
            return {**record.as_json(list(given["properties"])), "new": False}

        return self._each(kind, inputs, one, 200)

    def archive(self, kind: Kind, body: Mapping[str, Any]) -> Answer:
        """Delete those that exist."""
        for given in checked_inputs(body, "id"):
            record = self._records.find(kind, str(given["id"]))
            if record is not None:
                self._records.archive(record)
        return Answer(204)

    def _each(self, kind: Kind, inputs: list[dict[str, Any]], one: _One, good: int) -> Answer:
        self._refuse_unknown_properties(kind, inputs)
        _refuse_repeated(inputs)
        results, errors = [], []
        for given in inputs:
            try:
                results.append(one(given))
            except Problem as problem:
                errors.append(problem.as_record_error(_named(given), given.get("objectWriteTraceId")))
                continue
            if given.get("objectWriteTraceId"):
                results[-1]["objectWriteTraceId"] = given["objectWriteTraceId"]
        return self._answer(results, errors, good)

    def _refuse_unknown_properties(self, kind: Kind, inputs: list[dict[str, Any]]) -> None:
        """HubSpot refuses the whole batch for a property that it does not know; the details name the records."""
        first, details = None, []
        for given in inputs:
            try:
                self._properties.checked(kind, given["properties"])
            except Problem as problem:
                if problem.spoils:
                    first = first or problem
                    ids = {"ids": _named(given)}
                    details += [{**error, "context": {**error["context"], **ids}} for error in problem.errors]
        if first is not None:
            raise Problem(first.status, first.category, first.message, details)

    def _answer(self, results: list[dict[str, Any]], errors: list[dict[str, Any]], good: int) -> Answer:
        now = self._now().isoformat()
        times = {"requestedAt": now, "startedAt": now, "completedAt": now}
        body: dict[str, Any] = {"status": "COMPLETE", "results": results, **times}
        if errors:
            body |= {"numErrors": len(errors), "errors": errors}
        return json_answer(body, 207 if errors else good)


def checked_inputs(body: Any, *needed: str) -> list[dict[str, Any]]:
    """The inputs of a batch. Raises Problem (400) for none, too many or unreadable ones."""
    inputs = body.get("inputs") if isinstance(body, dict) else None
    if not isinstance(inputs, list) or not inputs:
        raise invalid("inputs must not be empty", "MISSING_INPUTS")
    if len(inputs) > MOST:
        raise invalid(f"A batch takes {MOST} inputs at most, not {len(inputs)}", "TOO_MANY_INPUTS")
    for given in inputs:
        if not isinstance(given, dict) or any(name not in given for name in needed):
            raise invalid(f"Each input needs {' and '.join(needed)}", "INVALID_INPUT")
        for name, value in given.items():
            if name in _SHAPES and value is not None and not _SHAPES[name](value):
                raise invalid(f"{name} of an input cannot be {value!r}", "INVALID_INPUT")
            if name in needed and value is None:
                raise invalid(f"{name} of an input must not be null", "INVALID_INPUT")
    return inputs


def checked_pairs(body: Any, *needed: str) -> list[dict[str, Any]]:
    """The same, of inputs whose `to` is one end. Raises Problem (400)."""
    inputs = checked_inputs(body, *needed)
    if any(isinstance(given["to"], list) for given in inputs):
        raise invalid("to of an input must be one object", "INVALID_INPUT")
    return inputs


def names(value: Any) -> list[str]:
    """A list of property names, empty when absent. Raises Problem (400)."""
    if value is not None and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
        raise invalid(f"properties must be a list of names, not {value!r}", "INVALID_PROPERTIES")
    return list(value or [])


def is_reference(value: Any) -> bool:
    """Whether it is {"id": ...}."""
    return isinstance(value, dict) and isinstance(value.get("id"), str | int)


def _is_end(value: Any) -> bool:
    return is_reference(value) or (isinstance(value, list) and all(is_reference(one) for one in value))


_SHAPES: dict[str, Callable[[Any], bool]] = {
    "id": lambda value: isinstance(value, str | int),
    "idProperty": lambda value: isinstance(value, str),
    "objectWriteTraceId": lambda value: isinstance(value, str),
    "properties": lambda value: isinstance(value, dict),
    "from": is_reference,
    "to": _is_end,
    "types": lambda value: isinstance(value, list) and all(isinstance(one, dict) for one in value),
}


def _refuse_repeated(inputs: list[dict[str, Any]]) -> None:
    ids = [str(given["id"]).lower() for given in inputs if "id" in given]
    repeated = sorted({id for id in ids if ids.count(id) > 1})
    if repeated:
        raise invalid(f"Duplicate IDs found in batch input: {repeated}. IDs must be unique", "DUPLICATE_IDS")


def _named(given: Mapping[str, Any]) -> list[str]:
    return [str(given["id"])] if "id" in given else []
