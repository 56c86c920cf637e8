"""Faults that a stand-in can be told to commit, and the list of those that wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any, ClassVar

#: Name → what the client meets, and whether the call was applied.
FAULTS: dict[str, str] = {
    "drop_before": "connection aborted, nothing applied",
    "drop_after": "applied, then the connection aborted without an answer",
    "rate_limited_seconds": "429, Retry-After in seconds",
    "rate_limited_date": "429, Retry-After as an HTTP date",
    "rate_limited_plain": "429 without Retry-After",
    "unavailable": "503, nothing applied",
    "server_error": "500, nothing applied",
    "server_error_after": "applied, then 500",
    "bad_gateway": "502 page of a gateway, nothing applied",
    "unauthorized_once": "401 in the vendor's form, once",
    "unauthorized_forever": "401 in the vendor's form until cleared",
    "error_in_200": "200 with the vendor's error body, nothing applied",
    "html": "applied, then a 200 text/html page",
    "truncated_json": "applied, then the answer cut in the middle",
    "stall_before": "no answer until released or `seconds` are over, nothing applied",
    "stall_after": "applied, then no answer until released or `seconds` are over",
    "stall_within": "held inside the vendor until released or `seconds` are over, then applied and answered",
    "conflict": "409 in the vendor's form, nothing applied",
    "rejected": "422 in the vendor's form, nothing applied",
    "slow_headers": "applied; the head of the answer trickles over `seconds`",
}

_LONG = {"stall_before": 30.0, "stall_after": 30.0, "stall_within": 30.0, "slow_headers": 2.0}


@dataclass
class Fault:
    """One fault that waits for its next `times` matching calls.

    `times` None means until cleared; `skip` matching calls are let through first. `path` is an fnmatch pattern over
    the vendor's path. `after` is the delay that a 429 names, in seconds. `seconds` is how long a stall or a slow head
    lasts.
    """

    fault: str
    times: int | None = 1
    method: str | None = None
    path: str | None = None
    skip: int = 0
    after: int = 2
    seconds: float | None = None

    #: Names and meanings; a stand-in with faults of its own has a subclass that says so.
    known: ClassVar[Mapping[str, str]] = FAULTS

    def __post_init__(self) -> None:
        if self.fault not in self.known:
            raise ValueError(f"no fault is called {self.fault!r}; there are: {', '.join(sorted(self.known))}")
        if self.fault == "unauthorized_forever":
            self.times = None
        if self.times is not None and self.times < 1:
            raise ValueError(f"times must be 1 or more, or null for ever; not {self.times}")
        if self.skip < 0 or self.after < 0 or (self.seconds is not None and self.seconds < 0):
            raise ValueError("skip, after and seconds must not be negative")
        if self.method is not None:
            self.method = self.method.upper()

    @property
    def lasting(self) -> float:
        """Seconds that this fault holds a call."""
        return self.seconds if self.seconds is not None else _LONG.get(self.fault, 0.0)

    def matches(self, method: str, path: str) -> bool:
        """Whether a call is meant."""
        return self.method in (None, method) and (self.path is None or fnmatchcase(path, self.path))

    def as_json(self) -> dict[str, Any]:
        """As the control answers it."""
        return asdict(self)


class Faults:
    """The waiting faults of one stand-in; safe to change from another thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []
        self._held: set[asyncio.Event] = set()
        self._loops: dict[asyncio.Event, asyncio.AbstractEventLoop] = {}

    def inject(self, fault: Fault) -> Fault:
        """Let it wait for its calls, behind those that wait already."""
        with self._lock:
            self._waiting.append(fault)
        return fault

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that this call meets, used up by one; None when it meets none."""
        with self._lock:
            for fault in self._waiting:
                if not fault.matches(method, path):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                if fault.times is not None:
                    fault.times -= 1
                    if not fault.times:
                        self._waiting.remove(fault)
                return fault
        return None

    def waiting(self) -> list[Fault]:
        """Those not yet used up."""
        with self._lock:
            return list(self._waiting)

    @property
    def held(self) -> int:
        """How many calls are stalled right now."""
        return len(self._held)

    async def hold(self, seconds: float) -> None:
        """Stall the calling task until `release()` or until `seconds` are over."""
        event = asyncio.Event()
        with self._lock:
            self._held.add(event)
            self._loops[event] = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(seconds):
                await event.wait()
        except TimeoutError:
            return
        finally:
            with self._lock:
                self._held.discard(event)
                self._loops.pop(event, None)

    def release(self) -> None:
        """Let all stalled calls go on."""
        with self._lock:
            for event, loop in self._loops.items():
                loop.call_soon_threadsafe(event.set)

    def clear(self) -> None:
        """Forget the waiting faults and let stalled calls go on."""
        with self._lock:
            self._waiting.clear()
        self.release()
