"""The fields of an import map, one by one: where a value comes from, and what is refused of it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from domain.import_fields import FieldCompiler, decimal, may_be_card_number, money, optional_date, truth
from domain.import_functions import Step, Value
from domain.import_map import DiscountMap, ImportMap, Source, unknown_plans

AS_OF = date(2026, 12, 1)
CODES = {"lookup": {"a": "alpha", "gone": None}}


def value_of(cell: str = "", *, secret: bool = False, **source: Any) -> Value | None:
    fields = FieldCompiler(("cell",), AS_OF)
    return fields.getter(Source.model_validate(source), "field", secret=secret)([cell])


@pytest.mark.parametrize(
    ("source", "cell", "found"),
    [
        ({"column": "cell"}, "x", "x"),
        ({"column": "cell"}, "", None),
        ({"column": "cell", "default": "y"}, "", "y"),
        ({"column": "cell", "function": "upper"}, "x", "X"),
        ({"column": "cell", "function": "upper", "default": "y"}, "", "y"),  # no function for an empty cell
        (
            {"column": "cell", "function": CODES, "default": "y"},
            "gone",
            "y",
        ),  # nor for what was looked up as nothing
        ({"column": "cell", "function": [CODES, "upper"], "default": "y"}, "gone", "y"),
        ({"column": "cell", "function": "strip", "default": "y"}, "  ", "y"),  # blank is empty
        ({"column": "cell", "function": [CODES, "upper"]}, "a", "ALPHA"),
        ({"value": "x"}, "z", "x"),
        ({"value": True}, "", "true"),
        ({"value": 7}, "", "7"),
        ({"value": "a", "function": [CODES, "upper"]}, "", "ALPHA"),
        ({"value": "gone", "function": [CODES, "upper"]}, "", None),
        ({"value": "", "default": "y", "function": ["upper"]}, "", "Y"),
        ({"value": "", "function": ["upper"]}, "", None),
        ({"function": "as_of"}, "", AS_OF),
        ({"function": ["as_of", {"plus_days": 1}]}, "", date(2026, 12, 2)),
        ({"column": "cell", "function": Step("prefix", "old-")}, "1", "old-1"),
    ],
)
def test_a_field_comes_from_its_column_value_or_default(
    source: dict[str, Any], cell: str, found: Value | None
) -> None:
    assert value_of(cell, **source) == found


def test_a_secret_cell_is_not_repeated_in_the_message() -> None:
    function = {"date": "%d.%m.%Y"}
    with pytest.raises(ValueError, match=r"^field \(column cell\): 'tomorrow' is not a date"):
        value_of("tomorrow", column="cell", function=function)
    with pytest.raises(ValueError, match=r"^field \(column cell\): its content cannot be read$"):
        value_of("tomorrow", secret=True, column="cell", function=function)


@pytest.mark.parametrize("function", [{"date": "%d", "upper": None}, {}, 7])
def test_what_is_no_function_is_refused_by_its_form(function: Any) -> None:
    with pytest.raises(ValidationError, match="a function is a name, or a name with its argument"):
        Source(column="cell", function=function)


def test_a_discount_needs_something_to_take_off() -> None:
    with pytest.raises(ValidationError, match="a discount needs percent or amount"):
        DiscountMap.model_validate({"code": {"value": "HARBOR"}})


@pytest.mark.parametrize(
    ("text", "number"), [("12.5", Decimal("12.5")), ("1e30", Decimal("1e30")), ("1e-30", Decimal("1e-30"))]
)
def test_a_number_is_read(text: str, number: Decimal) -> None:
    assert decimal("field", lambda cells: cells[0], [text]) == number


@pytest.mark.parametrize("text", ["twelve", "NaN", "-Infinity", "1e31", "1e-31", ""])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a number; write it like 12\.5"):
        decimal("field", lambda cells: cells[0], [text])


def test_money_is_counted_in_the_currency_if_it_is_known() -> None:
    def read(text: str, currency: str | None) -> int | None:
        return money("price", lambda cells: cells[0] or None, [text], currency)

    assert [read("7.77", "USD"), read("7", "JPY"), read("7.77", None), read("", "USD")] == [
        777,
        7,
        None,
        None,
    ]
    assert read("99999999999.99", "USD") == 10**13 - 1
    for text, words in (("100000000000", "below zero or too large"), ("7.777", "more decimal places")):
        with pytest.raises(ValueError, match=words):
            read(text, "USD")


@pytest.mark.parametrize(
    ("text", "answer"),
    [("Yes", True), ("y", True), ("1", True), ("TRUE", True), ("no", False), ("0", False), (None, False)],
)
def test_yes_and_no_are_read(text: str | None, answer: bool) -> None:
    assert truth("field", lambda _cells: text, []) is answer


def test_a_date_may_be_left_out() -> None:
    assert optional_date("field", lambda _cells: None, []) is None
    assert optional_date("field", lambda _cells: AS_OF, []) == AS_OF


@pytest.mark.parametrize(
    ("text", "may_be"),
    [
        ("4111 1111 1111 1111", True),
        ("4111-1111-1111-1111", True),
        ("4111111111111112", False),  # another check digit
        ("4222222222222", True),  # 13 digits
        ("422222222222", False),
        ("6304000000000000000", True),  # 19 digits
        ("tok_4111111111111111", False),
    ],
)
def test_a_card_number_is_known_by_length_and_check_digit(text: str, may_be: bool) -> None:
    assert may_be_card_number(text) is may_be


def test_a_plan_from_a_lookup_is_checked_before_any_row_and_one_from_a_column_is_not() -> None:
    def problems(plan: dict[str, Any]) -> list[tuple[str | int, ...]]:
        import_map = ImportMap.model_validate(
            {
                "format": "masthead.import-map/1",
                "account": {
                    "key": {"column": "k"},
                    "currency": {"value": "USD"},
                    "time_zone": {"value": "UTC"},
                },
                "subscription": {"start": {"column": "s"}},
                "items": [{"plan": plan}],
            }
        )
        return [problem.path for problem in unknown_plans(import_map, ["digital"])]

    place = ("items", 0, "plan")
    assert problems({"value": "gold"}) == [(*place, "value")]
    assert problems({"column": "p", "default": "gold"}) == [(*place, "default")]
    assert problems({"column": "p", "function": {"lookup": {"a": "gold", "b": "digital"}}}) == [
        (*place, "function")
    ]
    assert problems({"column": "p", "function": "lower"}) == problems({"column": "p"}) == []
