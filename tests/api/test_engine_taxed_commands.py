"""Commands that invoice at once where a tax engine is connected: the application with its configuration, and the
engine's stand-in. Temporal is away all the time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from fastapi.testclient import TestClient
from temporalio.testing import ActivityEnvironment

from activities.tax_documents import TaxDocumentActivities
from api.v1.engine_taxed import SECONDS, TIMES
from contracts.tax import TaxTurn
from operations.catalog import load_catalog
from operations.verify import verify
from runtime.catalog_source import read_catalog_file
from runtime.connections import Connections
from runtime.settings import load_settings
from sandbox.avatax.stand_in import AvaTaxStandIn
from storage.database import make_engine
from tests.api.engine import taxed_by
from tests.api.served import client_for, database_with_keys
from tests.conftest import PostgresForTests, wait_until
from tests.workflows.selling import CATALOG

# The first month of digital-lite is given back with the tax that it was charged; digital-monthly has its tax to come.
WAITS = 1200 - (500 + 52)
QUOTES = "/api/v2/transactions/create"


class Publisher:
    """The API, the engine that it asks, and the rows behind it."""

    def __init__(self, url: str, client: TestClient, avatax: AvaTaxStandIn, config: Path) -> None:
        self.url = url
        self.client = client
        self.avatax = avatax
        self._config = config

    def post(self, path: str, order: Any, key: str | None = None) -> Any:
        return self.client.post(path, json=order, headers={"Idempotency-Key": key or str(uuid4())})

    def account(self, region: str | None = "US-WA") -> str:
        order = {"external_key": str(uuid4()), "currency": "USD", "time_zone": "UTC", "tax_region": region}
        answer = self.post("/v1/accounts", order)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def subscribe(self, account: str, *, invoice_now: bool = True) -> Any:
        order = {"external_key": str(uuid4()), "plan": "digital-lite", "invoice_now": invoice_now}
        return self.post(f"/v1/accounts/{account}/subscriptions", order)

    def subscribed(self, region: str | None = "US-WA") -> str:
        """A new subscription to digital-lite, with its first invoice."""
        answer = self.subscribe(self.account(region))
        assert answer.status_code == 201, answer.text
        assert answer.json()["tax_by"] == "engine"
        return str(answer.json()["subscription"]["id"])

    def upgrade(self, subscription: str, key: str | None = None) -> Any:
        order = {"to": "digital-monthly", "invoice_now": True}
        return self.post(f"/v1/subscriptions/{subscription}/change-plan", order, key)

    def quotes(self) -> int:
        """How often the engine was asked."""
        return sum(request.path == QUOTES for request in self.avatax.requests)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url) as connection:
            return connection.execute(query.encode(), values).fetchall()

    def record(self) -> None:
        """One turn of what a worker does for documents."""
        settings = load_settings(
            database_url=self.url, config_file=self._config, temporal_address="127.0.0.1:1"
        )

        async def turn() -> None:
            engine, connections = make_engine(self.url), Connections.of(settings)
            activities = TaxDocumentActivities(engine, connections.open)
            await ActivityEnvironment().run(activities.settle, TaxTurn(connection="avatax"))
            await connections.aclose()
            engine.dispose()

        asyncio.run(turn())

    def check(self) -> None:
        """The laws hold, and each invoice's document says its tax."""
        engine = make_engine(self.url)
        assert [each for each in verify(engine) if not each.ok] == []
        engine.dispose()


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    url = database_with_keys(pg_server, "engine_taxed_commands", "parked:read")
    engine = make_engine(url)
    load_catalog(engine, read_catalog_file(CATALOG).catalog)
    engine.dispose()
    return url


@pytest.fixture
def policy() -> str:
    return "wait"


@pytest.fixture
def publisher(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str) -> Iterator[Publisher]:
    with AvaTaxStandIn() as avatax:
        config = taxed_by(avatax, "live", policy, tmp_path, monkeypatch)
        with client_for(url, tmp_path, MASTHEAD_CONFIG=str(config)) as client:
            yield Publisher(url, client, avatax, config)


def test_an_upgrade_is_invoiced_at_once_with_the_engine_s_tax(publisher: Publisher) -> None:
    answer = publisher.upgrade(publisher.subscribed())
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["tax_by"], told["tax_pending"], told["pending"]) == ("engine", None, 0)
    (made,) = told["invoices"]
    invoice = publisher.client.get(f"/v1/invoices/{made['id']}").json()
    assert (invoice["subtotal"], invoice["tax"] > 0) == (700, True)
    assert publisher.avatax.count() == 0  # a quote is recorded nowhere
    code = f"INV-{made['number']}"
    assert publisher.rows(
        "select code, source, status, total from tax_document where invoice_id = %s", made["id"]
    ) == [(code, "engine", "pending", invoice["tax"])]
    publisher.record()
    assert publisher.rows("select status, recorded_total from tax_document where code = %s", code) == [
        ("committed", invoice["tax"])
    ]
    assert publisher.avatax.count("tax_document", f"{code}:committed") == 1
    publisher.check()


def test_the_same_command_twice_is_one_invoice_and_asks_once(publisher: Publisher) -> None:
    subscription, key = publisher.subscribed(), str(uuid4())
    first = publisher.upgrade(subscription, key)
    asked = publisher.quotes()
    again = publisher.upgrade(subscription, key)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (again.content, publisher.quotes()) == (first.content, asked)
    assert len(first.json()["invoices"]) == 1


