"""The named functions of an import map: each turns the text of one cell into a better text, or into a date.

`compile_step` checks a function's argument once, before the first row; what it returns is called per row.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from domain.periods import add_months

Value = str | date
Function = Callable[[Value], Value | None]

_CACHE_LIMIT = 20_000  # distinct cells remembered per step; a file of a million dates has a few thousand


class Step(NamedTuple):
    """A function of the map by name, with its argument (None where it takes none)."""

    name: str
    argument: Any = None


class FunctionError(ValueError):
    """A function that does not exist, or an argument that it cannot use."""


def compile_step(step: Step, as_of: date) -> Function:
    """`step` ready to be called with a cell. Raises FunctionError. The function itself raises ValueError, in
    plain words, for a cell that it cannot read."""
    maker = _MAKERS.get(step.name)
    if maker is None:
        close = difflib.get_close_matches(step.name, _MAKERS, n=1)
        known = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(sorted(_MAKERS))}"
        raise FunctionError(f"there is no function {step.name!r}; {known}")
    return maker(step.argument, as_of)


def needs_no_input(step: Step) -> bool:
    """Whether the function answers by itself, so that a field needs neither column nor value."""
    return step.name == "as_of"


def _text_only(change: Callable[[str], str]) -> Callable[[Any, date], Function]:
    def make(argument: Any, _as_of: date) -> Function:
        if argument is not None:
            raise FunctionError("takes no argument")
        return lambda value: change(value) if isinstance(value, str) else value

    return make


def _lookup(argument: Any, _as_of: date) -> Function:
    if not isinstance(argument, Mapping) or not argument:
        raise FunctionError("lookup needs a table, as in {lookup: {Month-to-month: digital-monthly}}")
    table: dict[str, str | None] = {}
    for key, wanted in argument.items():
        if isinstance(wanted, Mapping | list):
            raise FunctionError(f"lookup: the entry for {key!r} must be a single value")
        table[str(key)] = None if wanted is None else _scalar_text(wanted)
    has_rest, rest = "*" in table, table.get("*")
    known = ", ".join(repr(key) for key in table)

    def look_up(value: Value) -> str | None:
        try:
            return table[str(value)]
        except KeyError:
            if has_rest:
                return rest
            raise ValueError(f"{value!r} is not in the map's lookup table ({known}); add it there") from None

    return look_up


def _scalar_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _date(argument: Any, _as_of: date) -> Function:
    if not isinstance(argument, str) or "%" not in argument:
        raise FunctionError('date needs a format, as in {date: "%d/%m/%Y"}')
    probe = date(2003, 11, 25)
    try:
        complete = datetime.strptime(probe.strftime(argument), argument).date() == probe  # noqa: DTZ007
    except (ValueError, re.error) as error:
        raise FunctionError(
            f"date: {argument!r} is not a format that dates can be read with ({error})"
        ) from None
    if not complete:
        raise FunctionError(f"date: {argument!r} does not tell day, month and year; write it like %d.%m.%Y")
    seen: dict[str, date] = {}

    def read(value: Value) -> Value:
        if not isinstance(value, str):
            return value
        found = seen.get(value)
        if found is None:
            try:
                found = datetime.strptime(value, argument).date()  # noqa: DTZ007
            except ValueError:
                raise ValueError(f"{value!r} is not a date written as {argument}") from None
            if len(seen) >= _CACHE_LIMIT:
                seen.clear()
            seen[value] = found
        return found

    return read


def _decimal(argument: Any, _as_of: date) -> Function:
    mark = "." if argument is None else argument
    if mark not in (".", ","):
        raise FunctionError("decimal takes the mark that the file uses: '.' or ','")
    groups = str.maketrans("", "", "'’ \u00a0\u202f" + ("," if mark == "." else "."))

    def read(value: Value) -> str:
        text = str(value).translate(groups).replace(",", ".")
        try:
            if not Decimal(text).is_finite():
                raise InvalidOperation
        except InvalidOperation:
            raise ValueError(f"{value!r} is not a number") from None
        return text

    return read


def _back_from_as_of(unit: str) -> Callable[[Any, date], Function]:
    def make(argument: Any, as_of: date) -> Function:
        if argument is not None:
            raise FunctionError("takes no argument")

        def go_back(value: Value) -> date:
            try:
                count = int(str(value))
                if not 0 <= count <= 60_000:
                    raise ValueError
                return add_months(as_of, -count) if unit == "months" else as_of - timedelta(days=count)
            except (ValueError, OverflowError):
                raise ValueError(f"{value!r} is not a whole number of {unit}") from None

        return go_back

    return make


def _as_of(argument: Any, as_of: date) -> Function:
    if argument is not None:
        raise FunctionError("takes no argument")
    return lambda _value: as_of


def _plus_days(argument: Any, _as_of: date) -> Function:
    if not isinstance(argument, int) or isinstance(argument, bool) or abs(argument) > 36_600:
        raise FunctionError("plus_days needs a whole number of days, as in {plus_days: 1}")
    days = timedelta(days=argument)

    def move(value: Value) -> date:
        return as_date(value) + days

    return move


def _prefix(argument: Any, _as_of: date) -> Function:
    if not isinstance(argument, str) or not argument:
        raise FunctionError('prefix needs a text, as in {prefix: "old-"}')
    return lambda value: f"{argument}{value}"


def as_date(value: Value) -> date:
    """`value` as a date; text is read as 2026-12-01. Raises ValueError in plain words."""
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(value)
    except ValueError:
        raise ValueError(
            f"{value!r} is not a date like 2026-12-01; for another way of writing, give the field a date function"
        ) from None


_MAKERS: dict[str, Callable[[Any, date], Function]] = {
    "strip": _text_only(str.strip),
    "upper": _text_only(str.upper),
    "lower": _text_only(str.lower),
    "prefix": _prefix,
    "lookup": _lookup,
    "date": _date,
    "decimal": _decimal,
    "months_before_as_of": _back_from_as_of("months"),
    "days_before_as_of": _back_from_as_of("days"),
    "as_of": _as_of,
    "plus_days": _plus_days,
}
