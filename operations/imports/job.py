"""The durable progress of an import: one row per (file content, map, as-of date)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import date, datetime

import uuid_utils

from domain.import_map import ImportMap
from storage.database import PgConnection


class ImportBusy(RuntimeError):
    """Another process moved the same import on; two at once would count rows twice."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows by outcome; they add up to the rows that are done."""

    imported: int = 0
    existing: int = 0
    rejected: int = 0

    @property
    def rows(self) -> int:
        """All of them."""
        return self.imported + self.existing + self.rejected

    def plus(self, other: Counts) -> Counts:
        """The sum of both."""
        return Counts(
            self.imported + other.imported, self.existing + other.existing, self.rejected + other.rejected
        )


@dataclass(frozen=True, slots=True)
class Job:
    """An import under way: `counts` is what earlier runs of it finished. mode: of the accounts that it makes."""

    id: str
    started_at: datetime
    counts: Counts
    mode: str = "live"


def fingerprint(sha256: bytes, import_map: ImportMap, as_of: date, mode: str = "live") -> bytes:
    """What makes an import the same import: the file's bytes, what the map says, the day, and the mode."""
    parts = [sha256, import_map.model_dump_json().encode(), as_of.isoformat().encode()]
    if mode != "live":
        parts.append(mode.encode())
    return hashlib.sha256(b"\0".join(parts)).digest()


def begin(connection: PgConnection, key: bytes, file_name: str, as_of: date, mode: str = "live") -> Job:
    """The import with this fingerprint: a new one, one that was interrupted (to be gone on with), or one that
    was finished and now begins again under the same id, so that its rows are found to exist."""
    connection.execute(
        "insert into import_job (id, fingerprint, file_name, as_of) values (%s, %s, %s, %s)"
        " on conflict (fingerprint) do nothing",
        (str(uuid_utils.uuid7()), key, file_name, as_of),
    )
    row = connection.execute(
        "select id, started_at, finished_at, imported, existing, rejected from import_job"
        " where fingerprint = %s for update",
        (key,),
    ).fetchone()
    if row is None:
        raise ImportBusy("the import's row is gone; start the import again")
    if row[2] is None:
        return Job(str(row[0]), row[1], Counts(*row[3:]), mode)
    connection.execute("delete from import_rejection where import_job_id = %s", (row[0],))
    again = connection.execute(
        "update import_job set rows_done = 0, imported = 0, existing = 0, rejected = 0,"
        " started_at = now(), finished_at = null where id = %s returning started_at",
        (row[0],),
    ).fetchone()
    return Job(str(row[0]), again[0] if again else row[1], Counts(), mode)


def lock(connection: PgConnection, job: Job, done: int) -> None:
    """Hold the job for this transaction. Raises ImportBusy unless exactly `done` rows are finished."""
    row = connection.execute(
        "select rows_done from import_job where id = %s for update", (job.id,)
    ).fetchone()
    if row is None or row[0] != done:
        raise ImportBusy("another process is importing the same file with the same map; let it finish")


def advance(connection: PgConnection, job: Job, counts: Counts) -> None:
    """Add a finished batch."""
    connection.execute(
        "update import_job set rows_done = rows_done + %s, imported = imported + %s,"
        " existing = existing + %s, rejected = rejected + %s where id = %s",
        (counts.rows, counts.imported, counts.existing, counts.rejected, job.id),
    )


def finish(connection: PgConnection, job: Job) -> None:
    """Mark the import as complete."""
    connection.execute("update import_job set finished_at = now() where id = %s", (job.id,))
