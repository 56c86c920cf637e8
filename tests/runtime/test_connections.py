"""A process' connections on the real database: opened once, shared, closed in turn, their health told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, ClassVar

import psycopg
import pytest
from sqlalchemy import create_engine

from connectors.sdk.capabilities.mail import Mail, Mailer, MailReceipt
from connectors.sdk.capabilities.tax import TaxEngine
from connectors.sdk.config import Config, MissingSecret, Secret
from connectors.sdk.connector import SANDBOX_SECRET, Connector
from connectors.sdk.context import Context
from connectors.sdk.errors import DefinitionError, Transient
from connectors.sdk.idempotency import never
from connectors.sdk.key import Key
from connectors.sdk.ports import Rate, RequestEntry, Token
from connectors.sdk.values import Health
from runtime.connection_source import ConnectionSpec
from runtime.connections import Connections, checked, secrets_of_this_process
from storage.connections import connection_states
from storage.database import sqlalchemy_url
from storage.encryption import Encryption, new_key
from storage.request_log import requests_of
from tests.conftest import PostgresForTests

KEY = new_key()


class PostConfig(Config):
    health: str = "ok"
    api_key: Secret = Secret(SANDBOX_SECRET)


class Post(Connector[PostConfig], Mailer):
    name = "post"
    closed: ClassVar[list[str]] = []

    @never()
    async def send(self, mail: Mail, key: Key) -> MailReceipt:
        raise NotImplementedError

    async def health(self) -> Health:
        if self.config.health == "away":
            raise Transient("nobody answers")
        if self.config.health == "locked":
            raise MissingSecret("there is no secret at env:GONE")
        return Health(ok=True, detail="answers")

    async def aclose(self) -> None:
        self.closed.append(self.context.connection)


def spec(name: str, **changes: Any) -> ConnectionSpec:
    given: dict[str, Any] = {"connector": Post, "mode": "test", "config": PostConfig(), **changes}
    return ConnectionSpec(name=name, **given)


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("opened")


@pytest.fixture
async def connections(url: str) -> AsyncIterator[Connections]:
    Post.closed.clear()
    specs = [
        spec("one", rate=Rate(3), timeout=1.5),
        spec("two", mode="live", config=PostConfig(health="away")),
        spec("three", config=PostConfig(health="locked")),
        spec("off", enabled=False),
        spec("sandboxed", config=None, sandbox=True),
    ]
    made = Connections({each.name: each for each in specs}, database_url=url, encryption=Encryption.of(KEY))
    yield made
    await made.aclose()


async def test_a_connector_gets_its_surroundings_from_its_connection(
    url: str, connections: Connections
) -> None:
    context: Context = (await connections.open("one")).context
    assert (context.connection, context.mode, context.allow_loopback) == ("one", "test", True)
    assert (context.rate, context.timeout) == (Rate(3), 1.5)
    assert not (await connections.open("two")).context.allow_loopback
    await connections.tokens.authorise("one", Token("access"))
    stored = await context.tokens.read("one")
    assert stored.token == Token("access")
    assert (await context.budget.take("one", Rate(1), longest=timedelta(minutes=1))).total_seconds() == 0
    await context.log.record(RequestEntry("one", context.clock.now(), "GET", "https://x", "200", 1))
    with psycopg.connect(url) as database:
        assert [entry.method for entry in requests_of(database, "one")] == ["GET"]


async def test_all_share_one_connector_and_only_the_end_closes_it(connections: Connections) -> None:
    one = await connections.open("one")
    assert await connections.open("one") is one
    await one.aclose()
    await connections.open("two")
    assert Post.closed == []
    await connections.aclose()
    assert Post.closed == ["two", "one"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tow", "no connection is called 'tow' in the configuration; did you mean 'two'"),
        ("off", "connection off is disabled"),
        ("sandboxed", "the sandbox, which does not run: start it with `masthead up`"),
    ],
)
async def test_what_cannot_be_opened_says_why(connections: Connections, name: str, said: str) -> None:
    with pytest.raises(DefinitionError, match=said):
        await connections.open(name)


async def test_the_enabled_ones_of_a_capability_are_found(connections: Connections) -> None:
    assert [each.name for each in connections.of_capability(Mailer)] == ["one", "two", "three", "sandboxed"]
    assert connections.of_capability(TaxEngine) == []


async def test_health_is_told_for_each_and_noted(url: str, connections: Connections) -> None:
    engine = create_engine(sqlalchemy_url(url))
    connections.note_started(engine)
    found = await checked(connections, engine)
    assert found["one"] == Health(ok=True, detail="answers")
    assert found["two"] == Health(ok=False, detail="nobody answers")
    assert found["three"] == Health(ok=False, detail="there is no secret at env:GONE")
    assert not found["sandboxed"].ok
    with psycopg.connect(url) as database:
        states = {state.name: state for state in connection_states(database)}
    assert {name: state.healthy for name, state in states.items()} == {
        "one": True,
        "two": False,
        "three": False,
        "sandboxed": False,
        "off": None,
    }
    assert states["two"].detail == "nobody answers"
    engine.dispose()


async def test_the_secret_that_sandboxes_take_needs_not_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SANDBOX_SECRET", raising=False)
    secrets = secrets_of_this_process()
    assert secrets.resolve(SANDBOX_SECRET)
    with pytest.raises(MissingSecret, match="env:SOMETHING_ELSE"):
        secrets.resolve("env:SOMETHING_ELSE")
    monkeypatch.setenv("SANDBOX_SECRET", "mine")
    assert secrets.resolve(SANDBOX_SECRET) == "mine"


async def test_many_may_open_at_once(connections: Connections) -> None:
    opened = await asyncio.gather(*(connections.open("one") for _ in range(10)))
    assert len({id(each) for each in opened}) == 1
