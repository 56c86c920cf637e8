"""Sales as a client of AvaTax writes them, and how its errors read."""

from __future__ import annotations

from typing import Any

HERE = {"line1": "1 Main St", "city": "Irvine", "region": "CA", "postalCode": "92615", "country": "US"}
PLACES = {
    "NY": {
        "line1": "620 8th Ave",
        "city": "New York",
        "region": "NY",
        "postalCode": "10018",
        "country": "US",
    },
    "CA": HERE,
    "TX": {
        "line1": "1 Congress Ave",
        "city": "Austin",
        "region": "TX",
        "postalCode": "78701",
        "country": "US",
    },
    "OR": {"line1": "1 Pine St", "city": "Portland", "region": "OR", "postalCode": "97204", "country": "US"},
    "DE": {"line1": "Unter den Linden 1", "city": "Berlin", "postalCode": "10117", "country": "DE"},
    "FR": {"line1": "1 rue de Rivoli", "city": "Paris", "postalCode": "75001", "country": "FR"},
    "GB": {"line1": "1 Strand", "city": "London", "postalCode": "WC2N", "country": "GB"},
    "JP": {"line1": "1-1 Marunouchi", "city": "Tokyo", "postalCode": "100-0005", "country": "JP"},
}
ALL = {"$include": "Lines,Details,Summary,Addresses"}


def sale(*amounts: float, to: str = "NY", code: str | None = "INV-1", **fields: Any) -> dict[str, Any]:
    lines = [
        {"number": str(n), "amount": amount, "taxCode": "P0000000"} for n, amount in enumerate(amounts, 1)
    ]
    model = {
        "type": "SalesInvoice",
        "companyCode": "DEFAULT",
        "customerCode": "ACC-1",
        "date": "2026-03-01",
        "addresses": {"shipFrom": HERE, "shipTo": PLACES[to]},
        "lines": lines,
        **fields,
    }
    return model if code is None else model | {"code": code}


def error(reply: Any) -> tuple[int, str, int]:
    body = reply.json()["error"]
    return reply.status_code, body["code"], body["details"][0]["number"]
