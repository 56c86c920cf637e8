"""The named functions of a mapping, beside those that JMESPath has: pure, and null stays null unless said otherwise.

Money crosses as minor units on our side and as decimal text on the other; dates and instants as ISO 8601 text.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any

from jmespath import functions as jmespath_functions

from domain.money import MoneyError, exponent, parse_minor, to_major

Table = Mapping[str, Any]


class UnreadableValue(ValueError):
    """A value that a function cannot work with. The message names the function and the kind of value, not its
    content, which may be personal."""


def as_text(value: Any) -> str | None:
    """`value` as other systems read it: true and false in small letters, numbers without an exponent."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, int | float):
        return str(value)
    raise UnreadableValue(f"{_kind(value)} is no text; choose what of it is meant, or join() it")


def _upper(value: str) -> str:
    return value.upper()


def _lower(value: str) -> str:
    return value.lower()


def _trim(value: str) -> str:
    return value.strip()


def _clip(value: str, length: int) -> str:
    return value[: _whole(length, "clip")]


def _digest(value: str) -> str:
    return hashlib.sha256(value.strip().lower().encode()).hexdigest()


def _given_name(value: str) -> str:
    return value.strip().rpartition(" ")[0] or value.strip()


def _family_name(value: str) -> str | None:
    return value.strip().rpartition(" ")[2] if " " in value.strip() else None


def _date(value: str, layout: str) -> str:
    return _instant(value, "date").strftime(layout)


def _millis(value: str) -> int:
    return int(_instant(value, "millis").timestamp()) * 1000


def _seconds(value: str) -> int:
    return int(_instant(value, "seconds").timestamp())


def _decimal(minor: int, currency: str) -> str:
    try:
        return f"{to_major(_whole(minor, 'decimal'), currency):.{exponent(currency)}f}"
    except MoneyError as error:
        raise UnreadableValue(f"decimal: {error}") from None


def _minor(amount: Any, currency: str) -> int:
    try:
        return parse_minor(str(amount), currency)
    except MoneyError:
        raise UnreadableValue(
            f"minor: not an amount of that currency with a point ({_kind(amount)})"
        ) from None


def _country_name(code: str) -> str:
    try:
        return _countries()[code.upper()]
    except KeyError:
        raise UnreadableValue("country_name: not a country code of ISO 3166 (two letters)") from None


def _country_code(name: str) -> str:
    known = _countries()
    if name.strip().upper() in known:
        return name.strip().upper()
    for code, called in known.items():
        if called.casefold() == name.strip().casefold():
            return code
    raise UnreadableValue("country_code: neither a code of ISO 3166 nor a country's English name")


@cache
def _countries() -> dict[str, str]:
    """English country names by ISO 3166 code, from the time zone database."""
    text = resources.files("tzdata").joinpath("zoneinfo/iso3166.tab").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.splitlines() if line and not line.startswith("#"))
    return {row[0]: row[1].replace("(UK)", "").replace("(US)", "").strip() for row in rows}


def _default(value: Any, otherwise: Any) -> Any:
    return otherwise if value is None or value == "" else value


def _joined(values: list[Any], glue: str) -> str:
    if not isinstance(values, list):
        raise UnreadableValue(f"joined: needs a list, as in joined([a, b], ' '), not {_kind(values)}")
    return glue.join(text for value in values if (text := as_text(value)))


def _text(value: Any) -> str | None:
    return as_text(value)


def _with_decimal(rows: Any, name: str, currency: str) -> list[Any]:
    return _with(rows, name, lambda amount: _decimal(amount, currency), "with_decimal")


def _with_minor(rows: Any, name: str, currency: str) -> list[Any]:
    return _with(rows, name, lambda amount: _minor(amount, currency), "with_minor")


def _with(rows: Any, name: str, change: Callable[[Any], Any], function: str) -> list[Any]:
    """The blocks with one field changed: within a list, JMESPath cannot reach the currency beside it."""
    if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
        raise UnreadableValue(f"{function}: needs a list of blocks, not {_kind(rows)}")
    return [{**row, name: change(row[name])} if row.get(name) is not None else dict(row) for row in rows]


def _whole(value: Any, function: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UnreadableValue(f"{function}: needs a whole number, not {_kind(value)}")
    return value


def _instant(value: Any, function: str) -> datetime:
    try:
        read = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise UnreadableValue(f"{function}: not a date or instant as ISO 8601 writes it") from None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def _kind(value: Any) -> str:
    words = {bool: "true or false", int: "a number", float: "a number", str: "a text", dict: "a block"}
    return "nothing" if value is None else words.get(type(value), "a list")


_OF_TEXT: dict[str, Callable[..., Any]] = {
    "upper": _upper,
    "lower": _lower,
    "trim": _trim,
    "clip": _clip,
    "digest": _digest,
    "given_name": _given_name,
    "family_name": _family_name,
    "date": _date,
    "millis": _millis,
    "seconds": _seconds,
    "country_name": _country_name,
    "country_code": _country_code,
}
_OF_ANY: dict[str, Callable[..., Any]] = {
    "decimal": _decimal,
    "minor": _minor,
    "joined": _joined,
    "text": _text,
    "with_decimal": _with_decimal,
    "with_minor": _with_minor,
}
TAKES_NULL = {"default": _default}

OURS: dict[str, Callable[..., Any]] = {**_OF_TEXT, **_OF_ANY, **TAKES_NULL}


def _guarded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as JMESPath calls it: nothing of nothing, and text where text is needed."""

    def call(_: Any, *given: Any) -> Any:
        if name not in TAKES_NULL and given[0] is None:
            return None
        if name in _OF_TEXT and not isinstance(given[0], str):
            raise UnreadableValue(f"{name}: needs a text, not {_kind(given[0])}")
        if any(argument is None for argument in given[1:]) and name not in TAKES_NULL:
            return None
        return function(*given)

    call.signature = tuple(  # type: ignore[attr-defined]
        {"types": []} for _ in inspect.signature(function).parameters
    )
    return call


class MappingFunctions(jmespath_functions.Functions):
    """JMESPath's own functions, ours, and `lookup(value, 'table')` in the tables given."""

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = tables

    @jmespath_functions.signature({"types": []}, {"types": ["string"]})
    def _func_lookup(self, value: Any, table: str) -> Any:
        if value is None:
            return None
        entries = self._tables.get(table, {})
        found = entries.get(str(as_text(value)), entries.get("*", _MISSING))
        if found is _MISSING:
            raise UnreadableValue(
                f"lookup: a value is not in the table {table!r}; add it there, or an entry '*' for all others"
            )
        return found

    for _name, _function in OURS.items():
        locals()[f"_func_{_name}"] = _guarded(_name, _function)
    del _name, _function


_MISSING = object()

FUNCTIONS: dict[str, int | None] = {
    name: None if any(part.get("variadic") for part in spec["signature"]) else len(spec["signature"])
    for name, spec in MappingFunctions.FUNCTION_TABLE.items()
}
"""Every function that an expression may call, with how many arguments it takes (None: any number)."""
