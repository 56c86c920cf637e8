"""What gateways tell of cards on file is kept, and a new card behind the same token is charged at once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from activities.charges import ChargeSender
from connectors.adyen.config import AdyenConfig
from connectors.adyen.connector import Adyen
from connectors.sdk.config import Secret
from connectors.sdk.connector import Connector
from connectors.stripe.config import StripeConfig
from connectors.stripe.connector import Stripe
from operations.charges.begin import Beginning
from operations.charges.paying import pay_page
from operations.charges.retrying import begin_again
from operations.dunning.look import dun
from operations.dunning.news import news_told, next_news
from operations.webhooks_in.apply import apply_batch
from operations.webhooks_in.handlers import WebhookHandlers
from runtime.gateway_webhooks import checked
from sandbox.adyen.stand_in import AdyenStandIn
from sandbox.stripe.stand_in import StripeStandIn
from storage.card_notices import tell_expiring_cards
from storage.database import make_engine, transaction
from storage.inbound_endpoints import InboundEndpoint
from tests.conftest import PostgresForTests
from tests.operations.charges.charged import NOW, Fleet
from tests.operations.webhooks_in.inbox import Told, make_endpoint, put
from tests.workflows.paying import CARDS, RESERVE, opened

STRIPE = StripeConfig(api_key=Secret("env:KEY"))
ADYEN = AdyenConfig(api_key=Secret("env:KEY"), merchant_account="MastheadSandbox")


class Shop:
    """A fleet, both gateways, and their webhooks."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.fleet = Fleet(make_engine(url), 12)
        self.handlers = WebhookHandlers()
        tariffs = self.fleet.tariffs
        self.handlers.register_for(CARDS, "live", "*", checked(Stripe, STRIPE, tariffs))
        self.handlers.register_for(RESERVE, "live", "*", checked(Adyen, ADYEN, tariffs))
        self.endpoints: dict[str, InboundEndpoint] = {
            name: make_endpoint(url, name) for name in (CARDS, RESERVE)
        }
        self.stripe: StripeStandIn
        self.adyen: AdyenStandIn
        self.told = 0

    async def open(self, name: str, /) -> Connector[Any]:
        """The connection to a gateway."""
        return opened(name, self.stripe.url if name == CARDS else self.adyen.url, timeout=5)

    def payer(self, gateway: str, token: str, customer: str | None = None) -> str:
        """An account whose one card is `token`, of which nothing is known."""
        account = self.fleet.accounts.pop()
        self.fleet.do("delete from payment_method where account_id = %s", account)
        self.fleet.give_card(account, gateway, token)
        self.fleet.do(
            "update payment_method set customer = %s, added_at = now() - interval '1 hour' where account_id = %s",
            customer, account,
        )  # fmt: skip
        return account

    async def saved(self, token: str = "tok_visa") -> str:
        """A card saved at Stripe."""
        connector = await self.open(CARDS)
        assert isinstance(connector, Stripe)
        made = await connector._sdk.v1.payment_methods.create_async(
            {"type": "card", "card": {"token": token}}
        )
        await connector.aclose()
        return made.id

    async def charge(self, account: str, begun: Beginning | None = None) -> tuple[str, str | None]:
        """What charging the account comes to: status and code."""
        [each] = (begun or self.fleet.begin(account)).begun
        sender = ChargeSender(self.fleet.engine, self.open, self.fleet.tariffs, rounds=())
        await sender.send([(each.charge_id, each.call.call_id)], NOW)
        self.was_before(account)
        [found] = self.fleet.rows("select status, code from charge where id = %s", each.charge_id)
        return found[0], found[1]

    def declined(self, account: str, code: str) -> None:
        """A charge of the account is declined."""
        [begun] = self.fleet.begin(account).begun
        self.fleet.tell(begun.charge_id, "failed", code=code)
        self.was_before(account)

    def was_before(self, account: str) -> None:
        """The fleet is due on a day to come; what its charges came to was before what is told of cards now."""
        self.fleet.do(
            "update charge set ended_at = now() - interval '1 minute' where account_id = %s and ended_at > now()",
            account,
        )

    def tell(self, gateway: str, payload: Mapping[str, Any]) -> None:
        """A webhook of the gateway comes."""
        self.told += 1
        body = json.dumps(payload).encode()
        put(self.url, self.endpoints[gateway], [Told(f"delivery {self.told}", f"{self.told}", body=body)])
        apply_batch(self.fleet.engine, self.endpoints[gateway], self.handlers)

    def event(self, kind: str, method: str) -> dict[str, Any]:
        """The last event of that kind about a card that Stripe has sent."""
        found = [
            each
            for each in self.stripe.objects["event"].values()
            if each["type"] == kind and each["data"]["object"]["id"] == method
        ]
        return dict(json.loads(json.dumps(found[-1])))

    def card(self, account: str) -> tuple[Any, ...]:
        """(brand, last four, first day of no use, in use) of the account's card."""
        [found] = self.fleet.rows(
            "select brand, last4, expires_on, retired_at is null from payment_method where account_id = %s",
            account,
        )
        return found

    def tries_at_once(self, account: str) -> bool:
        """Whether dunning, looking at the account, charges it at once."""
        with transaction(self.fleet.engine) as connection:
            return dun(connection, self.fleet.tariffs.current(), account, datetime.now(UTC)).try_now

    def news(self) -> set[str]:
        """The accounts in dunning that something new is told of."""
        found: set[str] = set()
        while True:
            with transaction(self.fleet.engine) as connection:
                news = next_news(connection)
                found.update(news.accounts)
                if news.upto == news.seen:
                    return found
                news_told(connection, news)


