"""Documents as AvaTax writes them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sandbox.avatax.computing import Detail, TaxedLine
from sandbox.avatax.documents import Document
from sandbox.avatax.model import Place

_JURISDICTION_TYPES = {"STA": "State", "CTY": "County", "CIT": "City", "STJ": "Special", "CNT": "Country"}


def included(value: str | None) -> frozenset[str]:
    """The parts that `$include` names; what AvaTax assumes (Summary, Addresses) where it names none."""
    if not value:
        return frozenset({"summary", "addresses"})
    return frozenset(part.strip().lower() for part in value.split(","))


def document_json(document: Document, parts: frozenset[str]) -> dict[str, Any]:
    """A TransactionModel with the parts that were asked for."""
    sale, lines = document.sale, document.lines
    override = sale.override
    body: dict[str, Any] = {
        "id": document.id,
        "code": document.code,
        "companyId": 0 if document.id == 0 else 12345,
        "date": sale.day.isoformat(),
        "status": document.status,
        "type": sale.kind,
        "currencyCode": sale.currency,
        "exchangeRateCurrencyCode": sale.currency,
        "exchangeRate": 1.0,
        "customerCode": sale.model.get("customerCode", ""),
        "customerVendorCode": sale.model.get("customerCode", ""),
        "entityUseCode": sale.model.get("entityUseCode") or sale.model.get("customerUsageType") or "",
        "exemptNo": sale.model.get("exemptionNo", ""),
        "purchaseOrderNo": sale.model.get("purchaseOrderNo", ""),
        "referenceCode": document.refund_of or sale.model.get("referenceCode", ""),
        "description": sale.model.get("description", ""),
        "taxOverrideType": override.kind if override else "None",
        "taxOverrideAmount": _number(override.amount) if override else 0.0,
        "taxOverrideReason": override.reason if override else "",
        "totalAmount": _sum(line.net - line.discount for line in lines),
        "totalDiscount": _sum(line.discount for line in lines),
        "totalExempt": _sum(line.exempt for line in lines),
        "totalTaxable": _sum(line.taxable for line in lines),
        "totalTax": _sum(line.tax for line in lines),
        "totalTaxCalculated": _sum(line.calculated for line in lines),
        "adjustmentReason": document.reason,
        "adjustmentDescription": document.description,
        "locked": document.locked,
        "reconciled": False,
        "region": lines[0].line.place.region,
        "country": lines[0].line.place.country,
        "version": document.version,
        "modifiedDate": document.modified.isoformat(),
        "taxDate": _tax_day(document, lines[0]),
    }
    if parts & {"lines", "details", "linesonly"} and "summaryonly" not in parts:
        details = "details" in parts
        body["lines"] = [_line(document, line, position, details) for position, line in enumerate(lines, 1)]
    if parts & {"summary", "summaryonly"}:
        body["summary"] = _summary(lines)
    if "addresses" in parts:
        body["addresses"] = [
            _address(document, place) for place in dict.fromkeys(one.line.place for one in lines)
        ]
    return body


def _line(document: Document, done: TaxedLine, position: int, details: bool) -> dict[str, Any]:
    line, override = done.line, done.override
    body: dict[str, Any] = {
        "id": document.id * 100 + position,
        "transactionId": document.id,
        "lineNumber": line.number,
        "description": line.fields.get("description", ""),
        "itemCode": line.fields.get("itemCode", ""),
        "taxCode": line.tax_code,
        "ref1": line.fields.get("ref1", ""),
        "ref2": line.fields.get("ref2", ""),
        "quantity": _number(line.quantity),
        "lineAmount": _number(done.net),
        "discountAmount": _number(done.discount),
        "exemptAmount": _number(done.exempt),
        "taxableAmount": _number(done.taxable),
        "tax": _number(done.tax),
        "taxCalculated": _number(done.calculated),
        "isItemTaxable": bool(done.details),
        "entityUseCode": line.fields.get("entityUseCode", ""),
        "taxIncluded": line.tax_included,
        "taxDate": _tax_day(document, done),
        "reportingDate": document.sale.day.isoformat(),
        "taxOverrideType": override.kind if override else "None",
        "taxOverrideAmount": _number(override.amount) if override else 0.0,
        "taxOverrideReason": override.reason if override else "",
        "sourcing": "Destination",
    }
    if details:
        body["details"] = [
            _detail(body["id"], number, done, one) for number, one in enumerate(done.details, 1)
        ]
    return body


def _detail(line_id: int, number: int, done: TaxedLine, detail: Detail) -> dict[str, Any]:
    return {
        "id": line_id * 10 + number,
        "transactionLineId": line_id,
        **_authority(done, detail),
        "jurisType": detail.jurisdiction.kind,
        "jurisdictionType": _JURISDICTION_TYPES[detail.jurisdiction.kind],
        "exemptAmount": _number(detail.exempt),
        "nonTaxableAmount": 0.0,
        "taxableAmount": _number(detail.taxable),
        "tax": _number(detail.tax),
        "taxCalculated": _number(detail.calculated),
        "taxOverride": _number(detail.tax) if detail.tax != detail.calculated else 0.0,
        "liabilityType": "Seller",
    }


def _authority(done: TaxedLine, detail: Detail) -> dict[str, Any]:
    who = detail.jurisdiction
    return {
        "country": done.line.place.country,
        "region": done.line.place.region,
        "jurisCode": who.code,
        "jurisName": who.name,
        "taxName": who.tax_name,
        "taxType": who.tax_type,
        "rateType": who.rate_type,
        "rate": float(who.rate),
    }


def _summary(lines: tuple[TaxedLine, ...]) -> list[dict[str, Any]]:
    """One row per authority and rate, over all lines."""
    rows: dict[tuple[Any, ...], list[tuple[TaxedLine, Detail]]] = {}
    for done in lines:
        for detail in done.details:
            key = (done.line.place.country, done.line.place.region, detail.jurisdiction)
            rows.setdefault(key, []).append((done, detail))
    return [
        {
            **_authority(*found[0]),
            "jurisType": _JURISDICTION_TYPES[found[0][1].jurisdiction.kind],
            "taxable": _sum(detail.taxable for _, detail in found),
            "exemption": _sum(detail.exempt for _, detail in found),
            "nonTaxable": 0.0,
            "tax": _sum(detail.tax for _, detail in found),
            "taxCalculated": _sum(detail.calculated for _, detail in found),
        }
        for found in rows.values()
    ]


def _address(document: Document, place: Place) -> dict[str, Any]:
    return {
        "id": document.id,
        "transactionId": document.id,
        "boundaryLevel": "Zip5",
        "line1": place.line1,
        "city": place.city,
        "region": place.region,
        "postalCode": place.postal_code,
        "country": place.country,
    }


def _tax_day(document: Document, line: TaxedLine) -> str:
    # A line's override of the tax says nothing about the day; the transaction's still does.
    overrides = (line.line.override, document.sale.override)
    days = (override.tax_date for override in overrides if override is not None)
    return (next(filter(None, days), None) or document.sale.day).isoformat()


def _sum(amounts: Any) -> float:
    return _number(sum(amounts, Decimal(0)))


def _number(amount: Decimal) -> float:
    return float(amount)
