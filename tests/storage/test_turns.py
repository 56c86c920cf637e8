"""Threads that take turns: one works, the others wait for the server, and nobody waits for long."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from storage.database import make_engine, transaction
from storage.turns import LONGEST_WAIT_SECONDS, turns
from tests.conftest import PostgresForTests


@pytest.fixture(scope="module")
def engine(pg_server: PostgresForTests) -> Iterator[Engine]:
    engine = make_engine(pg_server.fresh_database("turns"))
    yield engine
    engine.dispose()


def test_who_waits_for_the_server_lets_another_one_work(engine: Engine) -> None:
    held, freed = threading.Event(), threading.Event()

    def wait_for_a_lock() -> bool:
        with transaction(engine) as connection, turns(connection):
            held.set()
            connection.execute("select pg_advisory_xact_lock(1)")
            return freed.is_set()

    def work() -> None:
        with transaction(engine) as connection, turns(connection):
            connection.execute("select 1")

    with ThreadPoolExecutor(2) as threads, transaction(engine) as other:
        other.execute("select pg_advisory_xact_lock(1)")
        waiting = threads.submit(wait_for_a_lock)
        assert held.wait(10)
        threads.submit(work).result(10)
        freed.set()
        other.commit()
        assert waiting.result(10)


def test_one_thread_at_a_time_works_between_two_waits(engine: Engine) -> None:
    at_work: list[int] = []
    together: list[int] = []
    done = threading.Barrier(3)

    def work(number: int) -> None:
        with transaction(engine) as connection, turns(connection):
            at_work.append(number)
            # Far below the longest wait, and a moment at which the interpreter lets the others run.
            threading.Event().wait(LONGEST_WAIT_SECONDS / 20)
            together.append(len(at_work))
            at_work.remove(number)
        done.wait(10)

    with ThreadPoolExecutor(3) as threads:
        for each in [threads.submit(work, number) for number in range(3)]:
            each.result(10)
    assert together == [1, 1, 1]


def test_a_turn_that_lasts_is_waited_for_once_and_not_for_long(engine: Engine) -> None:
    begun, ended = threading.Event(), threading.Event()

    def work_for_long() -> None:
        with transaction(engine) as connection, turns(connection):
            begun.set()
            assert ended.wait(10)

    with ThreadPoolExecutor(1) as threads:
        long = threads.submit(work_for_long)
        assert begun.wait(10)
        with transaction(engine) as connection:
            began = time.monotonic()
            with turns(connection):
                for _ in range(100):
                    assert connection.execute("select 1").fetchone() == (1,)
            assert time.monotonic() - began < 100 * LONGEST_WAIT_SECONDS
        ended.set()
        long.result(10)


def test_a_failure_gives_the_turn_back(engine: Engine) -> None:
    with pytest.raises(ZeroDivisionError), transaction(engine) as connection, turns(connection):
        raise ZeroDivisionError
    at_work = threading.Event()
    with transaction(engine) as connection, turns(connection):
        at_work.set()
        assert connection._has_turn  # type: ignore[attr-defined]