@pytest.fixture(scope="module")
def made(pg_server: PostgresForTests) -> Iterator[Shop]:
    shop = Shop(pg_server.fresh_database("cards"))
    yield shop
    shop.fleet.lawful()
    shop.fleet.engine.dispose()


@pytest.fixture
async def shop(made: Shop) -> AsyncIterator[Shop]:
    with StripeStandIn() as made.stripe, AdyenStandIn() as made.adyen:
        yield made


async def test_a_charge_tells_which_card_it_was(shop: Shop) -> None:
    year = datetime.now(UTC).year + 3
    paid = shop.payer(CARDS, "pm_card_mastercard")
    assert await shop.charge(paid) == ("succeeded", None)
    assert shop.card(paid) == ("mastercard", "4444", date(year + 1, 1, 1), True)
    declined = shop.payer(CARDS, "pm_card_visa_chargeDeclined")
    assert (await shop.charge(declined))[0] == "failed"
    assert shop.card(declined) == ("visa", "0002", date(year + 1, 1, 1), True)
    other = shop.payer(RESERVE, "stored_visa", "shopper-1")
    assert await shop.charge(other) == ("succeeded", None)
    assert shop.card(other) == ("visa", "1111", date(2030, 4, 1), True)
    with transaction(shop.fleet.engine) as connection:
        page = pay_page(connection, shop.fleet.tariffs.current(), other, NOW)
        told = tell_expiring_cards(connection, date(2030, 3, 20))
    assert page.card is not None
    assert (page.card.brand, page.card.last4, page.card.last_day) == ("visa", "1111", date(2030, 3, 31))
    assert told >= 1, "who pays by it is told before it ends"


async def test_a_new_card_behind_the_token_is_charged_at_once(shop: Shop) -> None:
    token = await shop.saved("tok_chargeDeclinedExpiredCard")
    account = shop.payer(CARDS, token)
    assert await shop.charge(account) == ("failed", "expired_card")
    shop.news()
    assert not shop.tries_at_once(account), "an expired card is not tried again"
    shop.stripe.control("renew_card", {"payment_method": token, "exp_month": 4, "exp_year": 2033})
    shop.tell(CARDS, shop.event("payment_method.automatically_updated", token))
    assert shop.card(account)[2:] == (date(2033, 5, 1), True)
    assert account in shop.news(), "its dunning hears of it"
    assert shop.tries_at_once(account)
    with transaction(shop.fleet.engine) as connection:
        begun = begin_again(connection, shop.fleet.tariffs.current(), account, NOW)
    assert begun.begun[0].call.key.endswith(":2")
    assert await shop.charge(account, begun) == ("succeeded", None)
    assert shop.fleet.invoices(account)[0][0] == "paid"
    assert not shop.tries_at_once(account)


