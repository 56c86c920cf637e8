"""The embedded Postgres by itself: settings, and lock files that a crash or a reboot leaves."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import psycopg

from runtime.stack.postgres import EmbeddedPostgres
from tests.conftest import PostgresForTests, wait_until


def test_it_starts_over_the_lock_files_of_other_programs_and_of_a_dead_postmaster(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres")
    server.start()
    try:
        assert server.ref is not None
        os.kill(server.ref.pid, signal.SIGKILL)
        wait_until("the postmaster is gone", lambda: not server.alive)
        pid_file = tmp_path / "postgres" / "postmaster.pid"
        # As after a reboot: the recorded id is that of a living process which is not Postgres.
        pid_file.write_text("\n".join([str(os.getpid()), *pid_file.read_text().splitlines()[1:]]) + "\n")
        server.start(20)
        assert server.ref.pid != os.getpid()
        assert server.ping() is None
    finally:
        server.stop()
    assert not server.alive


def test_it_passes_a_checkpoint_and_ends_cleanly_below_private_folders(tmp_path: Path) -> None:
    """As root the server runs as another user, who opens files by their full path at each checkpoint."""
    tmp_path.chmod(0o700)
    server = EmbeddedPostgres(tmp_path / "postgres")
    url = server.start()
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("checkpoint")
    finally:
        server.stop()
    log = server.log.read_text()
    assert "PANIC" not in log
    assert "database system is shut down" in log


def test_durability_is_on_and_nothing_listens_on_a_network(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres")
    try:
        with psycopg.connect(server.start()) as connection:
            shown = {
                name: connection.execute("select current_setting(%s)", (name,)).fetchone()
                for name in ("fsync", "synchronous_commit", "full_page_writes", "listen_addresses")
            }
    finally:
        server.stop()
    assert {name: row[0] for name, row in shown.items() if row} == {
        "fsync": "on",
        "synchronous_commit": "on",
        "full_page_writes": "on",
        "listen_addresses": "",
    }


def test_fresh_databases_are_migrated_and_apart(pg_server: PostgresForTests) -> None:
    one, two = pg_server.fresh_database("apart"), pg_server.fresh_database("apart")
    with psycopg.connect(one) as connection:
        connection.execute(
            "insert into api_key (id, name, key_hash, scopes) values (gen_random_uuid(), 'x', 'x', '{}')"
        )
    with psycopg.connect(two) as connection:
        assert connection.execute("select count(*) from api_key").fetchone() == (0,)
