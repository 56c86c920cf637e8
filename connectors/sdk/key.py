"""The business key of a write: made before the call, the same for every try, stored with the outcome."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

_PART = re.compile(r"[A-Za-z0-9._:/@+-]{1,200}")


@dataclass(frozen=True, slots=True)
class Key:
    """What is written, for whom, and which of its kind: `Key.of("charge", invoice_id, "2")`.

    Never made of a date, a clock reading or a random value: the same business act gives the same key on any
    worker at any time.
    """

    value: str

    def __post_init__(self) -> None:
        if not _PART.fullmatch(self.value):
            raise ValueError("a key has 1 to 200 letters, digits and . _ : / @ + -")

    @classmethod
    def of(cls, what: str, *parts: str | int) -> Key:
        """The key of `what` for `parts`, joined by colons. Raises ValueError for an empty or odd part."""
        return cls(":".join((what, *(str(part) for part in parts))))

    def within(self, length: int) -> str:
        """The key in at most `length` characters (32 or more): itself, or a digest where it is longer."""
        if len(self.value) <= length:
            return self.value
        return hashlib.sha256(self.value.encode()).hexdigest()[:length]

    def __str__(self) -> str:
        return self.value
