"""Several statements in one round trip, each prepared the first time a connection sends it.

psycopg's own pipeline waits for the socket once for each statement and makes a cursor for each: of a transaction of
thirty small statements, that is most of the processor time. Here they are handed to libpq one behind the other, sent
together, and waited for once. Adaptation of values stays psycopg's, and so does the list of what a connection has
prepared, for it deallocates all of that after a rollback (`Connection._prepared` is not public: the version is pinned).
"""

from __future__ import annotations

import re
import threading
from collections import namedtuple
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cache, lru_cache
from itertools import count
from typing import Any, NamedTuple

from psycopg import abc, errors, pq
from psycopg.adapt import PyFormat, Transformer
from psycopg.waiting import Ready, Wait

from storage.database import PgConnection

_PLACE = re.compile(rb"%(?:%|s|\((\w+)\)s)")
# Each call of libpq gives the interpreter's lock away. Two threads in the middle of it would take it from one another
# at every call, a hundred times a command: so one hands over, or takes what has arrived, at a time.
_one_at_a_time = threading.Lock()
_OK = frozenset((pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK, pq.ExecStatus.EMPTY_QUERY))

Values = Sequence[object] | Mapping[str, object]
_row_types: dict[bytes, Any] = {}


class Answer:
    """What a statement answers; to look at it sends what was not sent yet, and waits."""

    __slots__ = ("_at", "_result", "_text", "_trip")

    def __init__(self, trip: RoundTrip, text: bytes) -> None:
        self._trip = trip
        self._text = text
        self._result: pq.abc.PGresult | None = None
        self._at = 0

    def fetchone(self) -> Any:
        """The next row as a tuple, None behind the last."""
        rows = self._rows(self._at, self._at + 1, tuple)
        self._at += len(rows)
        return rows[0] if rows else None

    def fetchall(self) -> list[Any]:
        """All rows, as tuples."""
        return self._rows(0, None, tuple)

    def named(self) -> list[Any]:
        """All rows, as named tuples."""
        result = self._arrived()
        if not result.ntuples:
            return []
        row: Any = _row_types.get(self._text)
        if row is None or len(row._fields) != result.nfields:
            names = [(result.fname(no) or b"").decode() for no in range(result.nfields)]
            row = _row_types[self._text] = namedtuple("Row", names)
        return self._rows(0, None, row._make)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fetchall())

    @property
    def rowcount(self) -> int:
        """How many rows it wrote, or answers."""
        return self._arrived().command_tuples or 0

    def arrived(self, result: pq.abc.PGresult) -> None:
        """For the round trip: here is the result."""
        self._result = result

    def _arrived(self) -> pq.abc.PGresult:
        if self._result is None:
            self._trip.send()
            if self._result is None:
                raise errors.ProgrammingError("the statement was not carried out")
        return self._result

    def _rows(self, first: int, end: int | None, make: Callable[[Sequence[Any]], Any]) -> list[Any]:
        result = self._arrived()
        last = result.ntuples if end is None else min(end, result.ntuples)
        if first >= last:
            return []
        reading = self._trip.reading
        reading.set_pgresult(result)
        return reading.load_rows(first, last, make)


class _Statement(NamedTuple):
    """A statement as psycopg asks for it that has to prepare it."""

    query: bytes
    types: tuple[int, ...]


# Text and types of the values, by which psycopg knows what a connection has prepared; the values, their formats, and
# where the answer goes. A plain tuple: there are some thirty of them in a command.
_Collected = tuple[tuple[bytes, tuple[int, ...]], Sequence[Any], Any, Answer]


