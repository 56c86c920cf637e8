"""What `masthead doctor` finds, one item at a time."""

from __future__ import annotations

from dataclasses import dataclass

NOT_UP = "Start the stack with `masthead up`."


@dataclass(frozen=True)
class Finding:
    """One item: what was looked at, whether it is as it should be, what was seen, what to do if not."""

    item: str
    ok: bool
    seen: str
    remedy: str | None = None
