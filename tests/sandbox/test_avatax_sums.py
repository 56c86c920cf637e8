"""Whatever is sold where: the parts of a document sum to its totals, and a full refund is its negative."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox.avatax.documents import Documents
from sandbox.avatax.model import read_sale
from sandbox.avatax.refunds import refund_sale
from sandbox.avatax.rendering import document_json, included

PLACES = ["US/NY", "US/CA", "US/OR", "DE/", "JP/", "GB/"]
AMOUNTS = st.integers(-5_000, 500_000).map(lambda cents: cents / 100)


@st.composite
def sales(draw: st.DrawFn) -> dict[str, Any]:
    country, _, region = draw(st.sampled_from(PLACES)).partition("/")
    included_tax = draw(st.booleans())
    lines = [
        {
            "amount": draw(AMOUNTS),
            "taxIncluded": included_tax,
            "discounted": draw(st.booleans()),
            "taxCode": draw(st.sampled_from(["P0000000", "PB100000", "NT"])),
        }
        for _ in range(draw(st.integers(1, 5)))
    ]
    model: dict[str, Any] = {
        "type": "SalesInvoice",
        "code": "INV-1",
        "customerCode": "ACC-1",
        "date": "2026-03-01",
        "commit": True,
        "currencyCode": "EUR",
        "addresses": {"singleLocation": {"country": country, "region": region}},
        "lines": lines,
    }
    if any(line["discounted"] for line in lines):
        model["discount"] = draw(st.integers(0, 900)) / 100
    kind = draw(st.sampled_from([None, "TaxAmount", "Exemption"]))
    if kind:
        amount = draw(st.integers(0, 9_999)) / 100
        model["taxOverride"] = {"type": kind, "taxAmount": amount, "reason": "as billed"}
    return model


def number(value: float) -> Decimal:
    return Decimal(str(value))


@settings(deadline=None)
@given(sales())
def test_parts_sum_to_totals_and_a_full_refund_takes_all_back(model: dict[str, Any]) -> None:
    documents = Documents(lambda: datetime(2026, 3, 1, tzinfo=UTC), lambda document, what: None)
    invoice = documents.create(read_sale(model, "DEFAULT"))
    body = document_json(invoice, included("Lines,Details,Summary"))
    assert number(body["totalTax"]) == sum(number(line["tax"]) for line in body["lines"])
    for line in body["lines"]:
        if line["details"]:
            assert sum(number(detail["tax"]) for detail in line["details"]) == number(line["tax"])
    taxed = sum(number(line["tax"]) for line in body["lines"] if line["details"])
    assert sum(number(row["tax"]) for row in body["summary"]) == taxed
    if "taxOverride" not in model:
        for line, given_line in zip(body["lines"], model["lines"], strict=True):
            if given_line["taxIncluded"]:
                paid = number(line["lineAmount"]) - number(line["discountAmount"]) + number(line["tax"])
                assert paid == number(given_line["amount"]) - number(line["discountAmount"])
    back = documents.create(refund_sale(invoice, {"refundDate": "2026-03-05"}), refund_of="INV-1")
    returned = document_json(back, included(None))
    for total in ("totalTax", "totalAmount", "totalTaxable", "totalExempt"):
        assert number(returned[total]) == -number(body[total]), total
