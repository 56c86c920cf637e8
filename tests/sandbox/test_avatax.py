"""AvaTax's stand-in on the wire, with Avalara's own SDK and with httpx."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import requests
from avalara.client import AvataxClient

from sandbox.avatax.stand_in import AvaTaxStandIn
from tests.sandbox.avatax_sales import HERE, PLACES, error, sale


@pytest.fixture
def avatax() -> Iterator[AvaTaxStandIn]:
    with AvaTaxStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def client(avatax: AvaTaxStandIn) -> AvataxClient:
    return sdk(avatax)


@pytest.fixture
def web(avatax: AvaTaxStandIn) -> Iterator[httpx.Client]:
    base = f"{avatax.url}/api/v2"
    with httpx.Client(base_url=base, auth=("1100000000", "sandbox-licence"), timeout=5) as client:
        yield client


def sdk(avatax: AvaTaxStandIn, licence: str = "sandbox-licence") -> AvataxClient:
    client = AvataxClient("Masthead", "1", "here", environment=avatax.url, timeout_limit=5)
    return client.add_credentials("1100000000", licence)


def test_without_a_type_it_is_an_estimate_that_is_never_recorded(
    avatax: AvaTaxStandIn, client: AvataxClient
) -> None:
    model = sale(100)
    del model["type"]
    document = client.create_transaction(model).json()
    assert (document["type"], document["status"], document["id"], document["totalTax"]) == (
        "SalesOrder",
        "Temporary",
        0,
        8.88,
    )
    assert error(client.get_transaction_by_code("DEFAULT", "INV-1")) == (404, "EntityNotFoundError", 4)
    assert avatax.count() == 0


def test_saved_then_committed_then_voided(avatax: AvaTaxStandIn, client: AvataxClient) -> None:
    assert client.create_transaction(sale(100)).json()["status"] == "Saved"
    assert client.commit_transaction("DEFAULT", "INV-1", {"commit": True}).json()["status"] == "Committed"
    assert (
        error(client.commit_transaction("DEFAULT", "INV-1", {"commit": True}))[1] == "TransactionIsCommitted"
    )
    assert error(client.create_transaction(sale(100))) == (400, "DocumentCodeConflict", 303)
    assert client.void_transaction("DEFAULT", "INV-1", {"code": "DocVoided"}).json()["status"] == "Cancelled"
    again = client.void_transaction("DEFAULT", "INV-1", {"code": "DocVoided"})
    assert error(again) == (400, "TransactionAlreadyCancelled", 198)
    assert error(client.void_transaction("DEFAULT", "INV-1", {"code": "Whatever"}))[1] == "InvalidEnumValue"
    assert [effect.key for effect in avatax.effects.of("tax_document")] == [
        "INV-1:recorded",
        "INV-1:committed",
        "INV-1:voided",
    ]


def test_create_or_adjust_again_has_one_effect_and_a_change_one_more(
    avatax: AvaTaxStandIn, client: AvataxClient
) -> None:
    model = {"createTransactionModel": sale(100, commit=True)}
    first = client.create_or_adjust_transaction(model).json()
    second = client.create_or_adjust_transaction(model).json()
    assert (first["version"], second["version"], second["status"]) == (1, 2, "Committed")
    assert first["totalTax"] == second["totalTax"]
    assert avatax.count("tax_document", "INV-1:committed") == 1
    assert avatax.count("tax_document", "INV-1:adjusted") == 0
    changed = {"createTransactionModel": sale(50, commit=True), "adjustmentReason": "PriceAdjusted"}
    third = client.create_or_adjust_transaction(changed).json()
    assert (third["totalTax"], third["adjustmentReason"]) == (4.44, "PriceAdjusted")
    assert avatax.count("tax_document", "INV-1:adjusted") == 1
    assert client.get_transaction_by_id(first["id"]).json()["status"] == "Adjusted"
    listed = client.list_transactions_by_company("DEFAULT").json()
    assert [(row["code"], row["id"]) for row in listed["value"]] == [("INV-1", third["id"])]


def test_adjust_names_its_reason_and_keeps_the_type(client: AvataxClient) -> None:
    client.create_transaction(sale(100, commit=True))
    new = {"adjustmentReason": "PriceAdjusted", "newTransaction": sale(80, code=None)}
    adjusted = client.adjust_transaction("DEFAULT", "INV-1", new).json()
    assert (adjusted["code"], adjusted["version"], adjusted["totalAmount"]) == ("INV-1", 2, 80)
    other = {"adjustmentReason": "Other", "newTransaction": sale(80) | {"type": "ReturnInvoice"}}
    assert error(client.adjust_transaction("DEFAULT", "INV-1", other))[1] == "CannotAdjustDocumentType"
    del new["adjustmentReason"]
    assert error(client.adjust_transaction("DEFAULT", "INV-1", new))[1] == "ValueRequiredError"


def test_full_refund_is_the_negative_and_needs_a_committed_invoice(
    avatax: AvaTaxStandIn, client: AvataxClient
) -> None:
    client.create_transaction(sale(9.99, 5.01))
    refund = {"refundTransactionCode": "R-1", "refundDate": "2026-03-05", "refundType": "Full"}
    early = client.refund_transaction("DEFAULT", "INV-1", refund)
    assert error(early) == (400, "InvalidDocumentStatus", 1314)
    client.commit_transaction("DEFAULT", "INV-1", {"commit": True})
    invoice = client.get_transaction_by_code("DEFAULT", "INV-1").json()
    given = client.refund_transaction("DEFAULT", "INV-1", refund, {"$include": "Lines"}).json()
    assert (given["type"], given["status"], given["code"], given["referenceCode"]) == (
        "ReturnInvoice",
        "Committed",
        "R-1",
        "INV-1",
    )
    assert (given["totalAmount"], given["totalTax"]) == (-15.0, -invoice["totalTax"])
    assert [line["lineNumber"] for line in given["lines"]] == ["1", "2"]
    again = client.refund_transaction("DEFAULT", "INV-1", refund)
    assert error(again)[1] == "DocumentCodeConflict"
    assert avatax.count("tax_document", "INV-1:refunded") == 1
    assert (
        error(client.refund_transaction("DEFAULT", "R-1", refund | {"refundTransactionCode": "R-2"}))[0]
        == 404
    )


def test_partial_percentage_and_tax_only_refunds(web: httpx.Client) -> None:
    web.post("/transactions/create", json=sale(100, 50, to="DE", currencyCode="EUR", commit=True))

    def refund(**fields: Any) -> httpx.Response:
        return web.post(
            "/companies/DEFAULT/transactions/INV-1/refund", json={"refundDate": "2026-03-05", **fields}
        )

    part = refund(refundType="Partial", refundLines=["2"], refundTransactionCode="R-2").json()
    assert (part["totalAmount"], part["totalTax"]) == (-50.0, -9.5)
    third = refund(refundType="Percentage", refundPercentage=33.333, refundTransactionCode="R-3").json()
    assert (third["totalAmount"], third["totalTax"]) == (-50.0, -9.5)  # 33.33 + 16.67, taxed at 6.33 + 3.17
    tax = refund(refundType="TaxOnly", refundTransactionCode="R-4").json()
    assert (tax["totalAmount"], tax["totalTax"]) == (0.0, -28.5)
    assert error(refund(refundType="Partial", refundLines=["9"])) == (400, "LineNoOutOfRange", 707)
    assert error(refund(refundType="Partial")) == (400, "RefundLinesRequired", 704)
    assert error(refund(refundType="Full", refundLines=["1"])) == (400, "RefundTypeAndLineMismatch", 703)
    assert error(refund(refundType="Percentage")) == (400, "RefundPercentageMissing", 709)
    assert error(refund(refundType="Percentage", refundPercentage=101)) == (
        400,
        "RefundPercentageOutOfRange",
        708,
    )


def test_locked_documents_refuse(avatax: AvaTaxStandIn, client: AvataxClient, web: httpx.Client) -> None:
    client.create_transaction(sale(100, commit=True))
    here = "/companies/DEFAULT/transactions/INV-1"
    assert web.post(f"{here}/lock", json={"isLocked": True}).json()["locked"] is True
    changed = {"createTransactionModel": sale(50, commit=True)}
    locked = (400, "CannotModifyLockedTransaction", 1100)
    assert error(client.create_or_adjust_transaction(changed)) == locked
    assert error(client.void_transaction("DEFAULT", "INV-1", {"code": "DocVoided"})) == locked
    assert client.get_transaction_by_code("DEFAULT", "INV-1").json()["totalAmount"] == 100
    refund = {"refundTransactionCode": "R-1", "refundDate": "2026-03-05", "refundType": "Full"}
    assert client.refund_transaction("DEFAULT", "INV-1", refund).status_code == 201
    assert avatax.count("tax_document", "INV-1:adjusted") == 0


def test_a_saved_document_may_change_its_code(client: AvataxClient) -> None:
    client.create_transaction(sale(100))
    renamed = client.change_transaction_code("DEFAULT", "INV-1", {"newCode": "INV-9"}).json()
    assert renamed["code"] == "INV-9"
    assert client.get_transaction_by_code("DEFAULT", "INV-1").status_code == 404
    client.create_transaction(sale(1, code="INV-2", commit=True))
    assert (
        error(client.change_transaction_code("DEFAULT", "INV-9", {"newCode": "INV-2"}))[1]
        == "DocumentCodeConflict"
    )
    committed = client.change_transaction_code("DEFAULT", "INV-2", {"newCode": "INV-3"})
    assert error(committed)[1] == "TransactionIsCommitted"


def test_lists_are_filtered_and_paged(client: AvataxClient, web: httpx.Client) -> None:
    for number in range(1, 6):
        client.create_transaction(sale(number * 10, code=f"INV-{number}", commit=number % 2 == 0))
    seen: list[str] = []
    url: str | None = "/companies/DEFAULT/transactions?$top=2&$orderBy=id%20desc"
    while url is not None:
        page = web.get(url).json()
        seen += [row["code"] for row in page["value"]]
        url = page.get("@nextLink")
    assert seen == ["INV-5", "INV-4", "INV-3", "INV-2", "INV-1"]
    found = client.list_transactions_by_company(
        "DEFAULT", {"$filter": "status eq 'Committed' and totalAmount gt 20"}
    )
    assert [row["code"] for row in found.json()["value"]] == ["INV-4"]
    assert (
        error(client.list_transactions_by_company("DEFAULT", {"$filter": "colour eq 'red'"}))[1]
        == "InvalidQueryField"
    )
    assert (
        error(client.list_transactions_by_company("DEFAULT", {"$filter": "status Committed"}))[1]
        == "SyntaxError"
    )


def test_lines_come_only_when_asked_for(client: AvataxClient) -> None:
    plain = client.create_transaction(sale(100)).json()
    assert "lines" not in plain
    assert "summary" in plain
    lines = client.get_transaction_by_code("DEFAULT", "INV-1", {"$include": "Lines"}).json()["lines"]
    assert "details" not in lines[0]


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"lines": []}, "MissingLine"),
        ({"date": None}, "ValueRequiredError"),
        ({"date": "soon"}, "DateFormatError"),
        ({"customerCode": ""}, "ValueRequiredError"),
        ({"code": "x" * 51}, "StringLengthError"),
        ({"type": "Gift"}, "InvalidEnumValue"),
        ({"currencyCode": "XXQ"}, "InvalidEnumValue"),
        ({"companyCode": "OTHER"}, "CompanyInvalidException"),
        ({"addresses": {"shipTo": HERE}}, "MissingAddress"),
        ({"addresses": {"singleLocation": {"country": "QQ"}}}, "InvalidCountry"),
        ({"addresses": {"singleLocation": {"country": "US", "region": "QQ"}}}, "InvalidCountryRegion"),
        ({"lines": [{"number": "1", "amount": 1}, {"number": "1", "amount": 2}]}, "LineAlreadyExists"),
        ({"lines": [{"number": "1", "amount": "1.00"}]}, "InvalidDecimalValue"),
        ({"lines": [{"number": "1"}]}, "ValueRequiredError"),
    ],
)
def test_bad_models_are_refused_in_avataxs_form(
    avatax: AvaTaxStandIn, client: AvataxClient, fields: dict[str, Any], code: str
) -> None:
    reply = client.create_transaction(sale(100) | fields)
    assert error(reply)[:2] == (400, code)
    assert avatax.count() == 0


def test_ping_tells_whether_the_credentials_are_good(avatax: AvaTaxStandIn, client: AvataxClient) -> None:
    assert client.ping().json()["authenticated"] is True
    wrong = sdk(avatax, "wrong")
    assert wrong.ping().json()["authenticated"] is False
    assert error(wrong.create_transaction(sale(100))) == (401, "AuthenticationException", 30)
    nobody = httpx.get(f"{avatax.url}/api/v2/companies")
    assert error(nobody) == (401, "AuthenticationIncomplete", 34)
    assert avatax.requests[0].headers["authorization"] == "***"
    assert client.query_companies().json()["value"][0]["companyCode"] == "DEFAULT"


def test_addresses_are_resolved_or_not(client: AvataxClient) -> None:
    found = client.resolve_address_post(PLACES["NY"] | {"country": "usa"}).json()
    assert (found["validatedAddresses"][0]["city"], found["validatedAddresses"][0]["country"]) == (
        "NEW YORK",
        "US",
    )
    vague = client.resolve_address({"city": "New York", "region": "NY"}).json()
    assert (vague["resolutionQuality"], vague["messages"][0]["severity"]) == ("NotCoded", "Error")
    assert error(client.resolve_address({"postalCode": "1", "country": "QQ"}))[1] == "InvalidCountry"


def test_the_sdk_raises_after_the_fact_when_the_correlation_id_is_missing(
    avatax: AvaTaxStandIn, client: AvataxClient
) -> None:
    assert client.ping().headers["x-correlation-id"]
    avatax.inject("no_correlation_id", method="POST")
    with pytest.raises(KeyError, match="x-correlation-id"):
        client.create_transaction(sale(100, commit=True))
    assert avatax.count("tax_document", "INV-1:committed") == 1
    assert client.get_transaction_by_code("DEFAULT", "INV-1").json()["status"] == "Committed"


@pytest.mark.parametrize(
    ("fault", "status", "code", "applied"),
    [
        ("rate_limited_seconds", 429, "RateLimitExceededError", 0),
        ("unavailable", 503, "ServerUnreachable", 0),
        ("server_error", 500, "UnhandledException", 0),
        ("server_error_after", 500, "UnhandledException", 1),
        ("unauthorized_once", 401, "AuthenticationException", 0),
        ("error_in_200", 200, "GetTaxError", 0),
        ("conflict", 409, "DuplicateEntry", 0),
    ],
)
def test_faults_answer_in_avataxs_form(
    avatax: AvaTaxStandIn, client: AvataxClient, fault: str, status: int, code: str, applied: int
) -> None:
    avatax.inject(fault, method="POST")
    assert error(client.create_transaction(sale(100)))[:2] == (status, code)
    assert avatax.count("tax_document", "INV-1:recorded") == applied


def test_dropped_after_the_document_was_made(avatax: AvaTaxStandIn, client: AvataxClient) -> None:
    avatax.inject("drop_after", path="*/create")
    with pytest.raises(requests.ConnectionError):
        client.create_transaction(sale(100))
    assert avatax.count("tax_document", "INV-1:recorded") == 1


def test_the_page_shows_the_documents(avatax: AvaTaxStandIn, client: AvataxClient) -> None:
    client.create_transaction(sale(100))
    page = httpx.get(f"{avatax.url}/_page").text
    assert "INV-1" in page
    assert "no_correlation_id" in page


@pytest.mark.parametrize("bad", [None, [], {}, "x", 5, True, [1], [{}]], ids=str)
def test_bodies_of_a_wrong_shape_are_refused_and_do_not_crash(web: httpx.Client, bad: Any) -> None:
    web.post("/transactions/create", json=sale(100, commit=True))
    document = "/companies/DEFAULT/transactions/INV-1"
    calls = [("/transactions/create", bad), ("/transactions/createoradjust", bad)]
    calls += [(f"{document}/{verb}", bad) for verb in ("adjust", "void", "changecode")]
    calls += [("/transactions/create", sale(1, code="X", **{name: bad})) for name in ("date", "customerCode")]
    calls += [("/transactions/create", sale(1, code="X", addresses={"singleLocation": bad}))]
    for path, body in calls:
        reply = web.post(path, json=body)
        assert reply.status_code in (200, 201, 400), (path, body)
        assert reply.status_code != 400 or reply.json()["error"]["code"]
