"""Secrets behind references, looked up anew every few seconds and stored nowhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

KEPT_SECONDS = 10.0

Resolve = Callable[[str], str]


class SecretCache:
    """What references lead to by `resolve`, which raises ValueError or OSError where they lead nowhere."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._known: dict[str, tuple[float, str | None]] = {}

    def values(self, references: Sequence[str]) -> list[str]:
        """The secrets that can be had; a reference that leads nowhere is left out: nothing is believed by it."""
        return [value for reference in references if (value := self._value(reference)) is not None]

    def _value(self, reference: str) -> str | None:
        now = time.monotonic()
        known = self._known.get(reference)
        if known is not None and now - known[0] < KEPT_SECONDS:
            return known[1]
        value: str | None
        try:
            value = self._resolve(reference)
        except (ValueError, OSError):
            value = None
        self._known[reference] = (now, value)
        return value
