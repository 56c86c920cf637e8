"""Answers that are given again: stored with the effect, gone with it, and claims that lapse."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from storage.idempotency import Asked, KeyReused, StillRunning, Stored, begin, claim, finish, release
from tests.conftest import PostgresForTests

ANSWER = Stored(201, {"ETag": '"v1"'}, b'{"done": true}')
LASTING = timedelta(minutes=30)

Connection = psycopg.Connection[tuple[Any, ...]]


@pytest.fixture(scope="module")
def url(pg_server: PostgresForTests) -> str:
    url = pg_server.fresh_database("idempotency")
    with psycopg.connect(url) as connection:
        connection.execute(
            "insert into api_key (id, name, key_hash, scopes) values (%s, 'x', 'x', '{}')", (CALLER,)
        )
    return url


CALLER = "01a205bd-0000-7000-8000-000000000000"


@pytest.fixture
def one(url: str) -> Iterator[Connection]:
    with psycopg.connect(url) as connection:
        yield connection


@pytest.fixture
def two(url: str) -> Iterator[Connection]:
    with psycopg.connect(url) as connection:
        yield connection


@pytest.fixture
def asked() -> Asked:
    return Asked(CALLER, str(uuid4()), b"what is asked for")


def test_an_answer_is_there_once_its_effect_is(one: Connection, two: Connection, asked: Asked) -> None:
    assert begin(one, asked) is None
    finish(one, asked, ANSWER)
    with pytest.raises(StillRunning):
        begin(two, asked)
    two.rollback()
    one.commit()
    assert begin(two, asked) == ANSWER
    with pytest.raises(KeyReused):
        begin(two, asked._replace(fingerprint=b"something else"))


def test_what_is_undone_leaves_nothing(one: Connection, two: Connection, asked: Asked) -> None:
    assert begin(one, asked) is None
    finish(one, asked, ANSWER)
    one.rollback()
    assert begin(two, asked) is None


def test_a_connection_that_is_lost_frees_the_key(url: str, one: Connection, asked: Asked) -> None:
    lost = psycopg.connect(url)
    assert begin(lost, asked) is None
    with pytest.raises(StillRunning):
        begin(one, asked)
    lost.close()
    one.rollback()
    while True:  # the server notices by itself, within the test's timeout
        try:
            assert begin(one, asked) is None
            return
        except StillRunning:
            one.rollback()


def test_a_claim_is_seen_by_all_until_it_is_finished(one: Connection, two: Connection, asked: Asked) -> None:
    assert claim(one, asked, LASTING) is None
    one.commit()
    with pytest.raises(StillRunning):
        claim(two, asked, LASTING)
    with pytest.raises(KeyReused):
        claim(two, asked._replace(fingerprint=b"something else"), LASTING)
    two.rollback()
    finish(one, asked, ANSWER)
    one.commit()
    assert claim(two, asked, LASTING) == ANSWER


def test_a_claim_lapses_or_is_released(one: Connection, two: Connection, asked: Asked) -> None:
    assert claim(one, asked, timedelta(0)) is None
    one.commit()
    assert claim(two, asked, LASTING) is None  # lapsed, so it is claimed again
    two.commit()
    with pytest.raises(StillRunning):
        claim(one, asked, LASTING)
    one.rollback()
    release(two, asked)
    two.commit()
    assert claim(one, asked, LASTING) is None
    one.commit()
    finish(one, asked, ANSWER)
    release(one, asked)  # an answer stays
    assert begin(one, asked) == ANSWER


def test_answers_are_forgotten_after_their_time(one: Connection, asked: Asked) -> None:
    def known() -> list[tuple[Any, ...]]:
        return one.execute("select key from idempotency_key where key = %s", (asked.key,)).fetchall()

    finish(one, asked, ANSWER)
    row = one.execute(
        "select expires_at - now() from idempotency_key where key = %s", (asked.key,)
    ).fetchone()
    assert row == (timedelta(days=30),)
    one.execute(
        "update idempotency_key set expires_at = now() - interval '1 second' where key = %s", (asked.key,)
    )
    one.commit()
    assert begin(one, asked._replace(fingerprint=b"something else")) is None
    one.commit()
    for _ in range(500):  # one in twenty forgets
        finish(one, asked._replace(key=str(uuid4())), ANSWER)
        if known() == []:
            return
    raise AssertionError("nobody has forgotten it")
