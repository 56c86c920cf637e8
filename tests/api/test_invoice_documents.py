"""Invoices over HTTP as pages and PDF."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import psycopg
import pytest
from fastapi.testclient import TestClient

from api.security import hash_key
from tests.api.served import NOBODY, client_for
from tests.conftest import PostgresForTests
from tests.documents.shown import text_of
from tests.operations.billed import bench_fleet


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    url = bench_fleet(pg_server, [date(2026, 12, 1)], accounts=5)
    with psycopg.connect(url) as connection:
        for key, scope in (("operator", "*"), ("stranger", "bill-runs:read")):
            connection.execute(
                "insert into api_key (id, name, key_hash, scopes) values (gen_random_uuid(), %s, %s, %s)",
                (key, hash_key(f"mh_{key}"), [scope]),
            )
    return url


@pytest.fixture
def client(url: str, tmp_path: Path) -> Iterator[TestClient]:
    with client_for(url, tmp_path) as client:
        yield client


def first(url: str) -> tuple[str, int]:
    with psycopg.connect(url) as connection:
        row = connection.execute("select id::text, number from invoice order by number limit 1").fetchone()
    assert row is not None
    return row[0], row[1]


def test_an_invoice_as_page_and_as_pdf(client: TestClient, url: str) -> None:
    own, number = first(url)
    page = client.get(f"/v1/invoices/{own}/document.html")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert f"INV-{number}" in page.text
    pdf = client.get(f"/v1/invoices/{own}/document.pdf")
    assert pdf.headers["content-type"] == "application/pdf"
    assert pdf.headers["content-disposition"] == f'inline; filename="INV-{number}.pdf"'
    assert f"INV-{number}" in text_of(pdf.content)


def test_who_may_not_and_what_is_not_there(client: TestClient, url: str) -> None:
    own, _ = first(url)
    refused = client.get(f"/v1/invoices/{own}/document.pdf", headers={"Authorization": "Bearer mh_stranger"})
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:masthead:problem:missing_scope")
    for path in ("invoices", "credit-notes"):
        missing = client.get(f"/v1/{path}/{NOBODY}/document.html")
        assert (missing.status_code, missing.json()["type"]) == (404, "urn:masthead:problem:no_such_document")
    assert client.get("/v1/invoices/INV-1/document.pdf").status_code == 422
