"""What a stand-in really did, by business key: the server's own count that a client's claims are held against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Effect:
    """One thing that happened: `kind` ("charge"), the business `key` it belongs to, when, and details of the vendor.

    `also` are other keys that it may be asked for by: the vendor's own id, the idempotency key.
    """

    kind: str
    key: str
    at: datetime
    detail: Mapping[str, Any] = field(default_factory=dict)
    also: tuple[str, ...] = ()

    def has(self, key: str) -> bool:
        """Whether it is known by this key."""
        return key == self.key or key in self.also

    def as_json(self) -> dict[str, Any]:
        """As the control answers it."""
        return {"kind": self.kind, "key": self.key, "at": self.at.isoformat(), "detail": dict(self.detail)}


class Effects:
    """All effects of a stand-in, oldest first."""

    def __init__(self) -> None:
        self._all: list[Effect] = []

    def add(self, effect: Effect) -> None:
        """Write one down, at the moment of applying."""
        self._all.append(effect)

    def of(self, kind: str | None = None, key: str | None = None) -> list[Effect]:
        """Effects of this kind and key; None matches all."""
        return [e for e in list(self._all) if kind in (None, e.kind) and (key is None or e.has(key))]

    def count(self, kind: str | None = None, key: str | None = None) -> int:
        """How many effects of this kind and key there were."""
        return len(self.of(kind, key))

    def reset(self) -> None:
        """Forget all."""
        self._all.clear()

    def __len__(self) -> int:
        return len(self._all)
