"""The stand-in's clock: real time plus an offset that a test may move forward."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class Clock:
    """UTC time of one stand-in. Idempotency keys expire by it and search lag is judged by it."""

    def __init__(self) -> None:
        self.offset = timedelta(0)

    def now(self) -> datetime:
        """The stand-in's current instant, UTC."""
        return datetime.now(UTC) + self.offset

    def advance(self, step: timedelta) -> None:
        """Move the clock forward by `step`; ValueError when it would run backwards."""
        if step < timedelta(0):
            raise ValueError(
                f"a stand-in's clock only goes forward; advance it by a positive step, not {step}"
            )
        self.offset += step

    def reset(self) -> None:
        """Back to real time."""
        self.offset = timedelta(0)
