"""Several statements in one round trip, each prepared the first time a connection sends it.

psycopg's own pipeline waits for the socket once for each statement and makes a cursor for each: of a transaction of
thirty small statements, that is most of the processor time. Here they are handed to libpq one behind the other, sent
together, and waited for once. Adaptation of values stays psycopg's.
"""

from __future__ import annotations

import re
from collections import namedtuple
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from psycopg import OperationalError, errors, pq
from psycopg.adapt import PyFormat, Transformer
from psycopg.waiting import Ready, Wait

from storage.database import PgConnection

_PLACE = re.compile(rb"%(?:%|s|\((\w+)\)s)")
_MOST_PREPARED = 400  # of one connection; what comes after them is parsed each time
_OK = frozenset((pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK, pq.ExecStatus.EMPTY_QUERY))
_AUTO: list[list[PyFormat]] = [[PyFormat.AUTO] * number for number in range(100)]

Values = Sequence[object] | Mapping[str, object]
_Prepared = dict[tuple[bytes, tuple[int, ...]], bytes]
_prepared: WeakKeyDictionary[PgConnection, _Prepared] = WeakKeyDictionary()
_names = count(1)


class Answer:
    """What a statement answers; to look at it sends what was not sent yet, and waits."""

    __slots__ = ("_at", "_result", "_trip")

    def __init__(self, trip: RoundTrip) -> None:
        self._trip = trip
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
        row = _row_type(tuple(result.fname(no) for no in range(result.nfields)))
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
        transformer = Transformer(self._trip.connection)
        transformer.set_pgresult(result)
        return transformer.load_rows(first, last, make)


class _Sent(NamedTuple):
    key: tuple[bytes, tuple[int, ...]]
    answer: Answer | None  # None: of what prepares it
    name: bytes


class RoundTrip:
    """Statements of one transaction that are collected, and sent together by `send` or when an answer is looked at. A
    transaction is begun with the first. Between two of those calls the connection is not to be used otherwise."""

    def __init__(self, connection: PgConnection) -> None:
        self.connection = connection
        self._transformer = Transformer(connection)
        self._sent: list[_Sent | None] = []
        known = _prepared.get(connection)
        self._prepared: _Prepared = _prepared.setdefault(connection, {}) if known is None else known

    def execute(self, query: str | bytes, values: Values | None = None, /) -> Answer:
        """Collect a statement with psycopg's placeholders. What is wrong with it is raised by whoever sends."""
        pgconn = self.connection.pgconn
        if not self._sent:
            self._open(pgconn)
        text, names = _numbered(query)
        if values is None:
            given: Sequence[Any] = ()
        else:
            given = [values[name] for name in names] if isinstance(values, Mapping) else values
        transformer = self._transformer
        parameters = transformer.dump_sequence(given, _AUTO[len(given)])
        types, formats = transformer.types or (), transformer.formats
        answer = Answer(self)
        key = text, types
        name = self._prepared.get(key)
        if name is None:
            name = b""
            if self.connection.prepare_threshold is not None and len(self._prepared) < _MOST_PREPARED:
                self._prepared[key] = name = b"masthead_%d" % next(_names)
            pgconn.send_prepare(name, text, types)
            self._sent.append(_Sent(key, None, name))
        pgconn.send_query_prepared(name, parameters, formats)
        self._sent.append(_Sent(key, answer, name))
        return answer

    def commit(self) -> None:
        """Collect the transaction's end; `send` tells whether it came to that."""
        self.execute(b"commit")

    def send(self) -> None:
        """Send what was collected, and wait until all of it is done. Raises psycopg's error of the first statement
        that failed, after which the transaction is lost."""
        if not self._sent:
            return
        sent, results = self._sent, self._swap()
        failed = None
        for each, result in zip(sent, results, strict=True):
            if result.status in _OK:
                if each is not None and each.answer is not None:
                    each.answer.arrived(result)
            else:
                failed = failed or result
                self._forget([each])
        if failed is not None:
            raise errors.error_from_result(failed, encoding="utf-8")

    def abandon(self) -> None:
        """Have what was collected done without looking at what comes of it, so that the connection can roll back."""
        if self._sent and self.connection.pgconn.status == pq.ConnStatus.OK:
            with suppress(OperationalError):
                self._swap()

    def _swap(self) -> list[pq.abc.PGresult]:
        """The results of what was sent."""
        pgconn = self.connection.pgconn
        self._sent = []
        results: list[pq.abc.PGresult] = []
        try:
            pgconn.pipeline_sync()
            self.connection.wait(_exchange(pgconn, results))
        except BaseException:
            pgconn.finish()  # what is under way on it belongs to nobody any more
            raise
        pgconn.exit_pipeline_mode()
        return results

    def _open(self, pgconn: pq.abc.PGconn) -> None:
        pgconn.enter_pipeline_mode()
        if pgconn.transaction_status == pq.TransactionStatus.IDLE and not self.connection.autocommit:
            pgconn.send_query_params(b"begin", None)
            self._sent.append(None)

    def _forget(self, sent: Sequence[_Sent | None]) -> None:
        """What may not be prepared, or no longer fits the tables, is prepared anew the next time."""
        for each in sent:
            if each is not None:
                self._prepared.pop(each.key, None)


@contextmanager
def round_trip(connection: PgConnection) -> Iterator[RoundTrip]:
    """A round trip, sent at the end of the block. After an exception in it nothing more is to be asked of the
    transaction but its end."""
    trip = RoundTrip(connection)
    try:
        yield trip
    except BaseException:
        trip.abandon()
        raise
    trip.send()


# What takes statements, at once or together.
Statements = PgConnection | RoundTrip


def execute_each(connection: Statements, statement: str, rows: Iterable[Sequence[object]]) -> None:
    """Carry out `statement` for each of a few rows, without waiting in between."""
    query = statement.encode()
    for row in rows:
        connection.execute(query, row)


def _exchange(pgconn: pq.abc.PGconn, results: list[pq.abc.PGresult]) -> Generator[Wait, Ready | int, None]:
    while pgconn.flush():
        if (yield Wait.RW) & Ready.R:
            pgconn.consume_input()
    while True:
        while pgconn.is_busy():
            yield Wait.R
            pgconn.consume_input()
        result = pgconn.get_result()
        if result is None:
            continue  # between two statements
        if result.status == pq.ExecStatus.PIPELINE_SYNC:
            return
        results.append(result)


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


@lru_cache(maxsize=200)
def _row_type(names: tuple[bytes | None, ...]) -> Any:
    return namedtuple("Row", [(name or b"").decode() for name in names])
