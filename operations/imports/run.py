"""An import from beginning to end: looked through, then batch after batch, each one transaction.

Memory holds two batches whatever the file's size: one is read while the other is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import islice
from pathlib import Path
from typing import Literal

import psycopg
import uuid_utils
from sqlalchemy import Engine

from domain.catalog import Problem
from domain.import_map import FileFormat, ImportMap, missing_columns, unknown_plans
from domain.import_row import Offer, RowReader, RowRejected
from domain.policy import AccessPolicy
from operations.catalog import CatalogRows, read_catalog
from operations.imports import job as jobs
from operations.imports.access import ImportedAccess
from operations.imports.batch import Batch, Outcome, Rejection, check_batch, post_batch
from operations.imports.job import Counts, Job
from operations.imports.rejected import write_rejected
from operations.imports.source import SourceRow, Survey, read_rows, survey
from storage.database import PgConnection, transaction

BATCH_ROWS = 5_000
SHOWN_REJECTIONS = 5
_TRIES = 5
_SHADOW = "pg_temp"
_ORDINARY_ACCESS = AccessPolicy()


class MapMismatch(ValueError):
    """A map that does not fit the file or the catalog; `problems` have paths into the map."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("; ".join(problem.message for problem in problems))


@dataclass(frozen=True)
class ImportRequest:
    """What to import. `dry_run` reads and checks everything and writes nothing. `mode`: of the accounts, for ever.
    `access`: when what is imported gives access."""

    file: Path
    import_map: ImportMap
    as_of: date
    dry_run: bool = False
    mode: Literal["live", "test"] = "live"
    batch_rows: int = BATCH_ROWS
    access: AccessPolicy = _ORDINARY_ACCESS


@dataclass(frozen=True)
class ImportSummary:
    """What an import did: rows = imported + existing + rejected. `resumed_after` counts rows that an
    interrupted run had finished; `first_rejections` are (row, line, reason)."""

    rows: int
    imported: int
    existing: int
    rejected: int
    resumed_after: int
    rejected_file: Path | None
    first_rejections: tuple[tuple[int, int, str], ...]
    dry_run: bool


Progress = Callable[[int, int], None]


def import_file(
    engine: Engine, request: ImportRequest, on_progress: Progress = lambda _done, _total: None
) -> ImportSummary:
    """Import a file, going on where an interrupted import of the same file, map and date ended.

    Raises SourceError and MapMismatch before anything is written, ImportBusy when another process runs the
    same import. `on_progress` gets the rows done and the rows in all.
    """
    form = request.import_map.file
    found = survey(request.file, form)
    with transaction(engine) as connection:
        catalog = read_catalog(connection)
    reader = _reader(catalog, request, found)
    access = ImportedAccess(catalog.plans, request.access)
    if request.dry_run:
        return _dry_run(engine, request, found, (reader, access), on_progress)
    key = jobs.fingerprint(found.sha256, request.import_map, request.as_of, request.mode)
    with transaction(engine) as connection:
        job = jobs.begin(connection, key, request.file.name, request.as_of, request.mode)
    separate = request.import_map.subscription.key is not None

    def post(batch: Batch, done: int) -> Outcome:
        return _post(engine, job, batch, access, done, separate_keys=separate)

    counts = _run(request, reader, job.counts, post, lambda done: on_progress(done, found.rows))
    return _close(engine, request, found, job, counts)


def _reader(catalog: CatalogRows, request: ImportRequest, found: Survey) -> RowReader:
    problems = missing_columns(request.import_map, found.header)
    problems += unknown_plans(request.import_map, list(catalog.plans))
    if problems:
        raise MapMismatch(problems)
    offer = Offer(catalog.plans, frozenset(rate.region for rate in catalog.tax_rates))
    return RowReader(request.import_map, found.header, offer, request.as_of)


