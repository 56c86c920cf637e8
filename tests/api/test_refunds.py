"""Payments, refunds and disputes over HTTP: the real application, workers and gateways' stand-ins behind it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from fastapi.testclient import TestClient

from connectors.sdk.capabilities.payment_facts import Happened, PaymentFact
from operations.calls.prepare import CallOrder, prepare_call
from operations.refunds.facts import apply_facts
from runtime.temporal import connect
from sandbox.adyen.stand_in import AdyenStandIn
from sandbox.stripe.stand_in import StripeStandIn
from storage.charges import charge_key
from storage.database import make_engine, transaction
from tests.api.served import NOBODY, client_for, database_with_keys
from tests.conftest import PostgresForTests
from tests.names import NAMESPACE
from tests.workflows.refunding import Paid, Till


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return database_with_keys(pg_server, "refunds_api", "payments:read")


class Counter:
    """A till that works in a thread and loop of its own."""

    def __init__(self, till: Till, loop: asyncio.AbstractEventLoop) -> None:
        self.till = till
        self._loop = loop

    def paid(self, gateway: str = "stripe", card: str = "good") -> Paid:
        """A payment through a gateway."""
        return asyncio.run_coroutine_threadsafe(self.till.paid(gateway, card), self._loop).result(30)

    def tell(self, gateway: str) -> None:
        """Let the gateway tell all that it has."""
        asyncio.run_coroutine_threadsafe(self.till.tell(gateway), self._loop).result(30)


@pytest.fixture(scope="module")
def counter(url: str, temporal_address: str) -> Iterator[Counter]:
    engine = make_engine(url)
    made: list[Counter] = []
    failures: list[BaseException] = []
    stop, ready = threading.Event(), threading.Event()

    async def work() -> None:
        with StripeStandIn() as stripe, AdyenStandIn() as adyen:
            client = await connect(temporal_address, NAMESPACE)
            till = Till(engine, client, {"stripe": stripe, "adyen": adyen})
            async with till.working():
                made.append(Counter(till, asyncio.get_running_loop()))
                ready.set()
                await asyncio.to_thread(stop.wait)
            till.check()

    def run() -> None:
        try:
            asyncio.run(work())
        except BaseException as error:
            failures.append(error)
        ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait(60)
    assert failures == []
    yield made[0]
    stop.set()
    thread.join()
    engine.dispose()
    assert failures == []


@pytest.fixture
def api(url: str, counter: Counter, temporal_address: str, tmp_path: Path) -> Iterator[TestClient]:
    with client_for(url, tmp_path, temporal=temporal_address) as client:
        yield client


def post(api: TestClient, path: str, key: str | None = None, **body: Any) -> httpx.Response:
    return api.post(path, json=body, headers={"Idempotency-Key": key or str(uuid4())})


def kind(answer: httpx.Response) -> str:
    return str(answer.json()["kind"])


def test_a_refund_is_paid_and_is_the_same_under_its_key(api: TestClient, counter: Counter) -> None:
    made = counter.paid()
    first = post(api, f"/v1/payments/{made.payment_id}/refunds?wait=20", "r-1", amount="2.00", reason="late")
    assert first.status_code == 201, first.text
    body = first.json()
    assert (body["status"], body["promise"], body["amount"], body["stuck"]) == (
        "succeeded",
        "paid",
        200,
        False,
    )
    again = post(api, f"/v1/payments/{made.payment_id}/refunds", "r-1", amount="2.00", reason="late")
    assert (again.status_code, again.json()) == (201, body)
    other = post(api, f"/v1/payments/{made.payment_id}/refunds", "r-1", amount="3.00")
    assert (other.status_code, kind(other)) == (422, "idempotency_key_reused")
    assert api.get(first.headers["Location"]).json() == body
    shown = api.get(f"/v1/payments/{made.payment_id}").json()
    assert (shown["status"], shown["refunded"]) == ("succeeded", 200)
    listed = api.get("/v1/refunds", params={"payment_id": made.payment_id}).json()["items"]
    assert listed == [body]
    payments = api.get(f"/v1/accounts/{made.account}/payments").json()["items"]
    assert [each["id"] for each in payments] == [made.payment_id]


def test_more_than_was_paid_is_refused_in_plain_words(api: TestClient, counter: Counter) -> None:
    made = counter.paid()
    refused = post(api, f"/v1/payments/{made.payment_id}/refunds", amount="999.00")
    assert (refused.status_code, kind(refused)) == (409, "refused")
    assert "refunded" in refused.json()["detail"]
    assert post(api, f"/v1/payments/{NOBODY}/refunds").status_code == 404
    assert api.post(f"/v1/payments/{made.payment_id}/refunds", json={}).status_code == 400


def test_adyen_tells_later(api: TestClient, counter: Counter) -> None:
    made = counter.paid("adyen")
    answer = post(api, f"/v1/payments/{made.payment_id}/refunds?wait=20")
    assert (answer.status_code, answer.json()["status"]) == (202, "processing")
    assert answer.headers["Location"] == f"/v1/refunds/{answer.json()['id']}"
    counter.tell("adyen")
    shown = api.get(answer.headers["Location"]).json()
    assert (shown["status"], shown["promise"]) == ("succeeded", "paid")


def test_a_credit_note_can_be_refunded(api: TestClient, counter: Counter) -> None:
    """It is promised in its transaction; whoever keeps refunds begins it."""
    made = counter.paid()
    invoice = api.get(f"/v1/payments/{made.payment_id}").json()["applied"][0]["invoice_id"]
    noted = post(
        api, f"/v1/accounts/{made.account}/credit-notes", invoice_id=invoice, amount="1.00", to="refund"
    )
    assert noted.status_code == 200, noted.text
    (row,) = api.get("/v1/refunds", params={"payment_id": made.payment_id, "standing": True}).json()["items"]
    assert (row["status"], row["amount"], row["reason"]) == ("pending", 100, "credit")


# --- money that came in by hand ---


@pytest.fixture
def owing(counter: Counter) -> tuple[str, int]:
    return counter.till.invoiced()


def test_a_cheque_is_recorded_once_for_its_reference(api: TestClient, owing: tuple[str, int]) -> None:
    account, total = owing
    order = {"reference": "cheque 1041", "received_on": str(date.today() - timedelta(days=3))}
    first = post(api, f"/v1/accounts/{account}/payments", **order)
    assert (first.status_code, first.json()["open"], first.json()["warnings"]) == (200, 0, [])
    again = post(api, f"/v1/accounts/{account}/payments", **order)
    assert again.json()["payment_id"] == first.json()["payment_id"]
    other = post(api, f"/v1/accounts/{account}/payments", amount="1.00", reference="cheque 1041")
    assert (other.status_code, kind(other)) == (409, "reference_used")
    (payment,) = api.get(f"/v1/accounts/{account}/payments").json()["items"]
    assert (payment["amount"], payment["reference"]) == (total, "cheque 1041")
    assert payment["received_on"] == order["received_on"]
    tomorrow = post(
        api,
        f"/v1/accounts/{account}/payments",
        amount="1.00",
        received_on=str(date.today() + timedelta(days=2)),
    )
    assert (tomorrow.status_code, kind(tomorrow)) == (409, "refused")


def test_an_overpayment_is_credit_that_the_next_invoice_uses_first(
    api: TestClient, counter: Counter, owing: tuple[str, int]
) -> None:
    account, total = owing
    amount = f"{(total + 300) / 100:.2f}"
    (invoice,) = api.get("/v1/invoices", params={"account_id": account}).json()["items"]
    named = post(
        api, f"/v1/accounts/{account}/payments", amount=amount, invoice_ids=[invoice["id"]], reference="T1"
    )
    assert named.status_code == 200
    post(
        api,
        f"/v1/accounts/{account}/subscriptions",
        external_key=str(uuid4()),
        plan="digital-monthly",
        invoice_now=True,
    )
    newest = api.get("/v1/invoices", params={"account_id": account}).json()["items"][0]
    assert newest["balance"] == newest["total"] - 300
    # The bank takes it back: both invoices are open as if it had never come.
    bounced = post(api, f"/v1/payments/{named.json()['payment_id']}/return", "b-1", reason="not covered")
    assert bounced.status_code == 200, bounced.text
    assert bounced.json()["open"] == total + newest["total"]
    again = post(api, f"/v1/payments/{named.json()['payment_id']}/return", reason="not covered")
    assert (again.status_code, kind(again)) == (409, "refused")
    payment = api.get(f"/v1/payments/{named.json()['payment_id']}").json()
    assert (payment["status"], payment["code"]) == ("failed", "returned")
    assert payment["returned_on"] is not None


def test_an_invoice_that_is_being_charged_is_paid_with_a_warning(
    api: TestClient, counter: Counter, owing: tuple[str, int]
) -> None:
    account, total = owing
    with transaction(counter.till.engine) as connection:
        own = str(uuid4())
        connection.execute(
            "insert into charge (id, account_id, no, collection_id, made_on, currency, amount, connection, method)"
            " values (%s, %s, 1, %s, current_date, 'USD', %s, 'stripe', 'token')",
            (own, account, own, total),
        )
        order = CallOrder("stripe", "payment.charge", charge_key(account, 1), {}, account_id=account)
        prepare_call(connection, order)
        connection.execute(
            "insert into charge_part (charge_id, invoice_id, amount) select %s, id, total from invoice"
            " where account_id = %s",
            (own, account),
        )
    answer = post(api, f"/v1/accounts/{account}/payments", reference="T2")
    (warning,) = answer.json()["warnings"]
    assert "stripe" in warning


def test_what_came_through_a_gateway_is_not_returned_by_hand(api: TestClient, counter: Counter) -> None:
    made = counter.paid()
    refused = post(api, f"/v1/payments/{made.payment_id}/return", reason="so I was told")
    assert (refused.status_code, kind(refused)) == (409, "refused")


def test_a_refund_by_hand_is_decided_once(api: TestClient, owing: tuple[str, int]) -> None:
    account, _ = owing
    paid = post(api, f"/v1/accounts/{account}/payments", reference="T3").json()["payment_id"]
    promised = post(api, f"/v1/payments/{paid}/refunds", amount="1.00")
    assert (promised.status_code, promised.json()["status"], promised.json()["stuck"]) == (
        202,
        "by_hand",
        True,
    )
    own = promised.json()["id"]
    for _ in range(2):
        done = post(api, f"/v1/refunds/{own}/decision", action="paid", reason="transfer of today")
        assert (done.status_code, done.json()["status"], done.json()["promise"]) == (200, "succeeded", "paid")
    other = post(api, f"/v1/refunds/{own}/decision", action="credit", reason="changed my mind")
    assert (other.status_code, kind(other)) == (409, "cannot_decide")


# --- disputes ---


def test_a_dispute_is_seen_and_noted(api: TestClient, counter: Counter) -> None:
    made = counter.paid()
    with transaction(counter.till.engine) as connection:
        told = PaymentFact(
            happened=Happened.DISPUTED,
            payment=made.gateway_id,
            reference="",
            id="dp_seen",
            amount=made.amount,
            currency="USD",
        )
        apply_facts(connection, counter.till.tariffs.current(connection), "stripe", [told], datetime.now(UTC))
    (dispute,) = api.get("/v1/disputes", params={"account_id": made.account, "status": "open"}).json()[
        "items"
    ]
    assert (dispute["stage"], dispute["payment_id"]) == ("taken", made.payment_id)
    refused = post(api, f"/v1/payments/{made.payment_id}/refunds")
    assert (refused.status_code, "disputed" in refused.json()["detail"]) == (409, True)
    noted = post(api, f"/v1/disputes/{dispute['id']}/notes", text="read 41 articles since")
    assert [each["text"] for each in noted.json()["evidence"]] == ["read 41 articles since"]
    assert api.get(f"/v1/disputes/{dispute['id']}").json() == noted.json()
    assert api.get(f"/v1/disputes/{NOBODY}").status_code == 404