async def test_told_late_twice_or_of_nothing_new_it_changes_nothing(shop: Shop) -> None:
    token = await shop.saved()
    account = shop.payer(CARDS, token)
    shop.declined(account, "lost_card")
    shop.stripe.control("renew_card", {"payment_method": token, "exp_month": 4, "exp_year": 2033})
    first = shop.event("payment_method.automatically_updated", token)
    shop.stripe.advance(timedelta(days=1))
    shop.stripe.control(
        "renew_card", {"payment_method": token, "exp_month": 5, "exp_year": 2034, "last4": "1881"}
    )
    second = shop.event("payment_method.automatically_updated", token)
    for event in (second, first, second):
        shop.tell(CARDS, event)
    assert shop.card(account) == ("visa", "1881", date(2034, 6, 1), True)
    shop.fleet.do("update payment_method set renewed_at = null where account_id = %s", account)
    later = {**second, "type": "payment_method.updated", "created": second["created"] + 60}
    shop.tell(CARDS, later)
    [(renewed,)] = shop.fleet.rows("select renewed_at from payment_method where account_id = %s", account)
    assert renewed is None, "an address that changed is no new card"
    later["data"]["object"]["card"]["exp_year"] = 2035
    shop.tell(CARDS, {**later, "created": later["created"] + 60})
    assert shop.card(account)[2] == date(2035, 6, 1)
    assert shop.tries_at_once(account)


async def test_a_card_that_was_removed_at_the_gateway_is_charged_no_more(shop: Shop) -> None:
    token = await shop.saved()
    account = shop.payer(CARDS, token)
    event = {
        "id": "evt_1",
        "type": "payment_method.detached",
        "created": 1_800_000_000,
        "data": {"object": {"id": token, "object": "payment_method", "customer": None}},
    }
    shop.tell(CARDS, event)
    assert shop.card(account)[3] is False
    assert [each.why.value for each in shop.fleet.begin(account).left] == ["no_method"]


async def test_adyen_tells_by_its_notifications(shop: Shop) -> None:
    mine, theirs = (shop.payer(RESERVE, "stored_amex", f"shopper-{name}") for name in ("m", "t"))
    shop.fleet.do(
        "update payment_method set brand = 'amex', last4 = '0002', expires_on = '2026-12-01' where account_id"
        " = any(%s::uuid[])",
        [mine, theirs],
    )
    for account in (mine, theirs):
        shop.declined(account, "Expired Card")
    shop.adyen.control("renew_card", {"token": "stored_amex", "shopper": "shopper-m", "expires": "04/2033"})
    shop.tell(RESERVE, shop.adyen.told[-1].item)
    assert shop.card(mine)[2] == date(2033, 5, 1)
    assert shop.tries_at_once(mine)
    assert shop.card(theirs)[2] == date(2026, 12, 1), "another shopper's card is another card"
    assert not shop.tries_at_once(theirs)
    closed = {
        **shop.adyen.told[-1].item,
        "eventCode": "AUTHORISATION",
        "success": "false",
        "reason": "Refused",
        "eventDate": "2026-12-24T12:00:00+00:00",
        "additionalData": {
            **shop.adyen.told_of_card("stored_amex", "shopper-t"),
            "realtimeAccountUpdaterStatus": "CloseAccount",
        },
    }
    shop.tell(RESERVE, closed)
    assert shop.card(theirs)[3] is False
    assert shop.card(mine)[3] is True
