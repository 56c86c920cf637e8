"""The API's keys, its errors, and its health while a server is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import httpx
import psycopg
import pytest
from fastapi import Depends, FastAPI, Query

from api.app import create_app
from api.security import Caller, require_scope
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
    def whoami(caller: Annotated[Caller, Depends(require_scope("catalog:read"))]) -> str:
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


async def test_of_two_keys_the_header_for_keys_counts_and_of_several_the_first(
    calls: httpx.AsyncClient, key: str
) -> None:
    bearer = ("Authorization", f"Bearer {key}")
    for headers, status in (
        ([("X-API-Key", "wrong"), bearer], 401),
        ([bearer, ("X-API-Key", "wrong")], 401),
        ([("X-API-Key", key), ("X-API-Key", "wrong")], 200),
        ([("X-API-Key", ""), ("X-API-Key", "wrong"), bearer], 200),
        ([bearer, ("Authorization", "Bearer wrong")], 200),
    ):
        assert (await calls.get("/whoami", headers=headers)).status_code == status


async def test_an_expired_key_and_a_missing_scope_are_refused(
    calls: httpx.AsyncClient, key: str, database: str
) -> None:
    for change, status in (
        ("scopes = '{events:read}'", 403),
        ("scopes = '{*}'", 200),
        ("expires_at = now() - interval '1 second'", 401),
    ):
        with psycopg.connect(database) as connection:
            connection.execute(f"update api_key set {change}".encode())
        # A key is remembered for a moment, in which it still opens.
        async with asyncio.timeout(30):
            while (await calls.get("/whoami", headers={"X-API-Key": key})).status_code != status:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


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
