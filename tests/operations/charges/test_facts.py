"""What a gateway's webhooks tell of a charge, in every order, twice, late, replayed: one final state, by the rows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connectors.adyen.config import AdyenConfig
from connectors.adyen.connector import Adyen
from connectors.sdk.config import Secret
from domain.account.collecting import sent
from operations.webhooks_in.apply import apply_batch
from operations.webhooks_in.handlers import WebhookHandlers
from runtime.gateway_webhooks import checked
from storage.database import make_engine
from storage.inbound_endpoints import InboundEndpoint
from tests.conftest import PostgresForTests
from tests.operations.charges.charged import Fleet
from tests.operations.webhooks_in.inbox import Told, make_endpoint, put

CONFIG = AdyenConfig(api_key=Secret("env:KEY"), merchant_account="OurShop")


class Event(NamedTuple):
    """A notification of the gateway: what happened to which of the charge's payments."""

    code: str
    success: bool
    payment: str = "1"
    own: str = ""


AUTHORISED = Event("AUTHORISATION", True)
REFUSED = Event("AUTHORISATION", False)
SECOND_TRY = Event("AUTHORISATION", True, "2")
PENDING = Event("PENDING", True)
CAPTURE_FAILED = Event("CAPTURE_FAILED", True, own="c")
CANCELED = Event("CANCELLATION", True, own="v")
STORIES: dict[str, tuple[Sequence[Event], tuple[str, str]]] = {
    "paid": ([PENDING, AUTHORISED], ("succeeded", "paid")),
    "refused": ([PENDING, REFUSED], ("failed", "open")),
    "refused, then paid at the second try": ([REFUSED, SECOND_TRY], ("succeeded", "paid")),
    "paid, with a failure that comes late": ([AUTHORISED, REFUSED], ("succeeded", "paid")),
    "reversed by the bank": ([PENDING, AUTHORISED, CAPTURE_FAILED], ("failed", "open")),
    "released": ([AUTHORISED, CANCELED], ("withdrawn", "open")),
}


class Gateway:
    """A billed fleet whose gateway tells by webhook."""

    def __init__(self, url: str, accounts: int = 50) -> None:
        self.url = url
        self.engine = make_engine(url)
        self.fleet = Fleet(self.engine, accounts)
        self.endpoint: InboundEndpoint = make_endpoint(url, "cards")
        self.handlers = WebhookHandlers()
        self.handlers.register_for("cards", "live", "*", checked(Adyen, CONFIG, self.fleet.tariffs))

    def charge(self) -> tuple[str, str, int]:
        """A charge on its way, of an account that no test has touched: account, key, amount."""
        account = self.fleet.accounts.pop()
        [begun] = self.fleet.begin(account).begun
        return account, begun.call.key, begun.amount

    def tell(self, charge: tuple[str, str, int], events: Sequence[Event], at_once: int) -> None:
        """Deliver `events` in this order, so many in one batch; one that was delivered before is only a duplicate."""
        account, key, amount = charge
        told = []
        for event in events:
            payment = f"{account}-{event.payment}"
            item = {
                "pspReference": f"{payment}-{event.own}" if event.own else payment,
                "originalReference": payment if event.own else "",
                "merchantAccountCode": "OurShop",
                "merchantReference": key,
                "amount": {"value": amount, "currency": "USD"},
                "eventCode": event.code,
                "success": str(event.success).lower(),
                "reason": "" if event.success else "Not enough balance",
            }
            told.append(
                Told(
                    f"{event.code}:{event.success}:{item['pspReference']}", payment, kind=event.code,
                    body=json.dumps(item).encode(),
                )
            )  # fmt: skip
        for first in range(0, len(told), at_once):
            put(self.url, self.endpoint, told[first : first + at_once])
            apply_batch(self.engine, self.endpoint, self.handlers)

    def state(self, charge: tuple[str, str, int]) -> dict[str, Any]:
        """Where the charge, its invoice and its account stand."""
        account = charge[0]
        [(status, code, parts)] = self.fleet.rows(
            "select status, code, (select count(*) from charge_part p where p.charge_id = c.id and p.open)"
            " from charge c where account_id = %s",
            account,
        )
        [(invoice, balance)] = self.fleet.invoices(account)
        [(call,)] = self.fleet.rows("select status from connector_call where key = %s", charge[1])
        [(cases,)] = self.fleet.rows(
            "select count(*) from dunning_case where account_id = %s and closed_at is null", account
        )
        return {
            "charge": status,
            "code": code,
            "invoice": invoice,
            "owed": balance > 0,
            "in flight": parts,
            "collecting": self.fleet.collecting(account) is not None,
            "dunned": cases,
            "call": call,
            "paid": sum(amount for paid, amount, _ in self.fleet.payments(account) if paid == "succeeded")
            == charge[2],
        }


