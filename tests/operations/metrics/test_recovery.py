"""What is told of payments that failed: by hand for each way in which it can end, over HTTP, and as gauges."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest
from fastapi.testclient import TestClient

from domain.declines import DeclineClass
from operations.metrics.recovery import Attempts, DaysToRecover, Sum, recovery
from operations.metrics.recovery_gauges import recovery_samples
from tests.api.served import client_for, database_with_keys
from tests.conftest import PostgresForTests
from tests.operations.metrics.arrears import Book, new_id

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)


def day(number: int) -> date:
    """A day of October 2026."""
    return date(2026, 10, number)


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    """A database with invoices that failed in every way."""
    url = database_with_keys(pg_server, "recovery", "metrics:read")
    with psycopg.connect(url) as connection:
        book = Book(connection)
        # Recovered by a later charge, after 3 days.
        soft = book.invoice(1000, status="paid")
        book.charge(soft, 1000, day(1), code="insufficient_funds")
        book.charge(soft, 1000, day(2), code="insufficient_funds")
        book.charge(soft, 1000, day(4), status="succeeded")
        # Recovered by a cheque, after 13 days.
        hard = book.invoice(2000, status="paid")
        book.charge(hard, 2000, day(5), code="stolen_card")
        book.payment(hard, 2000, day(18))
        # At risk, with a part of it paid.
        partly = book.invoice(3000, balance=2400)
        book.charge(partly, 3000, day(10), code="insufficient_funds")
        book.payment(partly, 600, day(12))
        # Lost, and settled otherwise: void, or by credit.
        lost = book.invoice(500, status="uncollectible", written_off=500)
        book.charge(lost, 500, day(31), code="own_code")
        void = book.invoice(400, status="void")
        book.charge(void, 400, day(31), code="insufficient_funds")
        credited = book.invoice(300, status="paid")
        book.charge(credited, 300, day(31), code="insufficient_funds")
        # In another currency.
        yen = book.invoice(900, currency="JPY")
        book.charge(yen, 900, day(3), code="authentication_required")
        # Dunned now, and in test mode.
        for mode in ("live", "test"):
            connection.execute(
                "insert into dunning_case (id, account_id, opened_at, opened_by, state, currency, amount, invoices)"
                " values (%s, %s, now(), 'sweep', 'grace', 'EUR', 2400, 1)",
                (new_id(), (partly if mode == "live" else book.invoice(2400, mode=mode))[0]),
            )
        # None of these fails an invoice of October.
        book.charge(book.invoice(7000, status="paid"), 7000, day(1), status="succeeded")
        book.charge(book.invoice(7000), 7000, day(1), code="technical_problem", technical=True)
        book.charge(book.invoice(7000), 7000, day(1), status="unknown")
        book.charge(book.invoice(7000, mode="test"), 7000, day(1), code="insufficient_funds")
        earlier = book.invoice(7000)
        book.charge(earlier, 7000, date(2026, 9, 30), code="insufficient_funds")
        book.charge(earlier, 7000, day(2), code="insufficient_funds")
        book.charge(book.invoice(7000), 7000, NOVEMBER, code="insufficient_funds")
    return url


@pytest.fixture(scope="module")
def client(url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """The API over it."""
    with client_for(url, Path(tmp_path_factory.mktemp("home"))) as client:
        yield client


def test_each_invoice_ends_in_one_way(url: str) -> None:
    with psycopg.connect(url) as connection:
        found = recovery(connection, OCTOBER, NOVEMBER)
    euros, yen = found.currencies
    assert euros.failed == Sum(6, 7200)
    assert euros.recovered == Sum(2, 3600)
    assert euros.at_risk == Sum(1, 2400)
    assert euros.lost == Sum(1, 500)
    assert euros.otherwise == Sum(2, 700)
    assert euros.rate == 0.5
    assert euros.days == DaysToRecover(mean=8.0, median=8.0, ninety_percent=12.0)
    ways = (euros.recovered, euros.at_risk, euros.lost, euros.otherwise)
    assert sum(way.amount for way in ways) == euros.failed.amount
    assert sum(way.invoices for way in ways) == euros.failed.invoices
    assert (yen.currency, yen.failed, yen.at_risk) == ("JPY", Sum(1, 900), Sum(1, 900))
    assert yen.days is None


def test_attempts_by_code_and_class(url: str) -> None:
    own = {"own_code": DeclineClass.HARD}
    with psycopg.connect(url) as connection:
        found = recovery(connection, OCTOBER, NOVEMBER, classes=own).attempts
    assert found == (
        Attempts("cards", "EUR", "declined", "insufficient_funds", "soft", 6, 12700),
        Attempts("cards", "EUR", "declined", "own_code", "hard", 1, 500),
        Attempts("cards", "EUR", "declined", "stolen_card", "hard", 1, 2000),
        Attempts("cards", "EUR", "succeeded", None, None, 2, 8000),
        Attempts("cards", "EUR", "technical", "technical_problem", None, 1, 7000),
        Attempts("cards", "JPY", "declined", "authentication_required", "action", 1, 900),
    )


def test_a_span_without_charges_has_no_rate(url: str) -> None:
    with psycopg.connect(url) as connection:
        found = recovery(connection, date(2020, 1, 1), date(2020, 2, 1))
    assert found.attempts == found.currencies == ()


def test_over_http(client: TestClient) -> None:
    answer = client.get("/v1/metrics/recovery", params={"since": "2026-10-01", "until": "2026-11-01"})
    assert answer.status_code == 200
    euros = answer.json()["currencies"][0]
    assert euros["recovered"] == {"invoices": 2, "amount": 3600}
    assert euros["rate"] == 0.5
    assert euros["days_to_recover"]["mean"] == 8.0
    assert len(answer.json()["attempts"]) == 6
    assert answer.json()["dunned"] == [{"currency": "EUR", "state": "grace", "accounts": 1, "amount": 2400}]


def test_without_days_it_is_the_last_thirty(client: TestClient) -> None:
    told = client.get("/v1/metrics/recovery").json()
    since, until = (date.fromisoformat(told[name]) for name in ("since", "until"))
    assert until - since == timedelta(days=30)


@pytest.mark.parametrize(
    ("since", "until"),
    [("2026-11-01", "2026-11-01"), ("2026-11-02", "2026-11-01"), ("2025-01-01", "2026-11-01")],
)
def test_a_span_that_is_none_is_refused(client: TestClient, since: str, until: str) -> None:
    answer = client.get("/v1/metrics/recovery", params={"since": since, "until": until})
    assert answer.status_code == 422
    assert answer.json()["kind"] == "bad_span"


def test_the_first_day_of_time_is_no_failure(client: TestClient) -> None:
    assert client.get("/v1/metrics/recovery", params={"until": "0001-01-02"}).status_code == 422


def test_keys_of_test_mode_see_test_accounts(url: str, client: TestClient) -> None:
    with psycopg.connect(url) as connection:
        connection.execute("update api_key set mode = 'test' where name = 'reader'")
    span = {"since": "2026-10-01", "until": "2026-11-01"}
    answer = client.get("/v1/metrics/recovery", params=span, headers={"Authorization": "Bearer mh_reader"})
    (euros,) = answer.json()["currencies"]
    assert euros["failed"] == {"invoices": 1, "amount": 7000}


def test_the_same_figures_as_gauges(url: str) -> None:
    with psycopg.connect(url) as connection:
        samples = recovery_samples(connection, OCTOBER, NOVEMBER)
    euros = {each.measure.name: each.value for each in samples if each.labels == ("EUR",)}
    assert euros == {
        "masthead_recovery_failed_amount": 7200,
        "masthead_recovery_recovered_amount": 3600,
        "masthead_recovery_at_risk_amount": 2400,
        "masthead_recovery_lost_amount": 500,
        "masthead_recovery_at_risk_invoices": 1,
        "masthead_recovery_ratio": 0.5,
        "masthead_recovery_days_mean": 8,
        "masthead_recovery_days_median": 8,
    }
    attempts = [each for each in samples if each.measure.name == "masthead_payment_attempts"]
    assert ("cards", "EUR", "declined", "insufficient_funds", "soft") in [each.labels for each in attempts]
