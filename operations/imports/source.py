"""A publisher's CSV file: looked through once as a whole before anything is written, then read row by row.

Rows are numbered as a spreadsheet shows them: the header is row 1, the first subscriber row 2.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from domain.import_map import FileFormat

REASON_COLUMN = "rejected_because"


class SourceError(ValueError):
    """A file that cannot be imported at all; `line` counts from 1 (None: the file as a whole)."""

    def __init__(self, file: Path, line: int | None, message: str) -> None:
        self.file, self.line = file, line
        super().__init__(f"{file}:{line}: {message}" if line else f"{file}: {message}")


class SourceRow(NamedTuple):
    """A row as it stands in the file; `line` is where it begins, which quoted line breaks move away from
    `row`."""

    row: int
    line: int
    cells: list[str]


class Survey(NamedTuple):
    """What looking through the file showed: its header, how many rows follow, and the SHA-256 of its
    bytes."""

    header: tuple[str, ...]
    rows: int
    sha256: bytes


class _Hashed(io.RawIOBase):
    """A file whose bytes are hashed and looked at while they are read."""

    def __init__(self, raw: io.FileIO, *, refuse_zero_bytes: bool) -> None:
        self._raw = raw
        self._refuse_zero_bytes = refuse_zero_bytes
        self.digest = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = self._raw.readinto(buffer)
        piece = bytes(buffer[:count])
        self.digest.update(piece)
        if self._refuse_zero_bytes and b"\0" in piece:
            raise ValueError("holds zero bytes, so it is no text in the map's encoding; utf-16, perhaps?")
        return count


def survey(file: Path, form: FileFormat) -> Survey:
    """Look through the whole file. Raises SourceError where it is missing, empty, not text in the map's
    encoding, not CSV, or has a header in which a column stands twice: nothing has been written by then."""
    with _opened(file) as raw:
        hashed = _Hashed(raw, refuse_zero_bytes=form.encoding != "utf-16")
        reader = csv.reader(_text(hashed, form), delimiter=form.delimiter, quotechar=form.quote, strict=True)
        rows, end = -1, 0
        header: list[str] = []
        try:
            for cells in reader:
                end = reader.line_num
                if cells:
                    if rows < 0:
                        header = cells
                    rows += 1
        except UnicodeDecodeError as error:
            message = (
                f"is not {form.encoding} text ({error.reason}); name its encoding in the map (file: encoding)"
            )
            raise SourceError(file, _undecodable_line(file, form), message) from None
        except csv.Error as error:
            raise _not_csv(file, form, error, begin=end + 1, line=reader.line_num) from None
        except ValueError as error:
            raise SourceError(file, reader.line_num, f"cannot be read as CSV: {error}") from None
        names = tuple(name.strip() for name in header)
        if rows < 0:
            raise SourceError(file, None, "is empty; expected a header line and one line per subscriber")
        if rows == 0:
            raise SourceError(file, None, "has a header line and no rows")
        _check_header(file, names)
        return Survey(names, rows, hashed.digest.digest())


def read_rows(file: Path, form: FileFormat, *, skip: int = 0) -> Iterator[SourceRow]:
    """The rows after the header and after the first `skip` of them; empty lines are passed over."""
    with _opened(file) as raw:
        reader = csv.reader(_text(raw, form), delimiter=form.delimiter, quotechar=form.quote, strict=True)
        row, end = 0, 0
        for cells in reader:
            begin, end = end + 1, reader.line_num
            if not cells:
                continue
            row += 1
            if row > skip + 1:
                yield SourceRow(row, begin, cells)


def _not_csv(file: Path, form: FileFormat, error: csv.Error, *, begin: int, line: int) -> SourceError:
    """What broke the row that begins on line `begin` and was read up to `line`, in words."""
    said = str(error)
    if "unexpected end of data" in said:
        return SourceError(file, begin, f"a quote ({form.quote}) in the row that begins here is never closed")
    if "field limit" in said:
        limit = f"longer than {csv.field_size_limit():,} characters"
        return SourceError(
            file,
            begin,
            f"a field of the row that begins here is {limit}; is a quote ({form.quote}) not closed?",
        )
    if "expected after" in said:
        since = f", in the row that begins on line {begin}" if begin < line else ""
        message = (
            f"text stands behind a closing quote ({form.quote}){since}; write a quote within quoted text twice, and "
            "see whether one before it is not closed"
        )
        return SourceError(file, line, message)
    return SourceError(file, line, f"cannot be read as CSV: {said}")


def _undecodable_line(file: Path, form: FileFormat) -> int:
    """The line of the first bytes that are not text in the map's encoding. The reader above is ahead of its lines by
    a buffer, so that it cannot tell."""
    decoder = codecs.getincrementaldecoder(_encoding(form))()
    feeds, returns = 0, 0
    with _opened(file) as raw:
        while True:
            piece = raw.read(1 << 18) or b""
            before = decoder.getstate()
            try:
                text = decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                decoder.setstate(before)
                text = decoder.decode(piece[: max(0, error.start - len(before[0]))])
                piece = b""
            feeds, returns = feeds + text.count("\n"), returns + text.count("\r")
            if not piece:
                # A file of an old Mac ends its lines with returns alone.
                return (feeds or returns) + 1


def _check_header(file: Path, names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name and name in seen:
            raise SourceError(file, 1, f"the column {name!r} stands twice in the header; rename one")
        seen.add(name)


def _text(raw: io.RawIOBase, form: FileFormat) -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BufferedReader(raw, 1 << 18), encoding=_encoding(form), newline="")


def _encoding(form: FileFormat) -> str:
    return "utf-8-sig" if form.encoding == "utf-8" else form.encoding


@contextmanager
def _opened(file: Path) -> Iterator[io.FileIO]:
    try:
        raw = io.FileIO(file)
    except FileNotFoundError:
        raise SourceError(file, None, "does not exist; check the path") from None
    except IsADirectoryError:
        raise SourceError(file, None, "is a folder, not a file") from None
    except OSError as error:
        raise SourceError(file, None, f"cannot be read: {error.strerror}") from None
    with raw:
        yield raw
