"""Threads that answer many small requests take turns: one works in Python, the others wait for the database.

Each call of libpq, a hundred a command, gives the interpreter's lock away. Where several threads want it, each of these
calls wakes one of them, mostly in vain: that was a tenth of the time. So a thread takes one lock for all that it does
between two waits. It is for speed alone: nothing is guarded by it, and who once waited long for it goes on without.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen

# A command works for a millisecond in all. What works for longer is overtaken, as threads are by the interpreter.
LONGEST_WAIT_SECONDS = 0.02

_turn = threading.Lock()
RV = TypeVar("RV")


def turns(connection: psycopg.Connection[Any]) -> AbstractContextManager[None]:
    """Take turns in the block, where `connection` is one for that."""
    return connection.turns() if isinstance(connection, TurnTaking) else nullcontext()


class TurnTaking(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose thread, within `turns`, gives its turn away whenever it waits for the server."""

    _takes_turns = False
    _has_turn = False

    @contextmanager
    def turns(self) -> Iterator[None]:
        """Take turns in the block with others that do."""
        self._take()
        try:
            yield
        finally:
            self._takes_turns = False
            self._give()

    def wait(self, gen: PQGen[RV], *how: Any, **named: Any) -> RV:
        """As psycopg's, while it is the others' turn."""
        if not self._takes_turns:
            return super().wait(gen, *how, **named)
        self._give()
        try:
            return super().wait(gen, *how, **named)
        finally:
            self._take()

    def _take(self) -> None:
        self._has_turn = self._takes_turns = _turn.acquire(timeout=LONGEST_WAIT_SECONDS)

    def _give(self) -> None:
        if self._has_turn:
            self._has_turn = False
            _turn.release()
