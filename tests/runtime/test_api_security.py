"""The API's keys, its errors, and its health while a server is away."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import httpx
import psycopg
import pytest
from fastapi import Depends, FastAPI, Query

from api.app import create_app
from api.key_cache import KeyCache
from api.security import Caller, hash_key, require_scope
from runtime.settings import load_settings
from runtime.stack.home import Home
from runtime.stack.launch import ensure_bootstrap_key
from tests.conftest import PostgresForTests


@pytest.fixture
def database(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("api")


@pytest.fixture
def key(database: str, tmp_path: Path) -> str:
    home = Home(tmp_path / "home")
    home.prepare()
    for _ in range(2):  # a second start keeps the key
        ensure_bootstrap_key(database, home)
    return home.api_key_file.read_text().strip()


@pytest.fixture
async def calls(database: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(load_settings(database_url=database, temporal_address="127.0.0.1:1", home=tmp_path))
    _add_routes(app)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://t") as client,
    ):
        yield client


def _add_routes(app: FastAPI) -> None:
    @app.get("/whoami")
    def whoami(caller: Annotated[Caller, Depends(require_scope("runs"))]) -> str:
        return caller.name

    @app.get("/number")
    def number(value: Annotated[int, Query()]) -> int:
        return value

    @app.get("/broken")
    def broken() -> None:
        raise RuntimeError("the password is hush")


async def test_a_new_route_is_closed_without_a_key(calls: httpx.AsyncClient, key: str) -> None:
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"X-API-Key": "wrong"}):
        answer = await calls.get("/whoami", headers=headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
    for headers in ({"Authorization": f"Bearer {key}"}, {"X-API-Key": key}):
        assert (await calls.get("/whoami", headers=headers)).json() == "bootstrap"


async def test_an_expired_key_and_a_missing_scope_are_refused(
    calls: httpx.AsyncClient, key: str, database: str
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("update api_key set scopes = '{catalog}'")
    assert (await calls.get("/whoami", headers={"X-API-Key": key})).status_code == 403
    with psycopg.connect(database) as connection:
        connection.execute("update api_key set expires_at = now() - interval '1 second'")
    await _refused(calls, key)


async def test_a_key_that_is_taken_back_is_refused_within_seconds(
    calls: httpx.AsyncClient, key: str, database: str
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("update api_key set scopes = '{runs}'")
    assert (await calls.get("/whoami", headers={"X-API-Key": key})).status_code == 200
    with psycopg.connect(database) as connection:
        connection.execute("delete from api_key")
    await _refused(calls, key)


async def _refused(calls: httpx.AsyncClient, key: str) -> None:
    """Wait until `key` is refused: keys are believed for two seconds."""
    async with asyncio.timeout(5):
        while True:
            answer = await calls.get("/whoami", headers={"X-API-Key": key})
            if answer.status_code == 401:
                return
            await asyncio.sleep(0.05)


async def test_many_requests_with_one_key_look_it_up_once() -> None:
    asked: list[bytes] = []
    asking = threading.Event()

    def find(hashed: bytes) -> Caller | None:
        asked.append(hashed)
        asking.wait(10)
        return Caller("1", "many", frozenset({"*"})) if hashed == hash_key("known") else None

    keys = KeyCache(find)
    waiting = [asyncio.create_task(keys.caller(key)) for key in ("known", "unknown") * 20]
    await asyncio.sleep(0)
    asking.set()
    found = await asyncio.gather(*waiting)
    assert [caller is not None for caller in found] == [True, False] * 20
    assert sorted(asked) == sorted([hash_key("known"), hash_key("unknown")])
    assert (await keys.caller("known"), await keys.caller("unknown")) == (found[0], None)
    assert asked.count(hash_key("known")) == 1  # remembered; what is not known is asked for anew
    assert asked.count(hash_key("unknown")) == 2


async def test_a_lookup_that_fails_is_told_and_not_remembered() -> None:
    answers: list[Caller | None] = [None, Caller("1", "late", frozenset())]

    def find(_hashed: bytes) -> Caller | None:
        if answers.pop(0) is None:
            raise ConnectionError("away")
        return Caller("1", "late", frozenset())

    keys = KeyCache(find)
    with pytest.raises(ConnectionError):
        await keys.caller("key")
    assert await keys.caller("key") is not None


async def test_a_key_that_nobody_can_look_up_is_to_be_tried_again(tmp_path: Path) -> None:
    away = "postgresql://postgres@127.0.0.1:1/away"
    app = create_app(load_settings(database_url=away, temporal_address="127.0.0.1:1", home=tmp_path))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=transport, base_url="http://t", headers={"X-API-Key": "mh_key"}
        ) as client,
    ):
        for path in ("/v1/bill-runs", "/v1/entitlements/check?feature=news&subscriber=a"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:masthead:problem:unavailable")


async def test_errors_are_problem_details_that_reveal_nothing(calls: httpx.AsyncClient, key: str) -> None:
    headers = {"X-API-Key": key}
    invalid = await calls.get("/number?value=secret-input", headers=headers)
    assert invalid.status_code == 422
    assert invalid.json()["errors"][0]["location"] == ["query", "value"]
    assert "secret-input" not in invalid.text
    broken = await calls.get("/broken", headers=headers)
    assert broken.status_code == 500
    assert broken.headers["content-type"] == "application/problem+json"
    assert "hush" not in broken.text


async def test_health_names_the_server_that_is_away(calls: httpx.AsyncClient) -> None:
    answer = await calls.get("/health")
    assert answer.status_code == 503
    body = answer.json()
    assert (body["postgres"], body["temporal"]) == (True, False)
    assert "Temporal" in body["details"][0]
