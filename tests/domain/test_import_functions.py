"""The functions of an import map, one by one: what they read, what they refuse in a cell, and what they refuse to be
given in a map."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from domain import import_functions
from domain.import_functions import (
    FunctionError,
    Step,
    Value,
    as_date,
    compile_step,
    needs_no_input,
)

AS_OF = date(2026, 12, 1)


def call(name: str, argument: Any, value: Value) -> Value | None:
    return compile_step(Step(name, argument), AS_OF)(value)


@pytest.mark.parametrize(
    ("name", "argument", "value", "answer"),
    [
        ("strip", None, " a ", "a"),
        ("upper", None, "usd", "USD"),
        ("lower", None, "READER@X", "reader@x"),
        ("upper", None, AS_OF, AS_OF),  # a date from an earlier function stays one
        ("prefix", "old-", "17", "old-17"),
        ("lookup", {"a": "b", 7: True, "none": None}, "a", "b"),
        ("lookup", {"a": "b", 7: True, "none": None}, "7", "true"),
        ("lookup", {"a": "b", 7: True, "none": None}, "none", None),
        ("lookup", {"a": "b", "*": None}, "?", None),
        ("date", "%d/%m/%Y", "01/02/2026", date(2026, 2, 1)),
        ("date", "%d/%m/%Y", AS_OF, AS_OF),
        ("decimal", None, "1,234.5", "1234.5"),
        ("decimal", ",", "1.234\u00a0567,5", "1234567.5"),
        ("decimal", ",", "1'234,5", "1234.5"),
        ("months_before_as_of", None, "0", AS_OF),
        ("months_before_as_of", None, "13", date(2025, 11, 1)),
        ("days_before_as_of", None, "60000", date(1862, 8, 23)),
        ("as_of", None, "whatever", AS_OF),
        ("plus_days", -1, "2026-03-01", date(2026, 2, 28)),
        ("plus_days", 36_600, AS_OF, date(2127, 2, 15)),
    ],
)
def test_a_function_reads_a_cell(name: str, argument: Any, value: Value, answer: Value | None) -> None:
    assert call(name, argument, value) == answer


@pytest.mark.parametrize(
    ("name", "argument", "value", "words"),
    [
        ("lookup", {"a": "b"}, "c", r"'c' is not in the map's lookup table \('a'\); add it there"),
        ("date", "%d/%m/%Y", "2026-02-01", "'2026-02-01' is not a date written as %d/%m/%Y"),
        ("decimal", None, "twelve", "'twelve' is not a number"),
        ("decimal", None, "Infinity", "'Infinity' is not a number"),
        ("months_before_as_of", None, "-1", "'-1' is not a whole number of months"),
        ("months_before_as_of", None, "1.5", "'1.5' is not a whole number of months"),
        (
            "months_before_as_of",
            None,
            "60000",
            "'60000' is not a whole number of months",
        ),  # before the year 1
        ("days_before_as_of", None, "60001", "'60001' is not a whole number of days"),
        ("plus_days", 1, "tomorrow", "'tomorrow' is not a date like 2026-12-01"),
    ],
)
def test_a_cell_that_a_function_cannot_read_is_refused(
    name: str, argument: Any, value: str, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        call(name, argument, value)


@pytest.mark.parametrize(
    ("name", "argument", "words"),
    [
        ("uper", None, r"there is no function 'uper'; did you mean 'upper'\?"),
        ("xyzzy", None, "there is no function 'xyzzy'; there are: as_of, date, "),
        ("strip", "x", "takes no argument"),
        ("as_of", 1, "takes no argument"),
        ("days_before_as_of", 1, "takes no argument"),
        ("lookup", None, "lookup needs a table"),
        ("lookup", {}, "lookup needs a table"),
        ("lookup", {"a": ["b"]}, "the entry for 'a' must be a single value"),
        ("lookup", {"a": {"b": "c"}}, "the entry for 'a' must be a single value"),
        ("date", None, "date needs a format"),
        ("date", "tomorrow", "date needs a format"),
        ("date", "%d.%m", "does not tell day, month and year"),
        ("date", "%d.%m.%Y %d", "is not a format that dates can be read with"),
        ("date", "%Y-%Q", "is not a format that dates can be read with"),
        ("decimal", ";", "decimal takes the mark"),
        ("plus_days", "1", "plus_days needs a whole number"),
        ("plus_days", True, "plus_days needs a whole number"),
        ("plus_days", 36_601, "plus_days needs a whole number"),
        ("prefix", None, "prefix needs a text"),
        ("prefix", "", "prefix needs a text"),
    ],
)
def test_an_argument_that_a_function_cannot_use_is_refused_before_any_row(
    name: str, argument: Any, words: str
) -> None:
    with pytest.raises(FunctionError, match=words):
        compile_step(Step(name, argument), AS_OF)


def test_dates_are_read_alike_after_the_memory_of_them_is_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_functions, "_CACHE_LIMIT", 2)
    read = compile_step(Step("date", "%d.%m.%Y"), AS_OF)
    days = ["01.02.2026", "02.02.2026", "03.02.2026", "01.02.2026", "03.02.2026"]
    assert [read(day) for day in days] == [date(2026, 2, int(day[:2])) for day in days]


def test_only_the_as_of_date_comes_from_nothing() -> None:
    assert [needs_no_input(Step(name)) for name in ("as_of", "strip")] == [True, False]


def test_a_date_is_one_already_or_is_read_as_written_in_the_standard() -> None:
    assert as_date(AS_OF) == as_date("2026-12-01") == AS_OF
    with pytest.raises(ValueError, match="give the field a date function"):
        as_date("01.12.2026")
