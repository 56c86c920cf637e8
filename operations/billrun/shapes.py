"""Accounts of one shape owe the same: the memo of what has been rated already."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Set
from contextlib import contextmanager
from threading import Lock
from typing import NamedTuple

from storage.posting import Moves, Template


class Outcome(NamedTuple):
    """What accounts of one shape owe: the invoice with its ids left out (None: nothing), and where each of the
    account's subscriptions goes."""

    template: Template | None
    moves: list[Moves]


class ShapeMemo:
    """Outcomes by shape, for one price book and tax table. Rating is a pure function of the shape, so that the
    thousands of subscribers who pay the same on the same day are rated once."""

    LIMIT = 20_000

    def __init__(self) -> None:
        self.known: dict[Hashable, Outcome] = {}
        # Shapes whose accounts have usage, so that each owes its own.
        self.alone: set[Hashable] = set()
        self._runs: set[str] = set()
        self._beginning = Lock()

    @contextmanager
    def first_alone(self, run_id: str) -> Iterator[None]:
        """For rating and taxing in a run: whoever comes first has to learn nearly all its shapes, and who comes
        meanwhile waits for that instead of learning them once more."""
        if run_id not in self._runs:
            with self._beginning:
                if run_id not in self._runs:
                    try:
                        yield
                    finally:
                        self._runs.add(run_id)
                    return
        yield

    def learn(self, shape: Hashable, outcome: Outcome) -> None:
        """Keep an outcome; a full memo starts anew, since a run goes through accounts once."""
        if len(self.known) >= self.LIMIT:
            self.known.clear()
        self.known[shape] = outcome

    def rate_alone(self, shapes: Set[Hashable]) -> None:
        """Keep in mind that accounts of `shapes` have to be rated one by one."""
        if len(self.alone) + len(shapes) > self.LIMIT:
            self.alone.clear()
        self.alone |= shapes
