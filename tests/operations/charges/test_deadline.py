"""A charge that waits for its customer waits no longer than the policy says: then it is canceled at the gateway, and
dunning goes on."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest

from activities.charges import ChargeSender
from connectors.sdk.config import Secret
from connectors.sdk.connector import Connector
from connectors.stripe.config import StripeConfig
from connectors.stripe.connector import Stripe
from domain.rule_book import RuleBook
from operations.charges.begin import Why
from operations.charges.giving_up import order_cancel
from operations.charges.looks import due_looks
from operations.charges.outcome import ChargeStatus, told_by
from operations.charges.outcome import Told as ToldOf
from operations.charges.paying import bring_back
from operations.webhooks_in.apply import apply_batch
from operations.webhooks_in.handlers import WebhookHandlers
from runtime.charge_looks import ChargeLooks
from runtime.gateway_webhooks import checked
from runtime.leading import Complaints
from sandbox.adyen.stand_in import AdyenStandIn
from sandbox.faults import Fault
from sandbox.stripe.stand_in import StripeStandIn
from storage.charges import ChargeRow, read_charge
from storage.database import make_engine, transaction
from tests.conftest import PostgresForTests
from tests.operations.charges.charged import NOW, Fleet
from tests.operations.webhooks_in.inbox import Told, make_endpoint, put
from tests.workflows.paying import CARDS, RESERVE, opened

IN_TIME, TOO_LATE = NOW + timedelta(hours=22), NOW + timedelta(hours=24)
GIVEN_UP = ("failed", "not_confirmed_in_time")


class Shop:
    """A fleet, both gateways, and whoever asks them."""

    def __init__(self, fleet: Fleet, stripe: StripeStandIn, adyen: AdyenStandIn) -> None:
        self.fleet, self.stripe, self.adyen = fleet, stripe, adyen
        self.looks = ChargeLooks(fleet.engine, self.open, Complaints(logging.getLogger("test")))

    async def open(self, name: str, /) -> Connector[Any]:
        """The connection to a gateway."""
        url = self.stripe.url if name == CARDS else self.adyen.url
        return opened(name, url, timeout=1)

    async def waiting(
        self, gateway: str = CARDS, token: str = "pm_card_authenticationRequired"
    ) -> tuple[str, ChargeRow]:
        """An account whose charge waits for its customer since NOW."""
        account = self.fleet.accounts.pop()
        self.fleet.do("delete from payment_method where account_id = %s", account)
        self.fleet.give_card(account, gateway, token)
        self.fleet.do(
            "update payment_method set customer = %s where account_id = %s and connection = %s",
            "shopper-x", account, RESERVE,
        )  # fmt: skip
        [begun] = self.fleet.begin(account, return_to="https://hub.example/pay/back/").begun
        sender = ChargeSender(self.fleet.engine, self.open, self.fleet.tariffs, rounds=())
        await sender.send([(begun.charge_id, begun.call.call_id)], NOW)
        charge = self.charge(begun.charge_id)
        assert charge.status == "requires_action"
        assert charge.next_action_url
        return account, charge

    def charge(self, charge_id: str) -> ChargeRow:
        """The charge as its row says."""
        with transaction(self.fleet.engine) as connection:
            return read_charge(connection, charge_id)

    def came(self, charge: ChargeRow) -> tuple[str, str | None]:
        """Status and code of the charge."""
        row = self.charge(charge.id)
        return row.status, row.code

    def parked(self) -> int:
        """How much waits for a person."""
        return len(self.fleet.rows("select from parked where resolved_at is null"))


@pytest.fixture(scope="module")
def fleet(pg_server: PostgresForTests) -> Iterator[Fleet]:
    engine = make_engine(pg_server.fresh_database("deadline"))
    made = Fleet(engine, 16)
    yield made
    made.lawful()
    engine.dispose()


@pytest.fixture
async def shop(fleet: Fleet) -> AsyncIterator[Shop]:
    with StripeStandIn() as stripe, AdyenStandIn() as adyen:
        yield Shop(fleet, stripe, adyen)


async def confirm(charge: ChargeRow) -> None:
    """The customer confirms at the bank's page."""
    async with httpx.AsyncClient() as bank:
        assert (await bank.post(f"{charge.next_action_url}/approve")).status_code == 303