def _run(
    request: ImportRequest,
    reader: RowReader,
    counts: Counts,
    post: Callable[[Batch, int], Outcome],
    on_done: Callable[[int], None],
    on_rejected: Callable[[list[Rejection]], None] = lambda _rejected: None,
) -> Counts:
    """Read batches while the one before is posted; the sum of all counts."""
    rows = read_rows(request.file, request.import_map.file, skip=counts.rows)
    on_done(counts.rows)
    with ThreadPoolExecutor(1, "import-post") as poster:
        posting: Future[Outcome] | None = None
        while True:
            batch = _read_batch(rows, reader, request.batch_rows)
            if posting is not None:
                outcome = posting.result()
                counts = counts.plus(outcome.counts)
                on_rejected(outcome.rejected)
                on_done(counts.rows)
            if not batch.rows:
                return counts
            posting = poster.submit(post, batch, counts.rows)


def _read_batch(rows: Iterator[SourceRow], reader: RowReader, size: int) -> Batch:
    batch = Batch()
    for source in islice(rows, size):
        try:
            batch.good.append((source, reader.read(source.cells)))
        except RowRejected as error:
            batch.rejected.append(Rejection(source, str(error)))
    return batch


def _post(
    engine: Engine, job: Job, batch: Batch, access: ImportedAccess, done: int, *, separate_keys: bool
) -> Outcome:
    """One batch in one transaction with its progress; repeated when somebody else took a key meanwhile."""
    for attempt in range(1, _TRIES + 1):
        try:
            with transaction(engine) as connection:
                jobs.lock(connection, job, done)
                outcome = post_batch(connection, job, batch, access, separate_keys=separate_keys)
                jobs.advance(connection, job, outcome.counts)
            return outcome
        except (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected):
            if attempt == _TRIES:
                raise
    raise AssertionError("unreachable")


def _close(engine: Engine, request: ImportRequest, found: Survey, job: Job, counts: Counts) -> ImportSummary:
    """Write the rejected rows and finish the job, in this order: a job without its file is not finished."""
    path = None
    with transaction(engine) as connection:
        first = connection.execute(
            "select row, line, reason from import_rejection where import_job_id = %s order by row limit %s",
            (job.id, SHOWN_REJECTIONS),
        ).fetchall()
        if counts.rejected:
            path = write_rejected(connection, job, request.file, found.header, _form(request))
        jobs.finish(connection, job)
    return ImportSummary(
        rows=counts.rows,
        imported=counts.imported,
        existing=counts.existing,
        rejected=counts.rejected,
        resumed_after=job.counts.rows,
        rejected_file=path,
        first_rejections=tuple((row, line, reason) for row, line, reason in first),
        dry_run=False,
    )


def _form(request: ImportRequest) -> FileFormat:
    return request.import_map.file


def _dry_run(
    engine: Engine,
    request: ImportRequest,
    found: Survey,
    rules: tuple[RowReader, ImportedAccess],
    on_progress: Progress,
) -> ImportSummary:
    reader, access = rules
    job = Job(str(uuid_utils.uuid7()), datetime.now(UTC), Counts(), request.mode)
    separate = request.import_map.subscription.key is not None
    first: list[tuple[int, int, str]] = []

    def keep(rejected: list[Rejection]) -> None:
        room = SHOWN_REJECTIONS - len(first)
        first.extend((r.source.row, r.source.line, r.reason) for r in rejected[:room])

    with _shadowed(engine) as connection:

        def post(batch: Batch, _done: int) -> Outcome:
            outcome = check_batch(connection, job, batch, access, separate_keys=separate, remembered=_SHADOW)
            connection.commit()
            return outcome

        counts = _run(request, reader, Counts(), post, lambda done: on_progress(done, found.rows), keep)
    return ImportSummary(
        counts.rows, counts.imported, counts.existing, counts.rejected, 0, None, tuple(first), dry_run=True
    )


@contextmanager
def _shadowed(engine: Engine) -> Iterator[PgConnection]:
    """A session with temporary tables that remember the keys of a dry run; they go with it."""
    url = engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as connection:
        for table in ("account", "subscription"):
            connection.execute(
                f"create temp table {table} (like public.{table} including defaults including indexes)"
            )
        connection.commit()
        yield connection
