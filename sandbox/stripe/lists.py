"""Cursor pages, filters by creation time, and search over an index that lags."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from sandbox.stripe.errors import invalid
from sandbox.stripe.params import Params
from sandbox.stripe.state import Object

_CLAUSE = re.compile(
    r"""\s*(?P<field>[\w.]+)(?:\[(?P<q1>['"])(?P<entry>.+?)(?P=q1)\])?\s*(?P<op>:|>=|<=|>|<)\s*"""
    r"""(?:(?P<q2>['"])(?P<text>.*?)(?P=q2)|(?P<bare>[\w.-]+))\s*(?P<join>AND\s|OR\s|$)""",
    re.IGNORECASE,
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda a, b: a > b,
    "gte": lambda a, b: a >= b,
    "lt": lambda a, b: a < b,
    "lte": lambda a, b: a <= b,
}
_OPERATORS = {">": "gt", ">=": "gte", "<": "lt", "<=": "lte"}


def page(objects: list[Object], params: Params, url: str) -> Object:
    """A page of `objects` (newest first) by limit, starting_after and ending_before."""
    limit = _limit(params)
    after, before = params.text("starting_after"), params.text("ending_before")
    created = params.raw("created")
    params.done()
    shown = [one for one in objects if _created(one, created)]
    if after:
        shown = shown[_place(shown, after, "starting_after") + 1 :]
    if before:
        shown = shown[: _place(shown, before, "ending_before")]
        return {"object": "list", "url": url, "has_more": len(shown) > limit, "data": shown[-limit:]}
    return {"object": "list", "url": url, "has_more": len(shown) > limit, "data": shown[:limit]}


def _limit(params: Params) -> int:
    limit = params.number("limit")
    if limit is not None and not 1 <= limit <= 100:
        raise invalid("Invalid limit: must be between 1 and 100.", "parameter_invalid_integer", "limit")
    return limit or 10


def _place(objects: list[Object], id: str, param: str) -> int:
    for place, one in enumerate(objects):
        if one["id"] == id:
            return place
    raise invalid(f"No such object: '{id}'", "resource_missing", param)


def _created(one: Object, wanted: Any) -> bool:
    if wanted is None:
        return True
    bounds = wanted if isinstance(wanted, dict) else {"gte": wanted, "lte": wanted}
    for name, bound in bounds.items():
        if name not in _COMPARE or not str(bound).isdigit():
            raise invalid(f"Invalid created[{name}]", "parameter_invalid_integer", "created")
        if not _COMPARE[name](one["created"], int(bound)):
            return False
    return True


def search(objects: list[Object], params: Params, url: str, indexed_until: int) -> Object:
    """Those created up to `indexed_until` (Unix seconds) that match Stripe's query language, paged by `page`."""
    test = _query(params.required("query"))
    limit, token = _limit(params), params.text("page")
    params.done()
    found = [one for one in objects if one["created"] <= indexed_until and test(one)]
    start = 0
    if token:
        if not token.isdigit():
            raise invalid("Invalid page.", "parameter_invalid_string", "page")
        start = int(token)
    end = start + limit
    more = len(found) > end
    result = {"object": "search_result", "url": url, "has_more": more, "data": found[start:end]}
    return {**result, "next_page": str(end) if more else None}


def _query(query: str) -> Callable[[Object], bool]:
    clauses: list[Callable[[Object], bool]] = []
    joins: set[str] = set()
    place = 0
    while place < len(query):
        match = _CLAUSE.match(query, place)
        if match is None:
            raise invalid(
                f"We were unable to parse your search query: {query}", "parameter_invalid_string", "query"
            )
        clauses.append(_clause(match))
        joins.add(match["join"].strip().upper())
        place = match.end()
    joins.discard("")
    if not clauses or len(joins) > 1:
        raise invalid("A search query is clauses joined by AND or by OR, not both.", None, "query")
    joined = any if "OR" in joins else all
    return lambda one: joined(clause(one) for clause in clauses)


def _clause(match: re.Match[str]) -> Callable[[Object], bool]:
    field, entry, op = match["field"], match["entry"], match["op"]
    wanted = match["text"] if match["text"] is not None else match["bare"]

    def value(one: Object) -> Any:
        found = one.get(field)
        return found.get(entry) if entry is not None and isinstance(found, dict) else found

    if op == ":":
        return lambda one: str(value(one)).lower() == wanted.lower() if value(one) is not None else False
    if not re.fullmatch(r"-?\d+", wanted):
        raise invalid(f"{field} is compared with a number.", "parameter_invalid_integer", "query")
    compare = _COMPARE[_OPERATORS[op]]
    return lambda one: isinstance(value(one), int) and compare(value(one), int(wanted))