class RoundTrip:
    """Statements of one transaction that are collected, and sent together by `send` or when an answer is looked at. A
    transaction is begun with the first. Between two of those calls the connection may be used otherwise, and what that
    does comes first."""

    def __init__(self, connection: PgConnection) -> None:
        self.connection = connection
        self.reading, self._writing = _transformers(connection)
        self._collected: list[_Collected] = []

    def __enter__(self) -> RoundTrip:
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        if error is None:
            self.send()

    def execute(self, query: str | bytes, values: Values | None = None, /) -> Answer:
        """Collect a statement with psycopg's placeholders. What is wrong with it is raised by whoever sends."""
        text, names = _numbered(query)
        if values is None:
            given: Sequence[Any] = ()
        else:
            given = [values[name] for name in names] if isinstance(values, Mapping) else values
        writing = self._writing
        parameters = writing.dump_sequence(given, _formats(len(given)))
        answer = Answer(self, text)
        self._collected.append(((text, writing.types or ()), parameters, writing.formats, answer))
        return answer

    def commit(self) -> None:
        """Collect the transaction's end; `send` tells whether it came to that."""
        self.execute(b"commit")

    def send(self) -> None:
        """Send what was collected, and wait until all of it is done. Raises psycopg's error of the first statement
        that failed, after which the transaction is lost."""
        if not self._collected:
            return
        collected, self._collected = self._collected, []
        # What psycopg has in mind to deallocate goes before anything new is prepared: it may be all there is.
        prepared: Any = self.connection._prepared
        if prepared._to_flush:
            self.connection.wait(prepared.maintain_gen(self.connection))
        pgconn = self.connection.pgconn
        if pgconn.pipeline_status != pq.PipelineStatus.OFF:
            raise errors.ProgrammingError(
                "a round trip within a pipeline of psycopg's: send one of them alone"
            )
        results: list[pq.abc.PGresult] = []
        try:
            with _one_at_a_time:
                pgconn.enter_pipeline_mode()
                answers = list(self._hand_over(pgconn, prepared, collected))
                pgconn.pipeline_sync()
                rest = pgconn.flush()
            if rest:
                self.connection.wait(_flushed(pgconn))
            arrived = False
            while not arrived:
                self.connection.wait(_readable())
                with _one_at_a_time:
                    pgconn.consume_input()
                    arrived = _take(pgconn, results)
        except BaseException:
            pgconn.finish()  # what is under way on it belongs to nobody any more
            raise
        pgconn.exit_pipeline_mode()
        failed = None
        for answer, result in zip(answers, results, strict=True):
            if result.status not in _OK:
                failed = failed or result
            elif answer is not None:
                answer.arrived(result)
        if failed is not None:
            # Any of them may not be prepared, or no longer fit the tables: the next time they are prepared anew.
            prepared.clear()
            raise errors.error_from_result(failed, encoding="utf-8")

    def _hand_over(
        self, pgconn: pq.abc.PGconn, prepared: Any, collected: Iterable[_Collected]
    ) -> Iterator[Answer | None]:
        """To whom the results will go, which come in that order."""
        if pgconn.transaction_status == pq.TransactionStatus.IDLE and not self.connection.autocommit:
            pgconn.send_query_params(b"begin", None)
            yield None
        names = prepared._names
        for key, parameters, formats, answer in collected:
            name = names.get(key)
            if name is None:
                statement = _Statement(*key)
                how, name = prepared.get(statement, True)
                pgconn.send_prepare(name, *statement)
                prepared.maybe_add_to_cache(statement, how, name)
                yield None
            pgconn.send_query_prepared(name, parameters, formats)
            yield answer


def round_trip(connection: PgConnection) -> AbstractContextManager[RoundTrip]:
    """A round trip, sent at the end of the block; an exception in it leaves unsent what was not sent."""
    return RoundTrip(connection)


# What takes statements, at once or together.
TakesStatements = PgConnection | RoundTrip


def execute_each(connection: TakesStatements, statement: str, rows: Iterable[Sequence[object]]) -> None:
    """Carry out `statement` for each of a few rows, without waiting in between."""
    query = statement.encode()
    for row in rows:
        connection.execute(query, row)


def _flushed(pgconn: pq.abc.PGconn) -> Generator[Wait, Ready | int, None]:
    while pgconn.flush():
        if (yield Wait.RW) & Ready.R:
            pgconn.consume_input()


def _readable() -> Generator[Wait, Ready | int, None]:
    yield Wait.R


def _take(pgconn: pq.abc.PGconn, results: list[pq.abc.PGresult]) -> bool:
    """Take what has arrived; whether that is all."""
    while not pgconn.is_busy():
        result = pgconn.get_result()
        if result is None:
            continue  # between two statements
        if result.status == pq.ExecStatus.PIPELINE_SYNC:
            return True
        results.append(result)
    return False


def _transformers(connection: Any) -> tuple[abc.Transformer, abc.Transformer]:
    """What reads and what writes values for the connection, with what they have learned of their types: to learn it
    anew with each round trip took longer than the work itself."""
    try:
        known: tuple[abc.Transformer, abc.Transformer] = connection._round_trip_transformers
    except AttributeError:
        known = connection._round_trip_transformers = Transformer(connection), Transformer(connection)
    return known


@cache
def _formats(number: int) -> list[PyFormat]:
    return [PyFormat.AUTO] * number


@lru_cache(maxsize=2000)
def _numbered(query: str | bytes) -> tuple[bytes, tuple[str, ...]]:
    """`query` with $1, $2 ... for its placeholders, and their names if they have some."""
    names: list[str] = []
    numbers = count(1)
    text = query.encode() if isinstance(query, str) else query

    def place(found: re.Match[bytes]) -> bytes:
        if found[0] == b"%%":
            return b"%"
        if found[1] is None:
            return b"$%d" % next(numbers)
        name = found[1].decode()
        if name not in names:
            names.append(name)
        return b"$%d" % (names.index(name) + 1)

    return _PLACE.sub(place, text), tuple(names)
