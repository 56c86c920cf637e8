"""A copy of the embedded Temporal's database file while the server writes to it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from runtime.backup.errors import BackupError

_PATIENCE_SECONDS = 30.0


def copy_database(source: Path, target: Path) -> None:
    """Copy `source` as it is at one instant, with what its log holds. Writers are not held up: the file is in WAL mode,
    and the copy reads one snapshot of it. Raises BackupError."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    try:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=rw", uri=True, timeout=_PATIENCE_SECONDS)) as live,
            closing(sqlite3.connect(target)) as copy,
        ):
            live.backup(copy)
            # The copy is one file: no log beside it is needed to read it.
            copy.execute("pragma journal_mode = delete")
            problem = copy.execute("pragma quick_check(1)").fetchone()
    except sqlite3.Error as error:
        raise BackupError(f"Temporal's file {source} cannot be copied: {error}", refused=False) from None
    if problem != ("ok",):
        raise BackupError(f"Temporal's file {source} is damaged: {problem}", refused=False)
