"""The import map: which column of a publisher's file is what. A document for people, checked before any
row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from domain.catalog import Problem
from domain.import_functions import FunctionError, Step, compile_step, needs_no_input

# What Python can read line by line without guessing; a list, so that a spelling mistake is found at once.
Encoding = Literal[
    "utf-8", "utf-16", "ascii", "latin-1", "iso-8859-2", "iso-8859-15", "cp1250", "cp1251", "cp1252",
    "mac-roman", "shift_jis", "cp932", "euc-jp", "gb18030", "big5", "euc-kr", "koi8-r",
]  # fmt: skip


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _as_text(value: Any) -> Any:
    """What a document says without quotes (1, true) means the text that a cell would hold."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int) else value


def _as_steps(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_as_step(step) for step in value)
    return (_as_step(value),)


def _as_step(value: Any) -> Step:
    if isinstance(value, str):
        return Step(value)
    if isinstance(value, dict) and len(value) == 1:
        name, argument = next(iter(value.items()))
        step = Step(str(name), argument)
    elif isinstance(value, Step):
        step = value
    else:
        raise ValueError("a function is a name, or a name with its argument, as in {date: '%d.%m.%Y'}")
    return step


Text = Annotated[str, BeforeValidator(_as_text)]


class Source(_Strict):
    """Where a field comes from: a column or a fixed value, changed by functions from left to right. An empty
    cell takes `default` (functions are not called for it)."""

    column: Text | None = None
    value: Text | None = None
    function: Annotated[tuple[Step, ...], BeforeValidator(_as_steps)] = ()
    default: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _is_a_block(cls, data: Any) -> Any:
        if isinstance(data, str):
            raise ValueError(
                f"write {{column: {data}}} to read a column, or {{value: {data}}} for a fixed value"
            )
        return data

    @model_validator(mode="after")
    def _one_origin(self) -> Source:
        given = (self.column is not None) + (self.value is not None)
        free = bool(self.function) and needs_no_input(self.function[0])
        if given != 1 and not (free and given == 0):
            raise ValueError("give it either a column or a value")
        for step in self.function:
            try:
                compile_step(step, date(2000, 1, 1))
            except FunctionError as error:
                raise ValueError(f"function {step.name}: {error}") from None
        return self


class Condition(_Strict):
    """True for a row whose `column` holds one of `equals`."""

    column: Text
    equals: Annotated[
        tuple[Text, ...], BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else (value,))
    ] = Field(min_length=1)


class AddressMap(_Strict):
    """A postal address; all of it may be missing."""

    line1: Source | None = None
    line2: Source | None = None
    city: Source | None = None
    region: Source | None = None
    postal_code: Source | None = None
    country: Source | None = None


class AccountMap(_Strict):
    """Who pays. `key` is the account's key in the publisher's world and makes an import repeatable."""

    key: Source
    currency: Source
    time_zone: Source
    name: Source | None = None
    email: Source | None = None
    locale: Source | None = None
    bill_cycle_day: Source | None = None
    tax_region: Source | None = None
    tax_exempt: Source | None = None
    payment_method: Source | None = None
    payment_terms_days: Source | None = None
    address: AddressMap | None = None


class SubscriptionMap(_Strict):
    """What runs. Without `key` a row is one account with one subscription, and the account's key serves both.

    `charged_through` is the first day that the former system has not billed; empty: it never billed.
    """

    start: Source
    key: Source | None = None
    charged_through: Source | None = None
    end: Source | None = None


class ItemMap(_Strict):
    """A plan of the subscription; the first that applies sets its dates. `version` is the plan's version sold
    on the start date by default. `price_override` is in major units."""

    plan: Source
    version: Source | None = None
    quantity: Source | None = None
    price_override: Source | None = None
    when: Condition | None = None


class DiscountMap(_Strict):
    """A discount, applied to rows that have a percent (0 to 100) or an amount (major units). `until` is the
    first day without it; `start` the subscription's start by default."""

    code: Source
    percent: Source | None = None
    amount: Source | None = None
    start: Source | None = None
    until: Source | None = None
    when: Condition | None = None

    @model_validator(mode="after")
    def _has_a_value(self) -> DiscountMap:
        if self.percent is None and self.amount is None:
            raise ValueError("a discount needs percent or amount")
        return self


class FileFormat(_Strict):
    """How the file is written."""

    delimiter: Literal[",", ";", "\t", "|"] = ","
    encoding: Encoding = "utf-8"
    quote: Literal['"', "'"] = '"'


class ImportMap(_Strict):
    """A whole map document."""

    format: Literal["masthead.import-map/1"]
    file: FileFormat = FileFormat()
    account: AccountMap
    subscription: SubscriptionMap
    items: tuple[ItemMap, ...] = Field(min_length=1, max_length=50)
    discounts: tuple[DiscountMap, ...] = Field(default=(), max_length=10)


def columns_used(import_map: ImportMap) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Each column that the map reads, with the path of the place that names it."""
    yield from _columns(import_map, ())


def _columns(part: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if isinstance(part, Source | Condition):
        if part.column is not None:
            yield (*path, "column"), part.column
    elif isinstance(part, BaseModel):
        for name in type(part).model_fields:
            yield from _columns(getattr(part, name), (*path, name))
    elif isinstance(part, tuple):
        for no, member in enumerate(part):
            yield from _columns(member, (*path, no))


def missing_columns(import_map: ImportMap, header: Sequence[str]) -> list[Problem]:
    """The columns that the map reads and a file with `header` does not have."""
    present = ", ".join(header)
    return [
        Problem(path=path, message=f"the file has no column {column!r}; it has: {present}")
        for path, column in columns_used(import_map)
        if column not in header
    ]


def unknown_plans(import_map: ImportMap, plans: Sequence[str]) -> list[Problem]:
    """Plans that the map names itself (as a value, a default or in a lookup) and the catalog does not
    have."""
    choice = ", ".join(sorted(plans)) or "none; load a catalog first"
    problems = []
    for no, item in enumerate(import_map.items):
        named: list[tuple[str, Any]] = [("value", item.plan.value)] if not item.plan.function else []
        named.append(("default", item.plan.default))
        if item.plan.function and item.plan.function[-1].name == "lookup":
            named += [("function", plan) for plan in item.plan.function[-1].argument.values()]
        problems += [
            Problem(
                path=("items", no, "plan", where),
                message=f"the catalog has no plan {str(plan)!r}; it has: {choice}",
            )
            for where, plan in named
            if plan is not None and str(plan) not in plans
        ]
    return problems