async def test_it_waits_until_the_policys_hour_and_is_then_canceled(shop: Shop, fleet: Fleet) -> None:
    account, charge = await shop.waiting()
    assert await shop.looks.look(IN_TIME) == 0
    assert [each.why for each in fleet.begin(account, now=IN_TIME).left] == [Why.IN_FLIGHT]
    assert await shop.looks.look(TOO_LATE) == 1
    assert shop.came(charge) == GIVEN_UP
    assert shop.stripe.objects["payment_intent"][charge.gateway_id or ""]["status"] == "canceled"
    assert fleet.invoices(account)[0][0] == "open"
    assert fleet.payments(account) == [("failed", charge.amount, "not_confirmed_in_time")]
    assert fleet.collecting(account)["decline"]["decline_class"] == "action"
    [(again,)] = fleet.rows("select retry_at from dunning_case where account_id = %s", account)
    assert again is None, "nothing is tried again until the customer does something"
    assert await shop.looks.look(TOO_LATE + timedelta(days=2)) == 0
    assert len(shop.stripe.effects.of("void")) == 1
    assert shop.parked() == 0


async def test_a_policy_may_give_less_time(shop: Shop, fleet: Fleet) -> None:
    retry = {"soft": {"days": [1, 3]}, "action_hours": 2}
    fleet.rule(
        RuleBook.model_validate({"policy": {"dunning": {"states": [{"name": "current"}], "retry": retry}}})
    )
    try:
        _, charge = await shop.waiting()
    finally:
        fleet.rule(RuleBook())
    assert charge.act_until == NOW + timedelta(hours=2)
    assert await shop.looks.look(NOW + timedelta(hours=2)) == 1
    assert shop.came(charge) == GIVEN_UP


def test_who_was_not_there_is_written_to_once(shop: Shop, fleet: Fleet) -> None:
    account = fleet.accounts.pop()
    [begun] = fleet.begin(account).begun
    bank = "https://bank.example/confirm"
    for _ in range(2):
        fleet.tell(begun.charge_id, "requires_action", gateway_id="pi_1", next_action_url=bank)
    told = "select kind from event_log where account_id = %s and kind like 'notice.%%'"
    assert fleet.rows(told, account) == [("notice.payment-action-needed",)]
    assert told_by({"id": "pi_1", "status": "requires_action", "next_action_url": "javascript:x"}) == ToldOf(
        ChargeStatus.REQUIRES_ACTION, "pi_1"
    )
    fleet.tell(begun.charge_id, "withdrawn")
    assert fleet.payments(account) == [("failed", begun.amount, "not_confirmed_in_time")]


async def test_who_was_on_the_page_is_not_written_to(shop: Shop, fleet: Fleet) -> None:
    account, charge = await shop.waiting()
    assert charge.present
    assert fleet.rows("select from event_log where account_id = %s and kind like 'notice.%%'", account) == []
    await confirm(charge)
    await shop.looks.look(TOO_LATE)


async def test_a_customer_who_was_faster_has_paid(shop: Shop, fleet: Fleet) -> None:
    account, charge = await shop.waiting()
    await confirm(charge)
    await shop.looks.look(TOO_LATE)
    assert shop.came(charge) == ("succeeded", None)
    assert fleet.invoices(account)[0][0] == "paid"
    assert shop.stripe.effects.of("void") == []


async def test_a_customer_who_confirms_between_look_and_cancel_has_paid(shop: Shop, fleet: Fleet) -> None:
    account, charge = await shop.waiting()
    with transaction(fleet.engine) as connection:
        [look] = due_looks(connection, TOO_LATE)
    await confirm(charge)
    await shop.looks._give_up(look, fleet.tariffs.current(), TOO_LATE)
    assert shop.came(charge) == ("succeeded", None)
    assert fleet.invoices(account)[0][0] == "paid"
    assert shop.parked() == 0, "nobody has to decide about a cancel that was not needed"


async def test_a_cancel_that_was_not_sent_yet_is_not_sent_once_the_charge_is_paid(
    shop: Shop, fleet: Fleet
) -> None:
    _, charge = await shop.waiting()
    with transaction(fleet.engine) as connection:
        call_id = order_cancel(connection, charge.id, TOO_LATE)
    await confirm(charge)
    await shop.looks.look(TOO_LATE)
    assert shop.came(charge) == ("succeeded", None)
    assert fleet.rows("select status from connector_call where id = %s", call_id) == [("failed",)]
    assert shop.stripe.effects.of("void") == []


