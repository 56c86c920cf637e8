"""The page to which mails about failed payments lead, as a customer meets it: the real application, workers and the
stand-ins of both gateways behind it."""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from psycopg.types.json import Jsonb
from sqlalchemy import Engine

from operations.mails.compose import token_hash
from runtime.charge_looks import ChargeLooks
from runtime.leading import Complaints
from runtime.temporal import connect
from storage.database import make_engine, transaction
from storage.payment_links import keep_payment_link
from tests.api.served import client_for
from tests.api.world import Reader, World, build_world
from tests.conftest import PostgresForTests
from tests.holding import writes_held
from tests.names import NAMESPACE
from tests.operations.charges.charged import Fleet
from tests.workflows.paying import CARDS, RESERVE, Till, differences

PUBLISHER = {
    "name": "The Test Post",
    "contact": "service@test-post.example",
    "mails": {"account_url": "https://test-post.example/me", "payment_url": "https://hub.test-post.example/"},
}
# What is due has been so for months: nothing else comes of that here.
PATIENT = {"states": [{"name": "current"}], "retry": {"soft": {"days": [1, 3]}}}


class Counter:
    """A till whose workers run in a thread of their own, and readers who come by a link."""

    def __init__(self, world: World, engine: Engine, temporal: str) -> None:
        self.world, self.engine, self.temporal = world, engine, temporal
        self.till: Till
        self.ready, self.stop = threading.Event(), threading.Event()
        self.failures: list[BaseException] = []

    def run(self) -> None:
        """Work until stopped."""
        try:
            asyncio.run(self._work())
        except BaseException as error:
            self.failures.append(error)
        self.ready.set()

    async def _work(self) -> None:
        fleet = Fleet.there(self.engine)
        self.till = Till(self.engine, await connect(self.temporal, NAMESPACE), fleet=fleet)
        async with self.till.working():
            self.ready.set()
            await asyncio.to_thread(self.stop.wait)

    def link(self, reader: Reader, gateway: str, token: str, *, days: int = 30) -> str:
        """The path of a new link to the reader's page, whose one card is `token`; nothing is tried with it before."""
        self.till.use(reader.account, gateway, token)
        self.till.fleet.do("update account set auto_pay = true where id = %s", reader.account)
        return self.another(reader, days=days)

    def another(self, reader: Reader, *, days: int = 30) -> str:
        """The path of one more link to the reader's page."""
        own = secrets.token_urlsafe(24)
        with transaction(self.engine) as connection:
            keep_payment_link(connection, token_hash(own), reader.account, days)
        return f"/pay/{own}"

    def charges(self, reader: Reader) -> list[tuple[Any, ...]]:
        """(status, code) of the reader's charges, in their order."""
        return self.till.fleet.rows(
            "select status, code from charge where account_id = %s order by no", reader.account
        )

    async def look(self) -> None:
        """Ask the gateways for what is due to be asked."""
        complaints = Complaints(logging.getLogger("test"))
        await ChargeLooks(self.engine, self.till.open, complaints).look(datetime.now(UTC))


@pytest.fixture
def counter(pg_server: PostgresForTests, temporal_address: str) -> Iterator[Counter]:
    world = build_world(pg_server, "pay")
    engine = make_engine(world.url)
    with transaction(engine) as connection:
        connection.execute(
            "insert into rule_book (name, version, definition) values ('default', 1, %s)",
            (Jsonb({"publisher": PUBLISHER, "policy": {"dunning": PATIENT}}),),
        )
    counter = Counter(world, engine, temporal_address)
    thread = threading.Thread(target=counter.run)
    thread.start()
    counter.ready.wait(30)
    assert counter.failures == []
    yield counter
    counter.stop.set()
    thread.join()
    assert differences(counter.till.fleet, counter.till.gateways) == []
    engine.dispose()
    assert counter.failures == []


@pytest.fixture
def browser(counter: Counter, tmp_path: Path) -> Iterator[TestClient]:
    with client_for(counter.world.url, tmp_path, temporal=counter.temporal) as client:
        client.headers.clear()  # a reader has no key
        client.follow_redirects = False
        client.base_url = httpx.URL("https://hub.test-post.example")
        yield client


def number_of(counter: Counter, reader: Reader) -> str:
    [(number,)] = counter.till.fleet.rows(
        "select series || '-' || number from invoice where id = %s", reader.invoice
    )
    return str(number)


