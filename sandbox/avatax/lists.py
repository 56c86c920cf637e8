"""`$filter`, `$orderBy`, `$top` and `$skip` over documents that are rendered already."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from sandbox.avatax.errors import refused
from sandbox.calls import Call

_MOST = 1000
_TERM = re.compile(r"\s*(\w+)\s+(\w+)\s+('(?:[^']|'')*'|[^\s']+)\s*", re.IGNORECASE)
_TESTS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": lambda found, wanted: bool(found == wanted),
    "ne": lambda found, wanted: bool(found != wanted),
    "gt": lambda found, wanted: bool(found > wanted),
    "ge": lambda found, wanted: bool(found >= wanted),
    "gte": lambda found, wanted: bool(found >= wanted),
    "lt": lambda found, wanted: bool(found < wanted),
    "le": lambda found, wanted: bool(found <= wanted),
    "lte": lambda found, wanted: bool(found <= wanted),
    "startswith": lambda found, wanted: str(found).startswith(str(wanted)),
    "contains": lambda found, wanted: str(wanted) in str(found),
}


def page_of(rows: list[dict[str, Any]], call: Call) -> dict[str, Any]:
    """A FetchResult: the rows that pass, in order, and a link to the next ones. Terms are joined by `and` only."""
    found = [row for row in rows if _passes(row, call.arg("$filter"))]
    order = call.arg("$orderBy")
    if order:
        field, _, direction = order.strip().partition(" ")
        found.sort(key=lambda row: _value(row, field), reverse=direction.strip().lower() == "desc")
    top = _count(call, "$top", _MOST)
    skip = _count(call, "$skip", 0)
    body: dict[str, Any] = {"@recordsetCount": len(found), "value": found[skip : skip + top]}
    if skip + top < len(found):
        query = {**dict(call.query), "$top": top, "$skip": skip + top}
        body["@nextLink"] = f"{call.base_url}{call.path}?{urlencode(query)}"
    return body


def _passes(row: dict[str, Any], terms: str | None) -> bool:
    for term in re.split(r"\s+and\s+", terms or "", flags=re.IGNORECASE):
        if not term.strip():
            continue
        match = _TERM.fullmatch(term)
        if match is None or match[2].lower() not in _TESTS:
            raise refused("SyntaxError", f"$filter cannot be read at {term!r}.", target="$filter")
        found = _value(row, match[1])
        if not _TESTS[match[2].lower()](found, _alike(match[3], found)):
            return False
    return True


def _value(row: dict[str, Any], field: str) -> Any:
    names = {name.lower(): name for name in row}
    if field.lower() not in names:
        raise refused("InvalidQueryField", f"There is no field {field!r} to ask for.", target="$filter")
    value = row[names[field.lower()]]
    if isinstance(value, list | dict):
        raise refused("InvalidQueryField", f"Field {field!r} cannot be asked for.", target="$filter")
    return value


def _alike(text: str, found: Any) -> Any:
    """What the client wrote, in the type of what is compared with it."""
    plain = text[1:-1].replace("''", "'") if text.startswith("'") else text
    if isinstance(found, bool):
        return plain.lower() == "true"
    try:
        return type(found)(plain) if isinstance(found, int | float) else plain
    except ValueError:
        raise refused("SyntaxError", f"$filter: {plain!r} is no number.", target="$filter") from None


def _count(call: Call, name: str, default: int) -> int:
    text = call.arg(name)
    if text is None:
        return default
    if not text.isdigit() or int(text) > _MOST * 1000:
        raise refused("QueryParameterOutOfRange", f"{name} {text!r} is out of range.", target=name)
    return min(int(text), _MOST) if name == "$top" and int(text) else int(text) or default
