"""The file of rejected rows: the original columns and the reason, ready to be mended and imported again."""

from __future__ import annotations

import csv
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from domain.import_map import FileFormat
from operations.imports.job import Job
from operations.imports.source import REASON_COLUMN
from storage.database import PgConnection


def rejected_path(file: Path, folder: Path | None = None) -> Path:
    """Where the rejected rows of `file` go: `subscribers.csv` gives `subscribers.rejected.csv` beside it."""
    name = file.stem if file.suffix.lower() == ".csv" else file.name
    return (folder or file.parent) / f"{name}.rejected.csv"


def write_rejected(
    connection: PgConnection, job: Job, file: Path, header: Sequence[str], form: FileFormat
) -> Path:
    """Write the job's rejected rows, whole or not at all, readable by their owner only. Goes to the working
    directory when the file's own folder cannot be written to. Raises OSError when neither can."""
    try:
        return _write(connection, job, rejected_path(file), header, form)
    except OSError:
        elsewhere = rejected_path(file, Path.cwd())
        if elsewhere == rejected_path(file):
            raise
        return _write(connection, job, elsewhere, header, form)


def _write(connection: PgConnection, job: Job, target: Path, header: Sequence[str], form: FileFormat) -> Path:
    # A file that comes from mending an earlier one has the reason as its last column already.
    width = len(header) - 1 if header and header[-1] == REASON_COLUMN else len(header)
    handle, partial = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding=form.encoding, errors="replace", newline="") as out:
            writer = csv.writer(out, delimiter=form.delimiter, quotechar=form.quote, lineterminator="\n")
            writer.writerow([*header[:width], REASON_COLUMN])
            with connection.cursor("rejected_rows") as cursor:
                cursor.itersize = 2_000
                cursor.execute(
                    "select cells, reason from import_rejection where import_job_id = %s order by row",
                    (job.id,),
                )
                for cells, reason in cursor:
                    padded = [*cells[:width], *[""] * (width - len(cells))]
                    writer.writerow([*padded, reason])
            out.flush()
            os.fsync(out.fileno())
        Path(partial).replace(target)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
    return target
