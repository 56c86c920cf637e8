"""Restoring a backup: into the home of an embedded stack that does not run, or into a database of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg

from runtime.backup.archive import (
    DATABASE,
    TEMPORAL,
    Manifest,
    extract,
    private_folder,
    read_manifest,
)
from runtime.backup.errors import BackupError
from runtime.backup.postgres_tools import restore
from runtime.settings import Settings
from runtime.stack import launch
from runtime.stack.home import Home
from runtime.stack.locks import FileLock
from runtime.stack.postgres import EmbeddedPostgres
from storage.migrate import knows
from storage.restoring import EVERYTHING_OUT, after_restore

_FORCE = "Name another place, or say --force: it replaces what is there, for good."


class Restored(NamedTuple):
    """What was restored. temporal: whether workflows came with it, into the embedded Temporal."""

    manifest: Manifest
    temporal: bool


def restore_backup(settings: Settings, file: Path, *, actor: str, force: bool) -> Restored:
    """Bring back what the backup `file` holds. External writes are held from then on.

    The database is replaced in one transaction: it is as it was, or has all of the backup. Raises BackupError where
    something is there already and `force` is not said, a stack runs in the home, or the backup cannot be used.
    """
    manifest = read_manifest(file)
    if not knows(manifest.schema_revision):
        raise BackupError(
            f"{file} was written by Masthead {manifest.masthead}, whose schema {manifest.schema_revision} this version "
            "does not know",
            remedy="Restore it with that version or a newer one.",
        )
    home = Home(settings.home)
    try:
        home.prepare()
    except OSError as error:
        raise BackupError(
            f"MASTHEAD_HOME {home.root} cannot be used: {error}", remedy="Name a folder of its own."
        ) from None
    with _alone(home), private_folder(home.temporal_file.parent) as folder:
        _refuse_what_is_there(settings, home, force=force)
        extract(file, manifest, folder)
        with _database(settings, home) as url:
            if not force and (found := _tables(url)):
                raise BackupError(f"the database is not empty: it has {found} tables", remedy=_FORCE)
            after = after_restore(manifest.taken_at, actor, file.name)
            restore(url, folder / DATABASE, before=EVERYTHING_OUT if force else "", after=after)
            launch.migrate(url)
        brought = False
        if settings.temporal_address is None:
            brought = _place_temporal(home, folder / TEMPORAL)
    return Restored(manifest, brought)


@contextmanager
def _alone(home: Home) -> Iterator[None]:
    with FileLock(home.stack_lock) as lock:
        if not lock.try_exclusive():
            raise BackupError(
                f"a stack runs in {home.root}", remedy="End it first: Ctrl-C where `masthead up` runs."
            )
        yield


def _refuse_what_is_there(settings: Settings, home: Home, *, force: bool) -> None:
    if force:
        return
    there = [home.postgres / "PG_VERSION"] if settings.database_url is None else []
    there += [home.temporal_file] if settings.temporal_address is None else []
    for file in there:
        if file.exists():
            raise BackupError(f"MASTHEAD_HOME {home.root} is not empty: {file} is there", remedy=_FORCE)


@contextmanager
def _database(settings: Settings, home: Home) -> Iterator[str]:
    """The URL of the database to restore into; the embedded server runs for as long as the block."""
    if settings.database_url is not None:
        launch.check_external_database(settings.database_url)
        yield settings.database_url
        return
    server = EmbeddedPostgres(home.postgres)
    try:
        yield server.start()
    finally:
        server.stop()


def _tables(url: str) -> int:
    with psycopg.connect(url, connect_timeout=10) as connection:
        row = connection.execute("select count(*) from pg_tables where schemaname = 'public'").fetchone()
    return int(row[0]) if row else 0


def _place_temporal(home: Home, copy: Path) -> bool:
    """Put the workflows in their place. Without a copy those that were there go too: they belong to other rows."""
    target = home.temporal_file
    for left in (target, target.with_name(f"{target.name}-wal"), target.with_name(f"{target.name}-shm")):
        left.unlink(missing_ok=True)
    if not copy.exists():
        return False
    copy.chmod(0o600)
    copy.replace(target)
    return True
