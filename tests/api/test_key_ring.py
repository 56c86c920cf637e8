"""Keys are looked up as seldom as they may be, and never believed for longer than they are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy import Engine, event

from api.key_ring import KeyRing
from storage.database import DATABASE_AWAY, make_engine
from tests.api.served import database_with_keys
from tests.conftest import PostgresForTests


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    return database_with_keys(pg_server, "ring", reads="catalog:read")


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = make_engine(url)
    yield engine
    engine.dispose()


@pytest.fixture
def lookups(engine: Engine) -> list[int]:
    """One entry for each connection that was taken from the pool."""
    found: list[int] = []
    event.listen(engine, "checkout", lambda *_: found.append(1))
    return found


async def many(ring: KeyRing, key: str) -> set[str | None]:
    callers = await asyncio.gather(*(ring.caller(key) for _ in range(40)))
    return {None if caller is None else caller.name for caller in callers}


async def test_many_requests_at_once_look_a_key_up_once(engine: Engine, lookups: list[int]) -> None:
    ring = KeyRing(engine)
    assert await many(ring, "mh_operator") == {"operator"}
    assert await many(ring, "mh_operator") == {"operator"}
    assert len(lookups) == 1
    ring.forget()
    assert await many(ring, "mh_operator") == {"operator"}
    assert len(lookups) == 2


async def test_a_key_that_opens_nothing_is_asked_for_each_time(engine: Engine, lookups: list[int]) -> None:
    ring = KeyRing(engine)
    for asked in (1, 2):
        assert await many(ring, "mh_nobody") == {None}
        assert len(lookups) == asked


async def test_an_answer_from_before_a_change_is_not_remembered(
    engine: Engine, url: str, lookups: list[int]
) -> None:
    ring = KeyRing(engine)
    early = asyncio.create_task(ring.caller("mh_reader"))
    await asyncio.sleep(0)  # it asks
    ring.forget()
    with psycopg.connect(url) as connection:
        connection.execute("update api_key set revoked_at = now() where name = 'reader'")
    await early
    assert await ring.caller("mh_reader") is None
    assert len(lookups) == 2


async def test_a_lookup_that_fails_is_told_and_the_next_one_asks_again() -> None:
    away = make_engine("postgresql://postgres@127.0.0.1:1/away")
    ring = KeyRing(away)
    for _ in range(2):
        with pytest.raises(DATABASE_AWAY):
            await ring.caller("mh_operator")
    away.dispose()
