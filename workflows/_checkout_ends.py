"""How a run of a checkout stops short of completing, and what is taken back then."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from contracts.checkout import CheckoutStatus, Paused


class Stopped(Exception):
    """The checkout does not complete. kind: of the problem, as the row has it."""

    def __init__(self, status: CheckoutStatus, kind: str, decline: str | None = None) -> None:
        super().__init__(kind)
        self.status = status
        self.kind = kind
        self.decline = decline


class HistoryIsLong(Exception):
    """The checkout goes on waiting in a run with a short history."""

    def __init__(self, paused: Paused) -> None:
        super().__init__("the history is long")
        self.paused = paused


class Undo(NamedTuple):
    """What takes a step back; each may be done again, and does nothing where the step was never taken."""

    what: str
    act: Callable[[], Awaitable[None]]
