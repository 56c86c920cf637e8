"""The archive of a backup: a tar file of the database's dump, the embedded Temporal's file, and a manifest with their
checksums. It is readable by its owner only, and written beside its place until it is whole."""

from __future__ import annotations

import hashlib
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from io import BytesIO
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from runtime.backup.errors import BackupError

MANIFEST, DATABASE, TEMPORAL = "manifest.json", "postgres.dump", "temporal.db"
FORMAT = 1
_LARGEST_MANIFEST = 1_000_000
_CHUNK = 1 << 20


class Part(BaseModel):
    """One file of the archive: bytes, and SHA-256 in hex."""

    size: int
    sha256: str


class Manifest(BaseModel):
    """What a backup holds. taken_at: the database's clock before anything was copied: what happened outside from then
    on may not be in it. schema_revision: of the database. temporal: None where Temporal was not the embedded one."""

    model_config = ConfigDict(frozen=True)

    format: int
    masthead: str
    taken_at: datetime
    schema_revision: str
    epoch: int
    postgres: str
    temporal: str | None
    namespace: str
    parts: Mapping[str, Part]


@contextmanager
def private_folder(beside: Path) -> Iterator[Path]:
    """A folder for drafts that only its owner may enter, on the file system of `beside`; removed at the end."""
    with tempfile.TemporaryDirectory(prefix=f".{beside.name}.", dir=beside.parent) as name:
        yield Path(name)


def measured(file: Path) -> Part:
    """Size and checksum of a file."""
    digest, size = hashlib.sha256(), 0
    with file.open("rb") as source:
        while chunk := source.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return Part(size=size, sha256=digest.hexdigest())


def write_archive(file: Path, manifest: Manifest, folder: Path) -> None:
    """Write the parts in `folder` with their manifest as `file`, in one step and on disk. Raises FileExistsError,
    and OSError where it cannot be written."""
    draft = folder / "archive"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
            text = manifest.model_dump_json(indent=2).encode()
            archive.addfile(_entry(MANIFEST, len(text)), BytesIO(text))
            for name, part in manifest.parts.items():
                with (folder / name).open("rb") as source:
                    archive.addfile(_entry(name, part.size), source)
        out.flush()
        os.fsync(out.fileno())
    # A name that was taken meanwhile is not overwritten.
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    draft.replace(file)


def _entry(name: str, size: int) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    return entry


def read_manifest(file: Path) -> Manifest:
    """What the archive says of itself. Raises BackupError for what is no backup, or one of a newer format."""
    with _opened(file) as archive:
        entry = archive.next()
        if entry is None or entry.name != MANIFEST or entry.size > _LARGEST_MANIFEST:
            raise _no_backup(file)
        content = archive.extractfile(entry)
        if content is None:
            raise _no_backup(file)
        try:
            manifest = Manifest.model_validate_json(content.read())
        except ValidationError:
            raise _no_backup(file) from None
    if manifest.format > FORMAT:
        raise BackupError(
            f"{file} was written by Masthead {manifest.masthead}, in a format that this version does not know",
            remedy="Restore it with that version or a newer one.",
        )
    return manifest


def extract(file: Path, manifest: Manifest, folder: Path) -> None:
    """Put the parts into `folder`, 0600. Raises BackupError where one is missing or is not what the manifest says."""
    with _opened(file) as archive:
        for entry in archive:
            if entry.name not in manifest.parts or not entry.isfile():
                continue
            content = archive.extractfile(entry)
            if content is not None:
                target = os.open(folder / entry.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(target, "wb") as out:
                    while chunk := content.read(_CHUNK):
                        out.write(chunk)
    for name, part in manifest.parts.items():
        if not (folder / name).exists() or measured(folder / name) != part:
            raise BackupError(
                f"{file}: {name} is not what was written when the backup was taken: the file is damaged",
                remedy="Take another copy of it, or an older backup.",
            )


@contextmanager
def _opened(file: Path) -> Iterator[tarfile.TarFile]:
    try:
        with tarfile.open(file, mode="r:") as archive:
            yield archive
    except tarfile.TarError:
        raise _no_backup(file) from None
    except OSError as error:
        raise BackupError(
            f"{file} cannot be read: {error.strerror or error}",
            remedy="Name a file that `masthead backup` wrote.",
        ) from None


def _no_backup(file: Path) -> BackupError:
    return BackupError(
        f"{file} is no backup of Masthead, or not all of one",
        remedy="Name a file that `masthead backup` wrote.",
    )
