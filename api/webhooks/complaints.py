"""Refused webhooks in the log: why, at which endpoint, how often; never what was sent."""

from __future__ import annotations

import logging
import time

log = logging.getLogger("masthead.api.webhooks")

EVERY_SECONDS = 60.0


class Complaints:
    """Writes the first of each kind at once and counts the rest for a minute: whoever sends nonsense shall not be able
    to fill the log."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def tell(self, where: str, why: str) -> None:
        """Log that something at `where` was refused because of `why`."""
        now = time.monotonic()
        since, more = self._seen.get((where, why), (float("-inf"), 0))
        if now - since < EVERY_SECONDS:
            self._seen[where, why] = (since, more + 1)
            return
        self._seen[where, why] = (now, 0)
        log.warning("%s: refused: %s%s", where, why, f" ({more} more before)" if more else "")
