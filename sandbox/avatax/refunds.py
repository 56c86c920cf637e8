"""What a refund gives back: a return whose lines are the invoice's, negated in whole or in part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

from sandbox.avatax.computing import TaxedLine, rounded
from sandbox.avatax.documents import Document
from sandbox.avatax.errors import refused
from sandbox.avatax.model import Line, Override, Sale, read_day, read_number, read_text

_TYPES = ("Full", "Partial", "TaxOnly", "Percentage")


def refund_sale(original: Document, model: Mapping[str, Any]) -> Sale:
    """The return that a RefundTransactionModel asks for. Raises Refused in AvaTax's form."""
    kind = model.get("refundType") or "Full"
    if kind not in _TYPES:
        raise refused("InvalidEnumValue", f"refundType {kind!r} is not known.", target="refundType")
    _refundable(original)
    day = read_day(model.get("refundDate"), "refundDate")
    lines = _chosen(original, kind, model.get("refundLines"))
    share = _share(kind, read_number(model, "refundPercentage", Decimal(0)))
    currency = original.sale.currency
    return replace(
        original.sale,
        code=read_text(model, "refundTransactionCode") or None,
        kind="ReturnInvoice",
        day=day,
        commit=True,
        discount=Decimal(0),
        override=_taxed_as_of(original, day),
        lines=tuple(_given_back(line, share, currency, tax_only=kind == "TaxOnly") for line in lines),
        model={**original.sale.model, **{name: model[name] for name in ("referenceCode",) if name in model}},
    )


def _refundable(original: Document) -> None:
    if original.sale.kind != "SalesInvoice":
        raise refused("InvalidDocumentTypeForRefund", f"{original.code} is a {original.sale.kind}.")
    if original.status != "Committed":
        raise refused(
            "InvalidDocumentStatus",
            f"Document {original.code} is {original.status}; only Committed can be refunded.",
        )


def _chosen(original: Document, kind: str, numbers: Any) -> list[TaxedLine]:
    if numbers is not None and not isinstance(numbers, list):
        raise refused(
            "ValidationException", "refundLines must be a list of line numbers.", target="refundLines"
        )
    if kind == "Full" and numbers:
        raise refused(
            "RefundTypeAndLineMismatch", "A Full refund takes no refundLines.", target="refundLines"
        )
    if kind == "Partial" and not numbers:
        raise refused("RefundLinesRequired", "A Partial refund needs refundLines.", target="refundLines")
    by_number = {line.line.number: line for line in original.lines}
    for number in numbers or ():
        if str(number) not in by_number:
            raise refused(
                "LineNoOutOfRange", f"{original.code} has no line {number!r}.", target="refundLines"
            )
    return [by_number[str(number)] for number in numbers] if numbers else list(original.lines)


def _share(kind: str, percentage: Decimal) -> Decimal:
    if kind != "Percentage":
        if kind == "Full" and percentage:
            raise refused("RefundTypeAndPercentageMismatch", "A Full refund takes no refundPercentage.")
        return Decimal(1)
    if not percentage:
        raise refused("RefundPercentageMissing", "A Percentage refund needs refundPercentage.")
    if not 0 < percentage <= 100:
        raise refused("RefundPercentageOutOfRange", f"refundPercentage {percentage} is not within 0 to 100.")
    return percentage / 100


def _taxed_as_of(original: Document, day: date) -> Override:
    """A return is taxed as its invoice was."""
    return Override("TaxDate", Decimal(0), original.sale.day, f"Refund of {original.code} on {day}")


def _given_back(done: TaxedLine, share: Decimal, currency: str, *, tax_only: bool) -> Line:
    gross = Decimal(0) if tax_only else -rounded((done.line.amount - done.discount) * share, currency)
    line = replace(done.line, amount=gross, discounted=False)
    kind = done.override.kind if done.override else ""
    if tax_only or kind == "TaxAmount":
        override = Override("TaxAmount", -rounded(done.tax * share, currency), None, "Refund")
        return replace(line, override=override)
    if kind == "Exemption":
        return replace(
            line, override=Override("Exemption", -rounded(done.exempt * share, currency), None, "Refund")
        )
    return line
