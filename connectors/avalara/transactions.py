"""AvaTax's transactions as our values, and our orders as its models. It counts in major units, exactly to the cent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from connectors.sdk.capabilities.tax import (
    TaxDocument,
    TaxedLine,
    TaxOrder,
    TaxOrderLine,
    TaxPart,
    TaxQuote,
    TaxRefund,
    TaxStatus,
)
from connectors.sdk.values import Address
from domain.money import to_major, to_minor

ESTIMATE, INVOICE = "SalesOrder", "SalesInvoice"

_STATUS = {
    "Committed": TaxStatus.COMMITTED,
    "Locked": TaxStatus.COMMITTED,
    "Cancelled": TaxStatus.VOIDED,
}


def transaction(order: TaxOrder, company: str, kind: str) -> dict[str, Any]:
    """The CreateTransactionModel of an order. kind: an estimate, or an invoice that is committed at once."""
    made: dict[str, Any] = {
        "type": kind,
        "companyCode": company,
        "date": order.on.isoformat(),
        "customerCode": order.customer,
        "currencyCode": order.currency,
        "addresses": {"shipFrom": _address(order.ship_from), "shipTo": _address(order.ship_to)},
        "lines": [_line(line, order.currency) for line in order.lines],
        "commit": kind == INVOICE,
    }
    if kind == INVOICE:
        made["code"] = order.code
    if order.exemption:
        made["exemptionNo"] = order.exemption
    if order.tax_date is not None and order.tax_date != order.on:
        made["taxOverride"] = {
            "type": "TaxDate",
            "taxDate": order.tax_date.isoformat(),
            "reason": "the day on which it was quoted",
        }
    return made


def refund(order: TaxRefund) -> dict[str, Any]:
    """The RefundTransactionModel: everything, or the lines named."""
    made: dict[str, Any] = {
        "refundTransactionCode": order.code,
        "refundDate": order.on.isoformat(),
        "refundType": "Partial" if order.lines else "Full",
    }
    if order.lines:
        made["refundLines"] = list(order.lines)
    return made


def quote(answer: Mapping[str, Any]) -> TaxQuote:
    """An estimate as a quote. Raises KeyError or ValueError for an answer that is none."""
    currency = answer["currencyCode"]
    return TaxQuote(
        currency=currency,
        total=_minor(answer["totalTax"], currency),
        tax_date=_day(answer.get("taxDate") or answer["date"]),
        lines=_lines(answer["lines"], currency),
    )


def document(answer: Mapping[str, Any]) -> TaxDocument:
    """A recorded transaction. Raises KeyError or ValueError for an answer that is none."""
    currency = answer["currencyCode"]
    return TaxDocument(
        code=answer["code"],
        status=_STATUS.get(answer["status"], TaxStatus.SAVED),
        currency=currency,
        total=_minor(answer["totalTax"], currency),
        tax_date=_day(answer.get("taxDate") or answer["date"]),
        lines=_lines(answer.get("lines") or (), currency),
    )


def _line(line: TaxOrderLine, currency: str) -> dict[str, Any]:
    made: dict[str, Any] = {
        "number": line.number,
        # A JSON number of at most a few digits behind the point: its shortest text is exact.
        "amount": float(to_major(line.amount, currency)),
        "quantity": float(line.quantity),
    }
    optional = {"taxCode": line.tax_code, "itemCode": line.item, "description": line.description}
    made |= {name: value for name, value in optional.items() if value}
    if line.inclusive:
        made["taxIncluded"] = True
    if line.charged is not None:
        made["taxOverride"] = {
            "type": "TaxAmount",
            "taxAmount": float(to_major(line.charged, currency)),
            "reason": "the tax that was charged",
        }
    return made


def _address(address: Address) -> dict[str, str]:
    names = {
        "line1": address.line1,
        "line2": address.line2,
        "city": address.city,
        "region": address.region,
        "postalCode": address.postal_code,
        "country": address.country,
    }
    return {name: value for name, value in names.items() if value}


def _lines(lines: Sequence[Mapping[str, Any]], currency: str) -> tuple[TaxedLine, ...]:
    return tuple(
        TaxedLine(
            number=line["lineNumber"],
            amount=_minor(line["tax"], currency),
            parts=tuple(
                TaxPart(
                    jurisdiction=detail.get("jurisName") or detail.get("jurisCode") or "",
                    rate=Decimal(str(detail.get("rate") or 0)),
                    amount=_minor(detail["tax"], currency),
                )
                for detail in line.get("details") or ()
            ),
        )
        for line in lines
    )


def _minor(amount: Any, currency: str) -> int:
    return to_minor(Decimal(str(amount)), currency)


def _day(text: str) -> date:
    return date.fromisoformat(text[:10])