@pytest.fixture(scope="module")
def gateway(pg_server: PostgresForTests) -> Iterator[Gateway]:
    made = Gateway(pg_server.fresh_database("facts"))
    yield made
    assert made.fleet.rows("select message from parked where kind = 'payment'") == []
    made.fleet.lawful()
    made.engine.dispose()


@pytest.mark.parametrize("name", STORIES)
def test_what_the_gateway_tells_is_what_the_charge_came_to(gateway: Gateway, name: str) -> None:
    events, expected = STORIES[name]
    charge = gateway.charge()
    gateway.tell(charge, events, 1)
    found = gateway.state(charge)
    assert (found["charge"], found["invoice"]) == expected
    assert found["in flight"] == 0
    assert found["collecting"] == (expected[0] == "failed")
    assert found["dunned"] == (1 if expected[0] == "failed" else 0)


def one_state(gateway: Gateway, data: st.DataObject) -> None:
    """Deliveries of a drawn story, in a drawn order with duplicates, come to what the story's own order comes to."""
    events, _ = STORIES[data.draw(st.sampled_from(sorted(STORIES)))]
    copies = [*events, *data.draw(st.lists(st.sampled_from(list(events)), max_size=3))]
    order = data.draw(st.permutations(copies))
    at_once = data.draw(st.integers(1, len(order)))
    plain, shuffled = gateway.charge(), gateway.charge()
    gateway.tell(plain, events, 1)
    gateway.tell(shuffled, order, at_once)
    assert gateway.state(shuffled) == gateway.state(plain)


@settings(
    max_examples=12,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_every_order_ends_in_one_state(gateway: Gateway, data: st.DataObject) -> None:
    one_state(gateway, data)


@pytest.mark.deep
@settings(
    max_examples=150,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_every_order_of_many_ends_in_one_state(many: Gateway, data: st.DataObject) -> None:
    one_state(many, data)


@pytest.fixture(scope="module")
def many(pg_server: PostgresForTests) -> Iterator[Gateway]:
    made = Gateway(pg_server.fresh_database("many_facts"), 320)
    yield made
    made.engine.dispose()


def test_a_late_failure_never_reopens_what_was_paid_by_hand(gateway: Gateway) -> None:
    charge = gateway.charge()
    with gateway.fleet.changing(charge[0]) as unit:
        sent(unit.account, None, [])
    gateway.tell(charge, [REFUSED], 1)
    assert gateway.fleet.invoices(charge[0]) == [("paid", 0)]
    assert gateway.state(charge)["collecting"] is False


def test_a_second_payment_for_one_charge_is_shown_to_a_person(pg_server: PostgresForTests) -> None:
    twice = Gateway(pg_server.fresh_database("twice"), 2)
    charge = twice.charge()
    twice.tell(charge, [AUTHORISED, SECOND_TRY], 2)
    [(kind, message)] = twice.fleet.rows("select error_kind, message from parked where kind = 'payment'")
    assert kind == "charged_twice"
    assert "refund the second one" in message
    assert len(twice.fleet.payments(charge[0])) == 1
    twice.engine.dispose()
