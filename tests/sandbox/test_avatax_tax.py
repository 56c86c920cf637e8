"""What AvaTax's stand-in takes of a sale: rates, rounding, exemptions, overrides and discounts, on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from avalara.client import AvataxClient

from sandbox.avatax.stand_in import AvaTaxStandIn
from tests.sandbox.avatax_sales import ALL, PLACES, error, sale


@pytest.fixture
def avatax() -> Iterator[AvaTaxStandIn]:
    with AvaTaxStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def client(avatax: AvaTaxStandIn) -> AvataxClient:
    client = AvataxClient("Masthead", "1", "here", environment=avatax.url, timeout_limit=5)
    return client.add_credentials("1100000000", "sandbox-licence")


@pytest.fixture
def web(avatax: AvaTaxStandIn) -> Iterator[httpx.Client]:
    base = f"{avatax.url}/api/v2"
    with httpx.Client(base_url=base, auth=("1100000000", "sandbox-licence"), timeout=5) as client:
        yield client


@pytest.mark.parametrize(
    ("to", "currency", "amount", "tax"),
    [
        ("NY", "USD", 9.99, 0.89),  # 0.3996 + 0.44955 + 0.03746: each authority rounded alone
        ("CA", "USD", 100, 9.5),
        ("TX", "USD", 100, 8.25),
        ("OR", "USD", 100, 0),
        ("DE", "EUR", 9.99, 1.9),
        ("FR", "EUR", 100, 20),
        ("TX", "USD", 0.08, 0.01),  # 0.005 of the state: half away from zero
        ("GB", "GBP", 0.13, 0.03),
        ("JP", "JPY", 1005, 101),  # 100.5, and the yen has no decimals
    ],
)
def test_tax_is_rounded_per_authority_to_the_currency(
    client: AvataxClient, to: str, currency: str, amount: float, tax: float
) -> None:
    reply = client.create_transaction(sale(amount, to=to, currencyCode=currency), ALL)
    assert reply.status_code == 201, reply.text
    document = reply.json()
    details = [detail for line in document["lines"] for detail in line["details"]]
    assert document["totalTax"] == tax
    assert round(sum(detail["tax"] for detail in details), 2) == tax
    assert round(sum(row["tax"] for row in document["summary"]), 2) == tax
    assert (document["totalAmount"], document["addresses"][0]["country"]) == (amount, PLACES[to]["country"])


def test_details_name_the_authorities(client: AvataxClient) -> None:
    (line,) = client.create_transaction(sale(100), ALL).json()["lines"]
    found = [(one["jurisType"], one["jurisName"], one["rate"], one["tax"]) for one in line["details"]]
    assert found == [
        ("STA", "NY", 0.04, 4.0),
        ("CIT", "NEW YORK", 0.045, 4.5),
        ("STJ", "METROPOLITAN COMMUTER", 0.00375, 0.38),
    ]


def test_tax_included_keeps_what_the_customer_pays(web: httpx.Client) -> None:
    lines = [{"number": "1", "amount": 9.99, "taxIncluded": True}]
    for to, net in (("DE", 8.39), ("NY", 9.18)):
        reply = web.post("/transactions/create", params=ALL, json=sale(to=to, code=None) | {"lines": lines})
        (line,) = reply.json()["lines"]
        assert (line["lineAmount"], round(line["lineAmount"] + line["tax"], 2)) == (net, 9.99)
        assert round(sum(detail["tax"] for detail in line["details"]), 2) == line["tax"]


def test_exemption_reduced_rate_and_untaxed_code(web: httpx.Client) -> None:
    def totals(**fields: Any) -> tuple[float, float, float]:
        made = web.post("/transactions/create", json=sale(100, to="DE", code=None, **fields)).json()
        return made["totalTaxable"], made["totalExempt"], made["totalTax"]

    assert totals(entityUseCode="E") == (0, 100, 0)
    assert totals(exemptionNo="CERT-1") == (0, 100, 0)
    assert totals(entityUseCode="TAXABLE") == (100, 0, 19)
    assert totals(lines=[{"amount": 100, "taxCode": "PB100000"}]) == (100, 0, 7)
    assert totals(lines=[{"amount": 100, "taxCode": "NT"}]) == (0, 0, 0)
    some = {"type": "Exemption", "taxAmount": 40, "reason": "certificate"}
    assert totals(taxOverride=some) == (60, 40, 11.4)


def test_overrides_of_the_tax_and_of_its_date(web: httpx.Client) -> None:
    override = {"type": "TaxAmount", "taxAmount": 1.0, "reason": "as billed"}
    made = web.post("/transactions/create", params=ALL, json=sale(10, 20, taxOverride=override)).json()
    assert [line["tax"] for line in made["lines"]] == [0.33, 0.67]
    assert (made["totalTax"], made["totalTaxCalculated"], made["taxOverrideType"]) == (1.0, 2.67, "TaxAmount")
    date = {"type": "TaxDate", "taxDate": "2025-12-31", "reason": "supplied then"}
    dated = web.post("/transactions/create", json=sale(10, code="INV-2", taxOverride=date)).json()
    assert dated["taxDate"] == "2025-12-31"
    missing = web.post(
        "/transactions/create", json=sale(10, taxOverride={"type": "TaxAmount", "taxAmount": 1})
    )
    assert error(missing) == (400, "ValueRequiredError", 5)


def test_a_discount_is_spread_over_the_discounted_lines(web: httpx.Client) -> None:
    lines = [{"amount": 10, "discounted": True}, {"amount": 20, "discounted": True}, {"amount": 70}]
    made = web.post(
        "/transactions/create", params=ALL, json=sale(to="FR", discount=1) | {"lines": lines}
    ).json()
    assert [line["discountAmount"] for line in made["lines"]] == [0.33, 0.67, 0]
    assert (made["totalDiscount"], made["totalTaxable"], made["totalTax"]) == (1.0, 99.0, 19.8)
    assert error(web.post("/transactions/create", json=sale(10, discount=1)))[1] == "NoLinesDiscounted"