@pytest.mark.parametrize("fault", ["unavailable", "stall_before"])
def test_with_the_engine_away_the_command_is_done_and_its_invoice_waits(
    publisher: Publisher, fault: str
) -> None:
    subscription = publisher.subscribed()
    publisher.avatax.inject(fault, times=None)
    (number,) = publisher.rows("select last_number from number_series where code = 'INV'")
    began = time.monotonic()
    answer = publisher.upgrade(subscription)
    # What the machine adds is not the engine's.
    assert time.monotonic() - began < SECONDS + 3.0
    publisher.avatax.release()
    told = answer.json()
    assert answer.status_code == 200, answer.text
    assert (told["invoices"], told["tax_pending"], told["pending"]) == ([], "engine_away", WAITS)
    assert [each["plan"] for each in told["subscription"]["items"] if each["ends_on"] is None] == [
        "digital-monthly"
    ]
    assert publisher.rows("select last_number from number_series where code = 'INV'") == [number]
    parked = "select error_kind, resolution from parked where account_id = %s"
    assert publisher.rows(parked, told["account"]) == [("tax_pending", None)]
    # Once it is back whatever is invoiced next has it.
    publisher.avatax.faults.clear()
    order = {"quantity": "2", "invoice_now": True}

    def back() -> bool:
        path = f"/v1/subscriptions/{subscription}/change-quantity"
        found = publisher.post(path, order).json()
        order["quantity"] = str(int(order["quantity"]) + 1)
        return bool(found["invoices"])

    wait_until("the engine is asked again", back)
    assert publisher.rows(parked, told["account"]) == [("tax_pending", "billed")]
    assert publisher.rows("select count(*) from pending_charge where account_id = %s", told["account"]) == [
        (0,)
    ]
    publisher.check()


def test_a_first_bill_waits_too(publisher: Publisher) -> None:
    publisher.avatax.inject("unavailable", times=None)
    answer = publisher.subscribe(publisher.account())
    assert answer.status_code == 201
    told = answer.json()
    assert (told["invoices"], told["tax_pending"], told["pending"]) == ([], "engine_away", 0)
    due = "select next_bill_on <= current_date from subscription where account_id = %s"
    assert publisher.rows(due, told["account"]) == [(True,)]


@pytest.mark.parametrize("policy", ["fallback"])
def test_the_built_in_table_where_the_policy_says_so(publisher: Publisher) -> None:
    subscription = publisher.subscribed()
    publisher.avatax.inject("unavailable", times=None)
    told = publisher.upgrade(subscription).json()
    assert (told["tax_by"], told["tax_pending"]) == ("fallback", None)
    (made,) = told["invoices"]
    assert publisher.rows("select source from tax_document where invoice_id = %s", made["id"]) == [
        ("fallback",)
    ]
    publisher.check()


def test_what_the_engine_refuses_is_told_and_nothing_is_done(publisher: Publisher) -> None:
    account = publisher.account(region=None)
    answer = publisher.subscribe(account)
    assert (answer.status_code, answer.json()["kind"]) == (409, "no_tax_address")
    assert "leave out invoice_now" in answer.json()["remedy"]
    assert publisher.rows("select count(*) from subscription where account_id = %s", account) == [(0,)]
    assert publisher.subscribe(account, invoice_now=False).status_code == 201


def test_who_would_be_invoiced_for_nothing_is_not_asked_for(publisher: Publisher) -> None:
    account = publisher.account(region=None)
    publisher.avatax.inject("unavailable", times=None)
    order = {"external_key": str(uuid4()), "plan": "digital-trial", "invoice_now": True}
    told = publisher.post(f"/v1/accounts/{account}/subscriptions", order).json()
    assert (told["invoices"], told["tax_pending"], publisher.quotes()) == ([], None, 0)


@pytest.fixture
def beside() -> Iterator[Callable[..., Any]]:
    with ThreadPoolExecutor(1) as threads:
        yield threads.submit


def more_seats(publisher: Publisher, subscription: str, quantity: int) -> None:
    order = {"quantity": str(quantity)}
    answer = publisher.post(f"/v1/subscriptions/{subscription}/change-quantity", order)
    assert answer.status_code == 200, answer.text


def test_a_draft_that_moved_meanwhile_is_asked_for_again(
    publisher: Publisher, beside: Callable[..., Any]
) -> None:
    account = publisher.account()
    subscription = publisher.subscribe(account).json()["subscription"]["id"]
    asked = publisher.quotes()
    publisher.avatax.inject("stall_within", 1, path=QUOTES)
    upgrade = beside(publisher.upgrade, subscription)
    wait_until("the engine is asked", lambda: publisher.avatax.faults.held > 0)
    assert publisher.subscribe(account, invoice_now=False).status_code == 201
    publisher.avatax.release()
    told = upgrade.result(30).json()
    assert (told["tax_by"], told["pending"], len(told["invoices"])) == ("engine", 0, 1)
    assert publisher.quotes() == asked + 2
    # What became due in between is on the same invoice.
    (made,) = told["invoices"]
    assert publisher.rows("select subtotal from invoice where id = %s", made["id"]) == [(1200 - 500 + 500,)]
    publisher.check()


def test_one_that_moves_each_time_waits(publisher: Publisher, beside: Callable[..., Any]) -> None:
    subscription = publisher.subscribed()
    asked = publisher.quotes()
    publisher.avatax.inject("stall_within", TIMES, path=QUOTES)
    upgrade = beside(publisher.upgrade, subscription)
    for time_ in range(1, TIMES + 1):
        wait_until(
            "the engine is asked",
            lambda now=asked + time_: publisher.avatax.faults.held > 0 and publisher.quotes() == now,
        )
        more_seats(publisher, subscription, time_ + 1)
        publisher.avatax.release()
    told = upgrade.result(30).json()
    assert (told["invoices"], told["tax_pending"]) == ([], "changed_meanwhile")
    assert (told["pending"] > 0, publisher.quotes()) == (True, asked + TIMES)
    publisher.check()
