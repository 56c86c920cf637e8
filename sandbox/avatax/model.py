"""What a client sends as a transaction, read and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from domain.money import EXPONENTS
from sandbox.avatax.errors import refused
from sandbox.avatax.rates import UnknownPlace, checked_place

#: Types that are estimates, and the types that are recorded.
ORDERS = ("SalesOrder", "PurchaseOrder", "ReturnOrder")
INVOICES = ("SalesInvoice", "PurchaseInvoice", "ReturnInvoice")
_MOST_CODE = 50
_MOST_DIGITS = 15
_OVERRIDES = ("None", "TaxAmount", "Exemption", "TaxDate")
_TAXABLE_ENTITY = "TAXABLE"


@dataclass(frozen=True)
class Override:
    """A tax override: `amount` is tax for TaxAmount and the exempt part for Exemption."""

    kind: str
    amount: Decimal
    tax_date: date | None
    reason: str


@dataclass(frozen=True)
class Place:
    """Where something is taxed, in AvaTax's writing."""

    country: str
    region: str
    line1: str
    city: str
    postal_code: str


@dataclass(frozen=True)
class Line:
    """One line. `amount` is the whole line's, with the tax in it when `tax_included`; `fields` are echoed."""

    number: str
    amount: Decimal
    quantity: Decimal
    tax_code: str
    discounted: bool
    tax_included: bool
    exempt: bool
    place: Place
    override: Override | None
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Sale:
    """A transaction as the client wants it. `code` is None where it named none."""

    code: str | None
    kind: str
    company: str
    day: date
    currency: str
    commit: bool
    discount: Decimal
    override: Override | None
    lines: tuple[Line, ...]
    model: Mapping[str, Any]


def read_sale(model: Any, default_company: str) -> Sale:
    """Read a CreateTransactionModel. Raises Refused in AvaTax's form for what it cannot be."""
    if not isinstance(model, dict):
        raise refused("ModelRequiredException", "A transaction model is required.")
    read_text(model, "customerCode", required=True)
    kind = model.get("type") or "SalesOrder"
    if kind not in (*ORDERS, *INVOICES):
        raise refused("InvalidEnumValue", f"type {kind!r} is not supported here.", target="type")
    currency = read_text(model, "currencyCode") or "USD"
    if currency not in EXPONENTS:
        raise refused(
            "InvalidEnumValue", f"currencyCode {currency!r} is not a currency.", target="currencyCode"
        )
    override = read_override(model.get("taxOverride"))
    sale = Sale(
        code=read_text(model, "code") or None,
        kind=kind,
        company=read_text(model, "companyCode") or default_company,
        day=read_day(model.get("date"), "date"),
        currency=currency,
        commit=model.get("commit") is True,
        discount=read_number(model, "discount", Decimal(0)),
        override=override,
        lines=_lines(model),
        model=model,
    )
    if sale.discount and not any(line.discounted for line in sale.lines):
        raise refused(
            "NoLinesDiscounted", "A discount was given, but no line is discounted.", target="discount"
        )
    return sale


def read_day(value: Any, field: str) -> date:
    """A date, with or without a time behind it."""
    if value in (None, ""):
        raise refused("ValueRequiredError", f"Field {field} is required.", target=field)
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        raise refused("DateFormatError", f"{field} {value!r} is not a date.", target=field) from None


def read_object(given: Any, field: str) -> Mapping[str, Any]:
    """A JSON object; Refused for anything else."""
    if not isinstance(given, dict):
        raise refused("ValidationException", f"Field {field} must hold objects, not {given!r}.", target=field)
    return given


def read_override(given: Any) -> Override | None:
    """A TaxOverrideModel; None for none."""
    if not isinstance(given, dict) or given.get("type") in (None, "None"):
        return None
    kind = given["type"]
    if kind not in _OVERRIDES:
        raise refused(
            "InvalidEnumValue", f"taxOverride type {kind!r} is not supported here.", target="taxOverride"
        )
    if not given.get("reason"):
        raise refused("ValueRequiredError", "Field taxOverride.reason is required.", target="taxOverride")
    day = read_day(given.get("taxDate"), "taxOverride.taxDate") if kind == "TaxDate" else None
    return Override(kind, read_number(given, "taxAmount", Decimal(0)), day, str(given["reason"]))


