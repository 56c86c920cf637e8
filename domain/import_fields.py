"""The fields of an import map compiled to functions of a row's cells, and the readers of their content.

Readers raise ValueError with a sentence that names the field and the remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation

from domain.card_numbers import passes_luhn
from domain.import_functions import Value, as_date, compile_step, needs_no_input
from domain.import_map import AddressMap, Condition, Source
from domain.money import MoneyError, parse_minor

MONEY_LIMIT = 10**13  # minor units, as in the tables
TEXT_LIMIT = 500
_TRUTH = {
    "true": True,
    "yes": True,
    "y": True,
    "1": True,
    "false": False,
    "no": False,
    "n": False,
    "0": False,
}

Getter = Callable[[Sequence[str]], Value | None]


class FieldCompiler:
    """Compiles a map's fields for a file with `header`, on the day `as_of`. Cells come without blanks around."""

    def __init__(self, header: Sequence[str], as_of: date) -> None:
        self._as_of = as_of
        self._columns = {name: no for no, name in enumerate(header)}

    def address_parts(self, address: AddressMap | None) -> list[tuple[str, Getter]]:
        """The parts of an address that the map has, in their order."""
        if address is None:
            return []
        return [
            (part, self.getter(source, f"address.{part}", secret=True))
            for part in AddressMap.model_fields
            if (source := getattr(address, part)) is not None
        ]

    def optional(self, source: Source | None, field: str, *, secret: bool = False) -> Getter:
        """`source` as a function of the cells, None for a row where the map leaves it out."""
        return (lambda _cells: None) if source is None else self.getter(source, field, secret=secret)

    def getter(self, source: Source, field: str, *, secret: bool = False) -> Getter:
        """The field as a function of the cells. A `secret` field's content stays out of messages."""
        steps = [compile_step(step, self._as_of) for step in source.function]
        default = source.default
        if source.column is None:
            given = source.value or ""
            free = bool(source.function) and needs_no_input(source.function[0])
            fixed: Value | None = given if given or free else default
            if fixed is not None:
                for step in steps:
                    fixed = step(fixed) if fixed is not None else None
            return lambda _cells: fixed
        index, column = self._columns[source.column], source.column
        if not steps:
            return lambda cells: cells[index] or default

        def read(cells: Sequence[str]) -> Value | None:
            value: Value | None = cells[index]
            if not value:
                return default
            try:
                for step in steps:
                    if value is None:
                        return default
                    value = step(value)
            except ValueError as error:
                detail = "its content cannot be read" if secret else str(error)
                raise ValueError(f"{field} (column {column}): {detail}") from None
            return default if value is None or value == "" else value

        return read

    def condition(self, when: Condition | None) -> Callable[[Sequence[str]], bool]:
        """`when` as a function of the cells; without one it always holds."""
        if when is None:
            return lambda _cells: True
        index, wanted = self._columns[when.column], frozenset(when.equals)
        return lambda cells: cells[index] in wanted


def short_text(field: str, getter: Getter, cells: Sequence[str]) -> str | None:
    """Text of one printable line; None where the field is empty."""
    value = getter(cells)
    if value is None:
        return None
    text = str(value)
    if len(text) > TEXT_LIMIT:
        raise ValueError(f"{field}: is longer than {TEXT_LIMIT} characters; check the row's quotes")
    if not text.isprintable():
        raise ValueError(f"{field}: holds a line break or a control character; remove it")
    return text


def required_text(field: str, getter: Getter, cells: Sequence[str]) -> str:
    """Text that must be there."""
    text = short_text(field, getter, cells)
    if not text:
        raise ValueError(f"{field}: is empty, and it is required")
    return text


def optional_date(field: str, getter: Getter, cells: Sequence[str]) -> date | None:
    """A date; None where the field is empty."""
    value = getter(cells)
    if value is None or isinstance(value, date):
        return value
    try:
        return as_date(value)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from None


def required_date(field: str, getter: Getter, cells: Sequence[str]) -> date:
    """A date that must be there."""
    found = optional_date(field, getter, cells)
    if found is None:
        raise ValueError(f"{field}: is empty, and it is required")
    return found


def whole(field: str, getter: Getter, cells: Sequence[str], least: int, most: int) -> int | None:
    """A whole number from `least` to `most`; None where the field is empty."""
    value = getter(cells)
    if value is None:
        return None
    text = str(value)
    if not (text.isascii() and text.isdigit()) or len(text) > 9 or not least <= int(text) <= most:
        raise ValueError(f"{field}: {text[:40]!r} is not a whole number from {least} to {most}")
    return int(text)


def decimal(field: str, getter: Getter, cells: Sequence[str]) -> Decimal | None:
    """A finite decimal number; None where the field is empty."""
    value = getter(cells)
    if value is None:
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        number = Decimal("NaN")
    if not number.is_finite() or abs(number.adjusted()) > 30:
        raise ValueError(f"{field}: {str(value)[:40]!r} is not a number; write it like 12.5")
    return number


def money(field: str, getter: Getter, cells: Sequence[str], currency: str | None) -> int | None:
    """Minor units; None where the field is empty or the currency is not known (which rejects by itself)."""
    number = decimal(field, getter, cells)
    if number is None or currency is None:
        return None
    try:
        minor = parse_minor(str(number), currency)
    except MoneyError as error:
        raise ValueError(f"{field}: {error}") from None
    if not 0 <= minor < MONEY_LIMIT:
        raise ValueError(f"{field}: {number} is below zero or too large")
    return minor


def truth(field: str, getter: Getter, cells: Sequence[str]) -> bool:
    """Yes or no; no where the field is empty."""
    value = getter(cells)
    if value is None:
        return False
    answer = _TRUTH.get(str(value).lower())
    if answer is None:
        raise ValueError(f"{field}: {str(value)[:40]!r} is neither yes nor no")
    return answer


CARD_NUMBER = "looks like a card number"


def may_be_card_number(text: str) -> bool:
    """Whether `text` has the length and the check digit of a payment card's number."""
    digits = text.replace(" ", "").replace("-", "")
    if not (digits.isascii() and digits.isdigit() and 13 <= len(digits) <= 19):
        return False
    return passes_luhn(digits)