async def at_the_bank(url: str, verb: str = "approve") -> str:
    """Where the bank's page sends the reader back to."""
    async with httpx.AsyncClient() as bank:
        answer = await bank.post(f"{url}/{verb}")
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def test_a_reader_pays_and_confirms_with_the_bank(counter: Counter, browser: TestClient) -> None:
    mine, theirs = counter.world.mine, counter.world.theirs
    link = counter.link(mine, CARDS, "pm_card_authenticationRequired")
    page = browser.get(link)
    assert page.status_code == 200
    assert number_of(counter, mine) in page.text
    assert "Pay $" in page.text
    assert number_of(counter, theirs) not in page.text, "a link shows nothing of anybody else"
    assert counter.charges(mine) == [], "mail programs follow links: to look at the page charges nothing"

    to_the_bank = browser.post(link)
    assert to_the_bank.status_code == 303
    bank = to_the_bank.headers["location"]
    assert "/challenge/" in bank
    assert link.rpartition("/")[2] not in str(counter.till.stripe.objects), "the gateway never sees the token"
    waiting = browser.get(link)
    assert f'href="{bank}"' in waiting.text
    assert 'method="post"' not in waiting.text
    assert browser.post(link).headers["location"] == link, "while one waits, no second one is begun"

    back = browser.get(await at_the_bank(bank))
    assert back.headers["location"] == link
    await counter.look()
    assert "Nothing is due" in browser.get(link).text
    assert counter.charges(mine) == [("succeeded", None)]
    assert len(counter.till.stripe.effects.of("charge")) == 1


async def test_who_does_not_confirm_is_told_so_and_may_try_again(
    counter: Counter, browser: TestClient
) -> None:
    mine = counter.world.mine
    link = counter.link(mine, CARDS, "pm_card_authenticationRequired")
    bank = browser.post(link).headers["location"]
    browser.get(await at_the_bank(bank, "fail"))
    await counter.look()
    page = browser.get(link)
    assert "The last try did not go through." in page.text
    assert 'method="post"' in page.text
    assert "/challenge/" in browser.post(link).headers["location"]
    assert [status for status, _ in counter.charges(mine)] == ["failed", "requires_action"]


async def test_adyen_is_handed_what_the_bank_gave_the_reader(counter: Counter, browser: TestClient) -> None:
    mine = counter.world.mine
    link = counter.link(mine, RESERVE, "stored_redirect")
    bank = browser.post(link).headers["location"]
    back = await at_the_bank(bank)
    assert "redirectResult=" in back
    browser.cookies.clear()  # as on another device
    told = browser.get(back)
    assert "Your payment has arrived" in told.text
    assert number_of(counter, mine) not in told.text
    assert browser.get(back).status_code == 200
    assert counter.charges(mine) == [("succeeded", None)]
    assert "Nothing is due" in browser.get(link).text


def test_pressed_twice_at_once_it_charges_once(counter: Counter, browser: TestClient) -> None:
    link = counter.link(counter.world.mine, CARDS, "pm_card_visa")
    with ThreadPoolExecutor(4) as fingers:
        answers = list(fingers.map(lambda _: browser.post(link), range(4)))
    assert {each.headers["location"] for each in answers} == {link}
    assert counter.charges(counter.world.mine) == [("succeeded", None)]
    assert len(counter.till.stripe.effects.of("charge")) == 1


def test_a_card_that_is_refused_for_good_asks_for_another(counter: Counter, browser: TestClient) -> None:
    mine = counter.world.mine
    link = counter.link(mine, CARDS, "pm_card_chargeDeclinedLostCard")
    assert browser.post(link).headers["location"] == link
    page = browser.get(link)
    assert "We need another way to pay" in page.text
    assert 'href="https://test-post.example/me"' in page.text
    assert 'method="post"' not in page.text
    assert browser.post(link).headers["location"] == link
    assert counter.charges(mine) == [("failed", "lost_card")]
    counter.till.use(mine.account, CARDS, "pm_card_visa")
    assert "Pay $" in browser.get(link).text
    browser.post(link)
    assert counter.charges(mine) == [("failed", "lost_card"), ("succeeded", None)]


def test_links_that_lead_nowhere_say_so(counter: Counter, browser: TestClient) -> None:
    mine = counter.world.mine
    link = counter.link(mine, CARDS, "pm_card_visa")
    counter.till.fleet.do("update payment_link set expires_at = now()")
    for answer in (browser.get(link), browser.post(link)):
        assert answer.status_code == 410
        assert "no longer valid" in answer.text
    for path in ("/pay/" + "x" * 32, link[:-1] + "!", "/pay/back/01a205bd-0000-7000-8000-000000000000"):
        assert browser.get(path).status_code == 404, path
    assert browser.post("/pay/" + "x" * 32).status_code == 404
    assert "kennen wir nicht" in browser.get("/pay/x", headers={"Accept-Language": "de-DE,de;q=0.9"}).text
    assert counter.charges(mine) == []
    assert "Pay $" in browser.get(counter.another(mine)).text


def test_while_writes_are_held_nothing_is_charged(counter: Counter, browser: TestClient) -> None:
    link = counter.link(counter.world.mine, CARDS, "pm_card_visa")
    with writes_held(counter.world.url):
        held = browser.post(link)
    assert held.status_code == 503
    assert "Nothing was charged" in held.text
    assert counter.charges(counter.world.mine) == []