def _lines(model: Mapping[str, Any]) -> tuple[Line, ...]:
    given = model.get("lines")
    if not isinstance(given, list) or not given:
        raise refused("MissingLine", "A transaction needs one line or more.", target="lines")
    lines = tuple(
        _line(model, read_object(line, "lines"), position) for position, line in enumerate(given, 1)
    )
    _numbers_differ([line.number for line in lines])
    return lines


def _line(model: Mapping[str, Any], line: Mapping[str, Any], position: int) -> Line:
    if line.get("amount") is None:
        raise refused(
            "ValueRequiredError", f"Field lines[{position - 1}].amount is required.", target="lines"
        )
    entity = line.get("entityUseCode") or model.get("entityUseCode") or model.get("customerUsageType") or ""
    certificate = line.get("exemptionCode") or model.get("exemptionNo") or ""
    return Line(
        number=read_text(line, "number") or str(position),
        amount=read_number(line, "amount", Decimal(0)),
        quantity=read_number(line, "quantity", Decimal(1)),
        tax_code=read_text(line, "taxCode") or "P0000000",
        discounted=line.get("discounted") is True,
        tax_included=line.get("taxIncluded") is True,
        exempt=bool(certificate) or (bool(entity) and entity != _TAXABLE_ENTITY),
        place=_place(model, line),
        override=read_override(line.get("taxOverride")),
        fields=line,
    )


def _place(model: Mapping[str, Any], line: Mapping[str, Any]) -> Place:
    addresses = {**read_object(model.get("addresses") or {}, "addresses")}
    addresses |= read_object(line.get("addresses") or {}, "addresses")
    single = addresses.get("singleLocation")
    destination = addresses.get("shipTo") or single
    if not destination or not (addresses.get("shipFrom") or single):
        raise refused(
            "MissingAddress", "Give singleLocation, or both shipFrom and shipTo.", target="addresses"
        )
    return read_place(read_object(destination, "addresses"))


def read_place(address: Mapping[str, Any]) -> Place:
    """An address as a place that the table knows."""
    try:
        country, region = checked_place(str(address.get("country") or ""), str(address.get("region") or ""))
    except UnknownPlace as unknown:
        code = "InvalidCountry" if unknown.field == "country" else "InvalidCountryRegion"
        raise refused(code, f"The {unknown}.", target=unknown.field) from None
    return Place(country, region, *(str(address.get(name) or "") for name in ("line1", "city", "postalCode")))


def _numbers_differ(numbers: Sequence[str]) -> None:
    for number in numbers:
        if numbers.count(number) > 1:
            raise refused("LineAlreadyExists", f"Line number {number!r} is used twice.", target="lines")


def read_text(model: Mapping[str, Any], field: str, *, required: bool = False) -> str:
    """A text of 50 characters at most; empty where there is none."""
    value = model.get(field)
    if value in (None, ""):
        if required:
            raise refused("ValueRequiredError", f"Field {field} is required.", target=field)
        return ""
    if len(str(value)) > _MOST_CODE:
        raise refused(
            "StringLengthError", f"Field {field} must be 0 to {_MOST_CODE} characters.", target=field
        )
    return str(value)


def read_number(model: Mapping[str, Any], field: str, default: Decimal) -> Decimal:
    """A number, exactly as it was written."""
    value = model.get(field)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise refused("InvalidDecimalValue", f"Field {field} must be a number, not {value!r}.", target=field)
    number = Decimal(str(value))
    if not number.is_finite() or number.adjusted() > _MOST_DIGITS:
        raise refused("InvalidDecimalValue", f"Field {field} has too many digits.", target=field)
    return number
