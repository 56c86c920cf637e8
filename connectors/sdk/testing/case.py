"""One thing that a connector must show, and what it is shown with."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from connectors.sdk.memory import MemoryLog
from connectors.sdk.testing.surroundings import KitClock


class StandIn(Protocol):
    """What the kit asks of a vendor's stand-in; those of `masthead.testing` have it all."""

    @property
    def url(self) -> str:
        """Where it listens."""
        ...

    def inject(self, fault: str, times: int | None = 1) -> Any:
        """Commit a fault on the next calls."""
        ...

    def count(self, kind: str | None = None, key: str | None = None) -> int:
        """How many things really happened, by the server's own count."""
        ...

    def advance(self, step: timedelta) -> None:
        """Move its clock."""
        ...

    def release(self) -> None:
        """Let stalled calls go on."""
        ...

    def reset(self) -> None:
        """Back to the empty state."""
        ...

    def start(self) -> Any:
        """Listen."""
        ...

    def stop(self) -> None:
        """End."""
        ...


class Skipped(Exception):
    """The case does not apply to this connector. The message says why."""


@dataclass(slots=True)
class Bench:
    """A connector beside its stand-in. `made` makes another instance with other surroundings, closed with the rest.

    connector has no type of its own here: its capability's methods are called by name.
    """

    connector: Any
    stand_in: StandIn
    clock: KitClock
    log: MemoryLog
    made: Callable[..., Any] = field(repr=False)
    samples: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Case:
    """One law or one cell of the fault matrix.

    group: laws, capability, faults or webhooks. name: what is shown, as in `charge × drop_after`.
    """

    group: str
    name: str
    run: Callable[[Bench], Awaitable[None]]

    @property
    def id(self) -> str:
        """The name in test reports."""
        return f"{self.group}: {self.name}"
