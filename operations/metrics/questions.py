"""What is measured of the rows: each question is one statement, and each of its columns behind the labels one gauge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from storage.database import PgConnection

# Beyond so many nobody needs to know how many.
COUNTED_UP_TO = 10_000
LONGEST_STATEMENT = "5s"


class Measure(NamedTuple):
    """A gauge: its name as it is exported, and what it says, with its unit."""

    name: str
    says: str


@dataclass(frozen=True)
class Question:
    """A statement whose rows are the values of `labels`, then one value for each of `measures` (null: none). Without
    labels it has one row. Parameters of the statement: `most`, COUNTED_UP_TO."""

    labels: tuple[str, ...]
    measures: tuple[Measure, ...]
    statement: str


class Sample(NamedTuple):
    """One value of a gauge, with the values of its question's labels."""

    measure: Measure
    labels: tuple[str, ...]
    value: float


def answered(connection: PgConnection, questions: Sequence[Question]) -> Iterator[Sample]:
    """All samples of `questions`, in the caller's transaction. Raises psycopg.Error; QueryCanceled for a statement that
    takes longer than LONGEST_STATEMENT."""
    connection.execute(f"set local statement_timeout = '{LONGEST_STATEMENT}'".encode())
    for question in questions:
        width = len(question.labels)
        rows = connection.execute(question.statement.encode(), {"most": COUNTED_UP_TO}).fetchall()
        for row in rows:
            labels = tuple("" if value is None else str(value) for value in row[:width])
            for measure, value in zip(question.measures, row[width:], strict=True):
                if value is not None:
                    yield Sample(measure, labels, float(value))
