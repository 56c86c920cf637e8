"""Tokens through the whole way, from a 401 to the stored token: once for many workers, and safe when one is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from connectors.sdk.errors import Unauthorized
from connectors.sdk.ports import Token
from storage.encryption import Encryption, new_key
from storage.pool import Pool
from storage.tokens import PostgresTokens
from tests.conftest import PostgresForTests, wait_until
from tests.runtime.conftest import CHECKOUT
from tests.storage import vendor as worker
from tests.storage.test_tokens import the_lease_runs_out
from tests.storage.vendor import CONNECTION, Vendor, press

KEY = new_key()
WORKERS = 20


@pytest.fixture(scope="module")
def database(pg_server: PostgresForTests) -> str:
    return pg_server.fresh_database("refreshes")


@pytest.fixture
async def url(database: str) -> str:
    """A database with a token that the vendor does not take any more."""
    with psycopg.connect(database) as connection:
        connection.execute("delete from connection_token")
    pool = Pool(database)
    await PostgresTokens(pool, Encryption.of(KEY)).authorise(CONNECTION, Token("a0", "r0"))
    await pool.aclose()
    return database


@pytest.fixture
async def tokens(url: str) -> AsyncIterator[PostgresTokens]:
    pool = Pool(url)
    yield PostgresTokens(pool, Encryption.of(KEY))
    await pool.aclose()


@contextmanager
def vendor_of(*, grace: bool = False) -> Iterator[Vendor]:
    vendor = Vendor(grace=grace)
    try:
        yield vendor
    finally:
        vendor.shutdown()
        vendor.server_close()


@pytest.mark.parametrize("connections", [1, WORKERS])
async def test_many_workers_that_are_refused_at_once_refresh_once(url: str, connections: int) -> None:
    """With one database connection for all, nobody gets on unless those who wait hold none."""
    pools = [Pool(url, size=1) for _ in range(connections)]
    with vendor_of() as vendor:
        workers = [
            press(vendor.url, PostgresTokens(pools[n % connections], Encryption.of(KEY)))
            for n in range(WORKERS)
        ]
        answers = await asyncio.gather(*(each.health() for each in workers))
        assert [answer.ok for answer in answers] == [True] * WORKERS
        assert vendor.refreshes == 1
        for each in workers:
            await each.http.aclose()
    for pool in pools:
        await pool.aclose()


def killed_while(url: str, vendor: Vendor, wait_at: str) -> None:
    """Run a worker of its own and kill it once the vendor has acted and not yet answered."""
    reached, go_on = threading.Event(), threading.Event()

    def hold() -> object:
        reached.set()
        return go_on.wait(30)

    setattr(vendor, wait_at, hold)
    child = subprocess.Popen(
        [sys.executable, str(Path(worker.__file__)), url, vendor.url, str(vendor.grace)],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "MASTHEAD_SECRET_KEY": KEY},
    )
    try:
        wait_until("the worker is there", lambda: reached.is_set() or child.poll() is not None)
        assert reached.is_set()
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
    finally:
        child.kill()
        setattr(vendor, wait_at, lambda: None)
        go_on.set()


async def test_killed_after_our_commit_the_new_token_is_there(url: str, tokens: PostgresTokens) -> None:
    with vendor_of() as vendor:
        await asyncio.to_thread(killed_while, url, vendor, "at_me")
        stored = await tokens.read(CONNECTION)
        assert stored.token is not None
        assert (stored.token.access, stored.token.refresh, stored.version) == ("a1", "r1", 2)
        assert (await press(vendor.url, tokens).health()).ok
        assert vendor.refreshes == 1


async def test_killed_before_our_commit_the_connection_waits_for_a_person(
    url: str, tokens: PostgresTokens
) -> None:
    with vendor_of() as vendor:
        await asyncio.to_thread(killed_while, url, vendor, "at_token")
        the_lease_runs_out(url)
        for _ in range(3):
            with pytest.raises(Unauthorized, match="authorised by a person: a refresh was interrupted"):
                await press(vendor.url, tokens).health()
        assert vendor.refreshes == 1
        await tokens.authorise(CONNECTION, Token("a0", "r1"))
        assert (await press(vendor.url, tokens).health()).ok


async def test_killed_before_our_commit_the_old_token_is_tried_once_where_the_vendor_gives_grace(
    url: str, tokens: PostgresTokens
) -> None:
    with vendor_of(grace=True) as vendor:
        await asyncio.to_thread(killed_while, url, vendor, "at_token")
        the_lease_runs_out(url)
        assert (await press(vendor.url, tokens, grace=True).health()).ok
        assert vendor.refreshes == 2


async def test_where_the_grace_is_over_it_is_tried_once_and_then_waits_for_a_person(
    url: str, tokens: PostgresTokens
) -> None:
    asked: list[str] = []
    with vendor_of(grace=True) as vendor:
        await asyncio.to_thread(killed_while, url, vendor, "at_token")
        the_lease_runs_out(url)
        vendor.grace = False
        vendor.at_token = lambda: asked.append("r0")
        for _ in range(3):
            with pytest.raises(Unauthorized, match="invalid_grant"):
                await press(vendor.url, tokens, grace=True).health()
        assert len(asked) == 1


async def test_a_worker_that_finds_a_refresh_cut_off_holds_no_lock(url: str, tokens: PostgresTokens) -> None:
    with vendor_of() as vendor:
        await asyncio.to_thread(killed_while, url, vendor, "at_token")
    with psycopg.connect(url) as database:
        database.execute("set lock_timeout = '2s'")
        database.execute("update connection_token set updated_at = now()")
