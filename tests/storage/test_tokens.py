"""The turns of a token's refresh, as the store gives them, and what it keeps secret."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from connectors.sdk.errors import Transient
from connectors.sdk.ports import StoredToken, Token, Turn
from storage.connections import ConnectionRow, connection_states, note_connections
from storage.encryption import Encryption, SecretKeyError, new_key
from storage.pool import Pool
from storage.tokens import PostgresTokens
from tests.conftest import PostgresForTests

LEASE = timedelta(seconds=60)
KEY = new_key()
FIRST = Token(
    "access-1", "refresh-1", datetime(2026, 11, 2, 9, 0, tzinfo=UTC), {"instance_url": "https://na1"}
)
SECOND = Token("access-2", "refresh-2")


@pytest.fixture(scope="module")
def database(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("tokens")


@pytest.fixture
def url(database: str) -> str:
    run(database, "delete from connection_token")
    run(database, "delete from connection")
    return database


@pytest.fixture
async def pool(url: str) -> AsyncIterator[Pool]:
    made = Pool(url)
    yield made
    await made.aclose()


@pytest.fixture
def one(pool: Pool) -> PostgresTokens:
    return PostgresTokens(pool, Encryption.of(KEY))


@pytest.fixture
def other(pool: Pool) -> PostgresTokens:
    return PostgresTokens(pool, Encryption.of(KEY))


def run(url: str, statement: str) -> None:
    with psycopg.connect(url) as database:
        database.execute(statement.encode())


def the_lease_runs_out(url: str) -> None:
    run(url, "update connection_token set lease_until = now() - interval '1 s' where lease_until is not null")


async def test_what_was_stored_is_read_by_others(one: PostgresTokens, other: PostgresTokens) -> None:
    assert await one.read("shop") == StoredToken(None, 0)
    await one.authorise("shop", FIRST)
    assert await other.read("shop") == StoredToken(FIRST, 1)


async def test_no_token_stands_in_the_database_nor_in_a_repr(url: str, one: PostgresTokens) -> None:
    await one.authorise("shop", FIRST)
    with psycopg.connect(url) as database:
        row: Any = database.execute("select t::text, ciphertext from connection_token t").fetchone()
    for secret in (FIRST.access, FIRST.refresh, "https://na1"):
        assert secret is not None
        assert secret not in row[0]
        assert secret.encode() not in bytes(row[1])
        assert secret not in repr(await one.read("shop")) + repr(one)


async def test_one_has_the_turn_and_the_others_wait_until_it_is_done(
    one: PostgresTokens, other: PostgresTokens
) -> None:
    await one.authorise("shop", FIRST)
    assert await one.begin_refresh("shop", 1, LEASE) is Turn.MINE
    assert await other.begin_refresh("shop", 1, LEASE) is Turn.BUSY
    assert await one.finish_refresh("shop", 1, SECOND) == StoredToken(SECOND, 2)
    assert await other.begin_refresh("shop", 1, LEASE) is Turn.DONE
    assert await other.read("shop") == StoredToken(SECOND, 2)
    assert await other.begin_refresh("shop", 2, LEASE) is Turn.MINE


async def test_the_first_token_has_its_turn_too(one: PostgresTokens, other: PostgresTokens) -> None:
    assert await one.begin_refresh("shop", 0, LEASE) is Turn.MINE
    assert await other.begin_refresh("shop", 0, LEASE) is Turn.BUSY
    assert await one.finish_refresh("shop", 0, FIRST) == StoredToken(FIRST, 1)


async def test_who_surely_asked_nobody_leaves_the_turn_to_the_next(
    one: PostgresTokens, other: PostgresTokens
) -> None:
    await one.authorise("shop", FIRST)
    await one.begin_refresh("shop", 1, LEASE)
    await other.give_up("shop", 1)  # not its own
    assert await other.begin_refresh("shop", 1, LEASE) is Turn.BUSY
    await one.give_up("shop", 1)
    assert await other.begin_refresh("shop", 1, LEASE) is Turn.MINE


async def test_after_an_interruption_each_next_one_is_told_until_a_token_is_stored(
    url: str, one: PostgresTokens, other: PostgresTokens
) -> None:
    await one.authorise("shop", FIRST)
    await one.begin_refresh("shop", 1, LEASE)
    the_lease_runs_out(url)
    assert await other.begin_refresh("shop", 1, LEASE) is Turn.INTERRUPTED
    assert await one.begin_refresh("shop", 1, LEASE) is Turn.BUSY
    await other.give_up("shop", 1)
    assert await one.begin_refresh("shop", 1, LEASE) is Turn.INTERRUPTED
    await one.finish_refresh("shop", 1, SECOND)
    assert await other.begin_refresh("shop", 2, LEASE) is Turn.MINE


async def test_a_slow_answer_is_kept_unless_another_was_stored_before(
    url: str, one: PostgresTokens, other: PostgresTokens
) -> None:
    await one.authorise("shop", FIRST)
    await one.begin_refresh("shop", 1, LEASE)
    the_lease_runs_out(url)
    await other.begin_refresh("shop", 1, LEASE)
    assert await one.finish_refresh("shop", 1, SECOND) == StoredToken(SECOND, 2)
    assert await other.finish_refresh("shop", 1, Token("late")) == StoredToken(SECOND, 2)


async def test_a_mark_keeps_everybody_out_until_a_person_authorises(
    url: str, one: PostgresTokens, other: PostgresTokens
) -> None:
    with psycopg.connect(url) as database:
        note_connections(database, [ConnectionRow("shop", "shopify", "test", True, "f")])
    await one.authorise("shop", FIRST)
    await one.begin_refresh("shop", 1, LEASE)
    await one.mark("shop", 1, "invalid_grant")
    await other.mark("shop", 1, "refused, of course")
    assert await other.begin_refresh("shop", 1, LEASE) is Turn.MARKED
    assert (await other.read("shop")).needs_authorisation == "invalid_grant"
    with psycopg.connect(url) as database:
        assert connection_states(database)[0].needs_authorisation == "invalid_grant"
    await one.authorise("shop", SECOND)
    await other.mark("shop", 1, "too late: it is about the token before")
    assert await other.read("shop") == StoredToken(SECOND, 2)
    with psycopg.connect(url) as database:
        assert connection_states(database)[0].needs_authorisation is None


async def test_one_that_fetches_its_own_tokens_can_be_let_try_again(one: PostgresTokens) -> None:
    await one.mark("erp", 0, "invalid_client")
    assert await one.begin_refresh("erp", 0, LEASE) is Turn.MARKED
    await one.authorise("erp")
    stored = await one.read("erp")
    assert (stored.token, stored.needs_authorisation) == (None, None)
    assert await one.begin_refresh("erp", stored.version, LEASE) is Turn.MINE


async def test_without_a_key_nobody_is_asked_for_a_token_that_could_not_be_stored(pool: Pool) -> None:
    keyless = PostgresTokens(pool, Encryption.of(None))
    assert await keyless.read("shop") == StoredToken(None, 0)
    with pytest.raises(SecretKeyError, match="masthead connectors keygen"):
        await keyless.begin_refresh("shop", 0, LEASE)


async def test_keys_are_changed_without_losing_a_token(pool: Pool, one: PostgresTokens) -> None:
    await one.authorise("shop", FIRST)
    new = new_key()
    both = PostgresTokens(pool, Encryption.of(f"{new},{KEY}"))
    assert await both.reseal() == 1
    assert await both.reseal() == 0
    assert (await PostgresTokens(pool, Encryption.of(new)).read("shop")).token == FIRST
    with pytest.raises(SecretKeyError, match="which MASTHEAD_SECRET_KEY does not hold"):
        await one.read("shop")


async def test_while_the_database_is_away_every_turn_tells_so_as_what_passes() -> None:
    pool = Pool("postgresql://nobody@127.0.0.1:1/nowhere", longest_wait=0.2)
    store = PostgresTokens(pool, Encryption.of(KEY))
    for step in (
        store.read("shop"),
        store.begin_refresh("shop", 1, LEASE),
        store.finish_refresh("shop", 1, SECOND),
        store.give_up("shop", 1),
        store.mark("shop", 1, "refused"),
    ):
        with pytest.raises(Transient, match="our own database is away"):
            await step
    await pool.aclose()
