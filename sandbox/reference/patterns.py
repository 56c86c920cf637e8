"""The shapes that most methods have: make a new row, bring a row to its state, end one, and the same for batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import Any

from sandbox.calls import Refused
from sandbox.reference.memory import Memory, Method, Row, needs, refuse

Show = Callable[[Row], Row]
#: Fields of records that this system does not have.
UNKNOWN_FIELDS = "no_such_*"


def make(
    collection: str, kind: str, by: str, required: tuple[str, ...], extra: Mapping[str, Any], show: Show
) -> Method:
    """A write that makes a new row each time, with the fields of the request and `extra`; its key is in field `by`."""

    def apply(memory: Memory, request: Any) -> Row:
        fields = needs(request, by, *required)
        row = memory.add(collection, **{**fields, **extra})
        memory.effect(kind, str(fields[by]), row)
        return show(row)

    return Method(apply)


def put(collection: str, kind: str, by: str, extra: Mapping[str, Any], show: Show) -> Method:
    """A write that brings the one row with this `by` to the request's state."""

    def apply(memory: Memory, request: Any) -> Row:
        return show(put_row(memory, collection, kind, by, {**needs(request, by), **extra}))

    return Method(apply)


def put_row(memory: Memory, collection: str, kind: str, by: str, fields: Row) -> Row:
    """The row, made or brought to its state."""
    row = memory.last(collection, **{by: fields[by]})
    row = memory.add(collection, **fields) if row is None else memory.touch(row, **fields)
    memory.effect(kind, str(fields[by]), row)
    return row


def end(collection: str, kind: str, at: str, by: str, ended: Mapping[str, Any], show: Show) -> Method:
    """A write that ends the row whose `by` is in field `at` of the request; an ended one is answered as it is."""

    def apply(memory: Memory, request: Any) -> Row:
        name = needs(request, at)[at]
        row = memory.last(collection, **{by: name})
        if row is None:
            raise refuse(404, "not_found", f"there is no {collection} {name}")
        if any(row.get(field) != value for field, value in ended.items()):
            memory.touch(row, **ended)
            memory.effect(kind, str(name), row)
        return show(row)

    return Method(apply)


def batch(collection: str, kind: str, by: Callable[[Row], str], *, once: bool = False) -> Method:
    """A write of many records, each with an outcome of its own. `once`: a record with a known key is not told again."""

    def apply(memory: Memory, request: Any) -> list[Row]:
        if not isinstance(request, list):
            raise refuse(422, "invalid", "the body must be a JSON list of records")
        return [_outcome(memory, record) for record in request]

    def _outcome(memory: Memory, record: Any) -> Row:
        key = str(record.get("key", "")) if isinstance(record, dict) else ""
        try:
            _check(needs(record, "key"))
        except Refused as refused:
            return {"key": key, "status": "rejected", **_reasons(refused)}
        place = by(record)
        known = memory.last(collection, place=place)
        if known is None or not once:
            known = put_row(memory, collection, kind, "place", {**record, "place": place})
        return {"key": key, "status": "written", "vendor_id": known["id"], "fields": {}}

    return Method(apply)


def _check(record: Row) -> None:
    fields = {**(record.get("fields") or {})}
    wrong = {name: "is unknown" for name in fields if fnmatchcase(name, UNKNOWN_FIELDS)}
    email = record.get("email") or fields.get("email")
    if email and "@" not in email:
        wrong["email"] = "is no address"
    if wrong:
        raise refuse(422, "invalid", ", ".join(f"{name} {what}" for name, what in wrong.items()), **wrong)


def _reasons(refused: Refused) -> Row:
    error: Row = json.loads(refused.answer.body)["error"]
    return error
