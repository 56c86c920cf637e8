"""What the reference stand-in remembers, and how its methods read requests and refuse them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sandbox.calls import Refused, json_answer
from sandbox.stand_in import StandIn

Row = dict[str, Any]


def refuse(status: int, code: str, message: str, **fields: str) -> Refused:
    """An error to raise: `{"error": {code, message, fields}}`; `fields` names what is wrong with which field."""
    return Refused(json_answer({"error": {"code": code, "message": message, "fields": fields}}, status))


def needs(request: Any, *names: str) -> Row:
    """The request as an object with these fields; refused with 422 where one is missing or empty."""
    if not isinstance(request, dict):
        raise refuse(422, "invalid", "the body must be a JSON object")
    lacking = {name: "is required" for name in names if request.get(name) in (None, "", [])}
    if lacking:
        raise refuse(422, "invalid", f"missing: {', '.join(lacking)}", **lacking)
    return request


class Memory:
    """Rows by collection, each with an `id`; effects go to the stand-in under the key of the write in hand."""

    def __init__(self, owner: StandIn) -> None:
        self._owner = owner
        self.rows: dict[str, dict[str, Row]] = {}
        self.key: str | None = None
        self.base_url = ""
        self._last = 0

    def now(self) -> datetime:
        """The stand-in's instant."""
        return self._owner.clock.now()

    def add(self, collection: str, **fields: Any) -> Row:
        """A new row with an id of its own and its place in the order of changes."""
        self._last += 1
        row = {"id": f"{collection}-{self._last}", **fields, "changed": self._last}
        self.rows.setdefault(collection, {})[row["id"]] = row
        return row

    def touch(self, row: Row, **fields: Any) -> Row:
        """Change a row."""
        self._last += 1
        row.update(fields, changed=self._last)
        return row

    def get(self, collection: str, id: str) -> Row:
        """The row with this id; 404 when there is none."""
        row = self.rows.get(collection, {}).get(id)
        if row is None:
            raise refuse(404, "not_found", f"there is no {collection} {id}")
        return row

    def last(self, collection: str, **wanted: Any) -> Row | None:
        """The latest row with these fields."""
        for row in reversed(self.rows.get(collection, {}).values()):
            if all(row.get(name) == value for name, value in wanted.items()):
                return row
        return None

    def effect(self, kind: str, key: str, row: Row, **detail: Any) -> None:
        """Write down what happened: `key` is the business's; it is found by the idempotency key and the id too."""
        self._owner.effect(kind, key, also=(str(row["id"]), self.key or ""), **detail)


@dataclass(frozen=True)
class Method:
    """One method of a capability: what it does with a request, and whether it is a write, which needs a key."""

    apply: Callable[[Memory, Any], Any]
    write: bool = True


def shown(row: Row, *names: str, **renamed: str) -> Row:
    """Some fields of a row, and some under another name."""
    return {**{name: row.get(name) for name in names}, **{to: row.get(at) for to, at in renamed.items()}}


def finder(collection: str, by: str, show: Callable[[Row], Row]) -> Method:
    """A read: the latest row whose field `by` is what the request says, null when there is none."""

    def find(memory: Memory, request: Any) -> Row | None:
        row = memory.last(collection, **{by: needs(request, by)[by]})
        return show(row) if row is not None else None

    return Method(find, write=False)