@pytest.mark.parametrize("fault", ["stall_after", "server_error", "server_error_after", "stall_before"])
async def test_a_cancel_without_an_answer_is_found_out(shop: Shop, fleet: Fleet, fault: str) -> None:
    account, charge = await shop.waiting()
    shop.stripe.faults.inject(Fault(fault, method="POST", path="/v1/payment_intents/*/cancel", seconds=2))
    await shop.looks.look(TOO_LATE)
    assert shop.came(charge) == ("requires_action", None), "nothing is given up on a guess"
    assert [each.why for each in fleet.begin(account, now=TOO_LATE).left] == [Why.IN_FLIGHT]
    await shop.looks.look(TOO_LATE + timedelta(hours=1))
    assert shop.came(charge) == GIVEN_UP
    assert len(shop.stripe.effects.of("void")) == 1
    assert len(fleet.payments(account)) == 1


async def test_what_the_gateway_tells_of_the_cancel_comes_to_the_same(
    shop: Shop, fleet: Fleet, pg_server: PostgresForTests
) -> None:
    account, charge = await shop.waiting()
    url = fleet.engine.url.render_as_string(hide_password=False).replace("postgresql+psycopg", "postgresql")
    endpoint, handlers = make_endpoint(url, CARDS), WebhookHandlers()
    config = StripeConfig(api_key=Secret("env:KEY"))
    handlers.register_for(CARDS, "live", "*", checked(Stripe, config, fleet.tariffs))

    def tell(kind: str) -> None:
        [event] = [
            each
            for each in shop.stripe.objects["event"].values()
            if each["type"] == kind and each["data"]["object"]["id"] == charge.gateway_id
        ]
        put(url, endpoint, [Told(f"{event['id']}", body=json.dumps(event).encode(), kind=kind)])
        apply_batch(fleet.engine, endpoint, handlers)

    tell("payment_intent.requires_action")
    waits = shop.charge(charge.id)
    assert (waits.status, waits.next_action_url) == ("requires_action", charge.next_action_url)
    with transaction(fleet.engine) as connection:
        call_id = order_cancel(connection, charge.id, TOO_LATE)
        assert order_cancel(connection, charge.id, TOO_LATE) == call_id
    connector = await shop.open(CARDS)
    assert isinstance(connector, Stripe)
    async with httpx.AsyncClient() as client:
        canceled = await client.post(
            f"{shop.stripe.url}/v1/payment_intents/{charge.gateway_id}/cancel",
            headers={"Authorization": "Bearer sk_test_x"},
        )
    assert canceled.status_code == 200
    tell("payment_intent.canceled")
    assert shop.came(charge) == GIVEN_UP, "a withdrawn charge alone would let dunning stand still"
    await shop.looks.look(TOO_LATE)
    assert shop.came(charge) == GIVEN_UP
    assert len(fleet.payments(account)) == 1


async def test_adyen_cancels_by_our_reference_and_takes_nothing_back_later(shop: Shop, fleet: Fleet) -> None:
    account, charge = await shop.waiting(RESERVE, "stored_redirect")
    assert charge.gateway_id is None
    await shop.looks.look(IN_TIME)
    assert shop.came(charge) == ("requires_action", None)
    await shop.looks.look(TOO_LATE)
    assert shop.came(charge) == GIVEN_UP
    asked = fleet.rows(
        "select request->>'payment', answer->>'status' from connector_call where method = 'payment.void'"
        " and account_id = %s",
        account,
    )
    assert asked == [("", "processing")]
    await confirm(charge)
    with transaction(fleet.engine) as connection:
        assert bring_back(connection, charge.id, "late", TOO_LATE) is None
    assert shop.adyen.effects.of("charge") == []
    [begun] = fleet.begin(account, now=TOO_LATE, heed_retries=False).begun
    assert begun.call.key.endswith(":2")
    fleet.tell(begun.charge_id, "withdrawn")


async def test_what_the_customer_brought_back_is_handed_in_before_anything_is_given_up(
    shop: Shop, fleet: Fleet
) -> None:
    _, charge = await shop.waiting(RESERVE, "stored_redirect")
    with transaction(fleet.engine) as connection:
        assert bring_back(connection, charge.id, "in-time", IN_TIME) is not None
    await shop.looks.look(TOO_LATE)
    assert shop.came(charge) == ("requires_action", None)
    fleet.tell(charge.id, "succeeded", gateway_id="PSP1")
