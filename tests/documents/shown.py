"""Documents to be shown, and what a reader finds in them."""

from __future__ import annotations

import io
import re
from datetime import date
from decimal import Decimal
from typing import Any

from pypdf import PdfReader

from domain.invoice_document import Deduction, DocumentLine, DocumentTax, InvoiceDocument, Recipient, Settled
from domain.publisher import Publisher

COURIER = Publisher(
    name="The Harbor Courier",
    address=("Harbor Courier Media GmbH", "Am Sandtorkai 1", "20457 Hamburg"),
    tax_id="DE123456789",
    registration="Amtsgericht Hamburg, HRB 12345",
    website="harbor-courier.example",
    contact="service@harbor-courier.example",
    payment=("Hafenbank", "IBAN DE02 1203 0000 0000 2020 51"),
)
GRACE = Recipient("Grace O'Malley", "120 Pike Street", "Apt 4B", "98101", "Seattle", "WA", "US")
JOERG = Recipient("Jörg Müßig", "Lindenstraße 12", None, "10969", "Berlin", None, "DE")
TARO = Recipient("山田 太郎", "千代田区丸の内1-1-1", None, "100-0005", "東京都", None, "JP")


def invoice(locale: str = "en-US", currency: str = "USD", **changes: Any) -> InvoiceDocument:
    """An invoice of one line with a discount and a tax of ten percent: 1,200.00 - 120.00 + 108.00 of the currency."""
    unit = 1 if currency == "JPY" else 100
    line = DocumentLine(
        "recurring",
        "Digital, yearly",
        None,
        date(2026, 12, 1),
        date(2027, 12, 1),
        Decimal(1),
        1200 * unit,
        (Deduction("WELCOME", Decimal(10), -120 * unit),),
    )
    known: dict[str, Any] = {
        "kind": "invoice",
        "id": "01a205bd-0000-7000-8000-000000000000",
        "mode": "live",
        "number": "INV-1042",
        "account": "HC-204417",
        "locale": locale,
        "currency": currency,
        "issued_on": date(2026, 12, 1),
        "due_on": date(2026, 12, 15),
        "status": "open",
        "publisher": COURIER,
        "recipient": GRACE,
        "lines": (line,),
        "taxes": (DocumentTax("Washington", Decimal("0.1"), 1080 * unit, 108 * unit),),
        "subtotal": 1080 * unit,
        "tax": 108 * unit,
        "total": 1188 * unit,
        "settled": Settled(open=1188 * unit),
    }
    return InvoiceDocument(**(known | changes))


def raw_text_of(pdf: bytes) -> str:
    """The text of a PDF as it is in it, page after page."""
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)


def text_of(pdf: bytes) -> str:
    """The text of a PDF, with one blank wherever there is room."""
    return re.sub(r"[\s\u00a0\u202f]+", " ", raw_text_of(pdf))


def figures_in(pdf: bytes) -> list[int]:
    """The figures of all numbers in a PDF, without separators and signs: 1.234,50 € is 123450."""
    numbers = re.findall(r"\d[\d.,'’\u00a0\u202f]*\d|\d", raw_text_of(pdf))
    return [int(re.sub(r"\D", "", found)) for found in numbers]
