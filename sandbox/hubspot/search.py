"""The search: filters over what the index knows, which is older than what the objects are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sandbox.hubspot.batches import names
from sandbox.hubspot.errors import invalid
from sandbox.hubspot.properties import Kind, Properties
from sandbox.hubspot.records import Record

_MOST = 200
_SEARCHED = ("email", "firstname", "lastname", "phone", "name", "domain", "dealname", "hs_sku")


def search(
    records: list[Record],
    body: Mapping[str, Any],
    kind: Kind,
    properties: Properties,
    indexed_until: datetime,
) -> dict[str, Any]:
    """The answer to a search request; an object shows the values that it had at `indexed_until`."""
    limit, after = body.get("limit", 10), str(body.get("after") or 0)
    if not isinstance(limit, int) or not 0 < limit <= _MOST or not after.isdigit():
        raise invalid(f"limit must be 1 to {_MOST} and after a number", "INVALID_PAGE")
    groups = _checked_groups(body.get("filterGroups") or [], kind, properties)
    sorts = body.get("sorts") or []
    if not isinstance(sorts, list):
        raise invalid("sorts must be a list", "INVALID_SORT")
    text = str(body.get("query") or "").lower()
    found: list[tuple[Record, dict[str, str]]] = []
    for record in records:
        values = record.as_of(indexed_until)
        if values is not None and _found(values, groups) and (not text or _contains(values, text)):
            found.append((record, values))
    for sort in reversed(sorts):
        name, descending = _order(sort)
        found.sort(key=lambda pair: _rank(pair[1].get(name, "")), reverse=descending)
    return _page(found, limit, int(after), names(body.get("properties")))


def _checked_groups(groups: Any, kind: Kind, properties: Properties) -> list[Any]:
    try:
        for one in (one for group in groups for one in group["filters"]):
            if one["propertyName"] not in properties.of(kind) or one["operator"] not in _OPERATORS:
                raise invalid(f"There was a problem with the filter {one}", "INVALID_FILTER")
            if one["operator"] in ("IN", "NOT_IN") and not isinstance(one.get("values"), list):
                raise invalid(f"{one['operator']} needs a list of values", "INVALID_FILTER")
    except (TypeError, KeyError):
        raise invalid(
            "filterGroups must be lists of filters with propertyName and operator", "INVALID_FILTER"
        ) from None
    return list(groups)


def _page(
    found: list[tuple[Record, dict[str, str]]], limit: int, start: int, asked: list[str]
) -> dict[str, Any]:
    results = []
    for record, values in found[start : start + limit]:
        old = Record(record.id, record.kind, values, record.created, record.updated)
        results.append(old.as_json(asked))
    answer: dict[str, Any] = {"total": len(found), "results": results}
    if start + limit < len(found):
        answer["paging"] = {"next": {"after": str(start + limit)}}
    return answer


def _found(values: Mapping[str, str], groups: list[Any]) -> bool:
    return not groups or any(all(_fits(values, one) for one in group.get("filters", ())) for group in groups)


def _fits(values: Mapping[str, str], wanted: Mapping[str, Any]) -> bool:
    return _OPERATORS[wanted["operator"]](values.get(wanted["propertyName"], ""), wanted)


def _contains(values: Mapping[str, str], text: str) -> bool:
    return any(text in values.get(name, "").lower() for name in _SEARCHED)


def _order(sort: Any) -> tuple[str, bool]:
    if isinstance(sort, dict):
        return str(sort.get("propertyName")), sort.get("direction") == "DESCENDING"
    return str(sort).removeprefix("-"), str(sort).startswith("-")


def _rank(value: str) -> tuple[int, float, str]:
    """Numbers by their value, before text."""
    try:
        return 0, float(value), ""
    except ValueError:
        return 1, 0.0, value


def _same(value: str, other: Any) -> bool:
    return value.lower() == str(other or "").lower()


_OPERATORS: dict[str, Callable[[str, Mapping[str, Any]], bool]] = {
    "EQ": lambda value, wanted: _same(value, wanted.get("value")),
    "NEQ": lambda value, wanted: not _same(value, wanted.get("value")),
    "LT": lambda value, wanted: bool(value) and _rank(value) < _rank(str(wanted.get("value"))),
    "LTE": lambda value, wanted: bool(value) and _rank(value) <= _rank(str(wanted.get("value"))),
    "GT": lambda value, wanted: bool(value) and _rank(value) > _rank(str(wanted.get("value"))),
    "GTE": lambda value, wanted: bool(value) and _rank(value) >= _rank(str(wanted.get("value"))),
    "BETWEEN": lambda value, wanted: (
        bool(value) and _rank(str(wanted.get("value"))) <= _rank(value) <= _rank(str(wanted.get("highValue")))
    ),
    "IN": lambda value, wanted: any(_same(value, one) for one in wanted.get("values", ())),
    "NOT_IN": lambda value, wanted: not any(_same(value, one) for one in wanted.get("values", ())),
    "HAS_PROPERTY": lambda value, wanted: bool(value),
    "NOT_HAS_PROPERTY": lambda value, wanted: not value,
    "CONTAINS_TOKEN": lambda value, wanted: str(wanted.get("value", "")).strip("*").lower() in value.lower(),
    "NOT_CONTAINS_TOKEN": lambda value, wanted: (
        str(wanted.get("value", "")).strip("*").lower() not in value.lower()
    ),
}
