"""The real Postgres and the real Temporal that tests run on, started once per session."""

from __future__ import annotations

import itertools
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from psycopg import sql

from runtime.process_exit import leave
from runtime.stack import launch, ports
from runtime.stack.postgres import EmbeddedPostgres
from runtime.stack.temporal_server import server_command, server_environment
from storage.migrate import upgrade
from tests.names import NAMESPACE

_status = 0


def pytest_configure(config: pytest.Config) -> None:
    """Hypothesis without a clock, for a busy machine is no failing rule. What decides whether a change lands plays the
    same examples each time, so that it says something about the change; the deep suite looks for new ones."""
    settings.register_profile(
        "house",
        deadline=None,
        derandomize=config.getoption("markexpr") == "not deep",
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("house")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    global _status
    _status = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure() -> None:
    # The SDK's threads can abort a process that ends in the usual way, after all tests have passed.
    leave(_status)


def wait_until(what: str, true: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until `true()` holds; fail the test with `what` when it does not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:g} s: {what}")
        time.sleep(0.05)


class PostgresForTests:
    """One embedded server; each database is a copy of a migrated template, made in some 50 ms."""

    def __init__(self, server: EmbeddedPostgres) -> None:
        self.server = server
        self._numbers = itertools.count(1)
        self._template_ready = False

    def fresh_database(self, name_prefix: str = "test") -> str:
        """The libpq URL of a new, empty, migrated database."""
        if not self._template_ready:
            self._create("template_masthead", "template0")
            upgrade(self.server.url("template_masthead"))
            self._template_ready = True
        name = f"{name_prefix}_{next(self._numbers)}".lower().replace("-", "_")
        self._create(name, "template_masthead")
        return self.server.url(name)

    def _create(self, name: str, template: str) -> None:
        with psycopg.connect(self.server.url("postgres"), autocommit=True) as connection:
            connection.execute(
                sql.SQL(
                    "create database {} template {} encoding 'UTF8' lc_collate 'C' lc_ctype 'C' "
                    "locale_provider builtin builtin_locale 'C.UTF-8'"
                ).format(sql.Identifier(name), sql.Identifier(template))
            )


@pytest.fixture(scope="session")
def pg_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresForTests]:
    """The session's Postgres; `.fresh_database(name_prefix)` gives the URL of a migrated database."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("pg") / "postgres")
    server.start()
    try:
        _need_not_outlive_the_machine(server)
        yield PostgresForTests(server)
    finally:
        server.stop()


def _need_not_outlive_the_machine(server: EmbeddedPostgres) -> None:
    """Tests end processes, never the machine: what the server has handed to the operating system is safe, and a
    thousand databases need not be waited for to reach the disk. Stacks that tests start keep fsync on."""
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("alter system set fsync = off")
        connection.execute("select pg_reload_conf()")


@pytest.fixture(scope="session")
def temporal_address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HOST:PORT of the session's Temporal server: namespace "masthead", search attributes registered."""
    folder: Path = tmp_path_factory.mktemp("temporal")
    port = ports.choose_port(0)
    command = server_command(
        folder / "temporal.db",
        port=port,
        ui_port=ports.choose_port(0, frozenset({port})),
        namespace=NAMESPACE,
    )
    with (folder / "temporal.log").open("wb") as log:
        server = subprocess.Popen(
            command, env=server_environment(), stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_until("the Temporal server listens", lambda: server.poll() is not None or ports.answers(port))
        assert server.poll() is None, (folder / "temporal.log").read_text()
        address = f"127.0.0.1:{port}"
        _outside_of_any_loop(lambda: launch.prepare_temporal(address, NAMESPACE, 30, deadline_seconds=30))
        yield address
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _outside_of_any_loop(work: Callable[[], None]) -> None:
    failures: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
