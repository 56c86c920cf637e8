"""Maps: what they make, what is found wrong before any record comes, and what is done about records that do not fit."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from connectors.sdk.capabilities.crm import CrmRecord
from connectors.sdk.located import DocumentProblems
from connectors.sdk.mapping import Drift, Mapped, Mapping
from connectors.sdk.mapping_functions import FUNCTIONS, OURS


class Line(BaseModel):
    plan: str
    amount: int


class Person(BaseModel):
    name: str | None = None
    email: str | None = None


class Source(BaseModel):
    key: str
    total: int
    currency: str
    starts_on: str
    person: Person
    lines: tuple[Line, ...] = ()
    notes: dict[str, str] = {}


GIVEN = Source(
    key="a",
    total=-1205,
    currency="EUR",
    starts_on="2026-11-02",
    person=Person(name=" Ada King Byron ", email="Ada@Example.com"),
    lines=(Line(plan="print", amount=5), Line(plan="digital", amount=7)),
    notes={"since": "2001"},
).model_dump(mode="json")


def made(expression: str, **tables: dict[str, Any]) -> Any:
    mapped = Mapping.load({"it": expression}, tables=tables, source=Source).apply(GIVEN)
    return str(mapped) if isinstance(mapped, Drift) else mapped["it"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("key", "a"),
        ("person.email | lower(@)", "ada@example.com"),
        ("upper(person.name)", " ADA KING BYRON "),
        ("given_name(person.name)", "Ada King"),
        ("family_name(person.name)", "Byron"),
        ("clip(trim(person.name), `3`)", "Ada"),
        ("date(starts_on, '%d/%m/%Y')", "02/11/2026"),
        ("millis(starts_on)", 1793577600000),
        ("seconds(starts_on)", 1793577600),
        ("decimal(total, currency)", "-12.05"),
        ("decimal(total, 'JPY')", "-1205"),
        ("decimal(total, 'KWD')", "-1.205"),
        ("minor('12.05', currency)", 1205),
        ("country_name('de')", "Germany"),
        ("country_code('germany')", "DE"),
        ("default(notes.until, 'open')", "open"),
        ("default(notes.since, 'open')", "2001"),
        ("joined(lines[*].plan, ';')", "print;digital"),
        ("joined([person.name, notes.until, text(total)], '|')", " Ada King Byron |-1205"),
        ("lookup(key, 'marks')", "A"),
        ("lookup(currency, 'marks')", "other"),
        ("lines[?amount > `5`].plan | [0]", "digital"),
        ("with_decimal(lines, 'amount', currency)[*].amount", ["0.05", "0.07"]),
        ("with_minor(with_decimal(lines, 'amount', currency), 'amount', currency)[*].amount", [5, 7]),
        ("upper(notes.until)", None),
        ("length(digest(person.email))", 64),
    ],
)
def test_expressions(expression: str, expected: object) -> None:
    assert made(expression, marks={"a": "A", "*": "other"}) == expected


@pytest.mark.parametrize(
    ("expression", "told"),
    [
        ("date(key, '%d')", "it: date: not a date or instant"),
        ("decimal(key, currency)", "it: decimal: needs a whole number, not a text"),
        ("upper(total)", "it: upper: needs a text, not a number"),
        ("lookup(key, 'marks')", "it: lookup: a value is not in the table 'marks'"),
        ("country_name(key)", "it: country_name: not a country code"),
        ("join(';', lines)", "it: cannot be computed (JMESPathTypeError)"),
    ],
)
def test_a_value_that_does_not_fit_is_told_without_the_value(expression: str, told: str) -> None:
    assert made(expression, marks={"z": "Z"}).startswith(told)


def test_everything_that_is_wrong_is_found_when_it_is_loaded() -> None:
    with pytest.raises(DocumentProblems) as found:
        Mapping.load(
            {
                "kindd": "key",
                "kind": {"const": "contct"},
                "fields": {
                    "a": "uper(key)",
                    "b": "person.emial",
                    "c": "lookup(key, 'markz')",
                    "d": "person..email",
                    "e": "lines.plan",
                    "f": "decimal(total)",
                    "g": "lines[?amout > `5`]",
                    "h": "key.more",
                    "unknown": "key",
                    "i": ["key"],
                },
            },
            tables={"marks": {}},
            drift="dropfield",
            source=Source,
            target=CrmRecord,
            known=list("abcdefghi"),
        )
    assert str(found.value).splitlines() == [
        "map.kindd: the target has no field 'kindd'; did you mean 'kind'?",
        "map.kind: 'contct' does not fit: Input should be 'contact', 'company', 'product', 'opportunity', 'quote' or "
        "'transaction'",
        "map.fields.a: there is no function 'uper'; did you mean 'upper'?",
        "map.fields.b: there is no field 'emial' to read; did you mean 'email'?",
        "map.fields.c: there is no table 'markz'; did you mean 'marks'?",
        "map.fields.d: 'person..email' is not an expression that JMESPath reads at column 8",
        "map.fields.e: 'plan' is read of a list: write [*] or [0] before it",
        "map.fields.f: decimal() takes 2 values, not 1",
        "map.fields.g: there is no field 'amout' to read; did you mean 'amount'?",
        "map.fields.h: 'more' is read of a single value",
        "map.fields.unknown: the other system has no field 'unknown'; there are: a, b, c, d, e, f, g, h, i",
        "map.fields.i: write an expression, {const: value}, or a block of fields",
        "map: says nothing about 'key', which the target needs",
        "drift: 'dropfield' is no policy; did you mean 'drop_field'?",
    ]


CONTACT = {
    "kind": {"const": "contact"},
    "key": "key",
    "fields": {"good": "text(total)", "bad": "date(key, '%d')", "gone": "key"},
}


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("park", "fields.bad|fields.gone"), ("freeze", "fields.bad|fields.gone stops"), ("evolve", "fields.bad"),
     ("drop_field", {"good": "-1205"})],
)  # fmt: skip
def test_drift(policy: str, expected: object) -> None:
    mapping = Mapping.load(CONTACT, drift=policy, source=Source, target=CrmRecord)
    mapped = mapping.apply(GIVEN, known={"good", "bad"})
    if isinstance(mapped, Mapped):
        assert mapped["fields"] == expected
        assert [each.field for each in mapped.dropped] == ["fields.bad", "fields.gone"]
    else:
        names = "|".join(each.field for each in mapped.fields)
        assert names + (" stops" if mapped.stops else "") == expected


def test_numbers_and_truth_become_text_where_only_text_fits() -> None:
    spec = {
        "kind": {"const": "contact"},
        "key": "key",
        "fields": {"n": "total", "t": "total < `0`", "c": {"const": 3}},
    }
    record = Mapping.load(spec, source=Source, target=CrmRecord).make(GIVEN)
    assert isinstance(record, CrmRecord)
    assert record.fields == {"n": "-1205", "t": "true", "c": "3"}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(st.sampled_from(sorted(OURS)), st.lists(JSON, min_size=3, max_size=3))
def test_no_function_fails_in_another_way_than_a_drift(name: str, values: list[Any]) -> None:
    count = FUNCTIONS[name] or 1
    arguments = ", ".join(f"`{json.dumps(value).replace('`', chr(92) + '`')}`" for value in values[:count])
    mapped = Mapping.load({"it": f"{name}({arguments})"}).apply({})
    assert isinstance(mapped, (Mapped, Drift))
