"""HubSpot's quotas: calls in ten rolling seconds and calls in a day, by the stand-in's clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import date, datetime, timedelta

TEN_SECONDS = "TEN_SECONDLY_ROLLING"
DAILY = "DAILY"
_WINDOW = timedelta(seconds=10)


class Quota:
    """How many calls are left. A day ends at midnight UTC here (in HubSpot, at the portal's own)."""

    def __init__(self, ten_secondly: int, daily: int) -> None:
        self.ten_secondly = ten_secondly
        self.daily = daily
        self._recent: deque[datetime] = deque()
        self._day: date | None = None
        self._today = 0

    def take(self, now: datetime) -> str | None:
        """Count one call; the policy that refuses it, None when it may pass."""
        self._roll(now)
        if self._today >= self.daily:
            return DAILY
        if len(self._recent) >= self.ten_secondly:
            return TEN_SECONDS
        self._recent.append(now)
        self._today += 1
        return None

    def headers(self, now: datetime) -> Mapping[str, str]:
        """What every answer tells of them."""
        self._roll(now)
        return {
            "X-HubSpot-RateLimit-Daily": str(self.daily),
            "X-HubSpot-RateLimit-Daily-Remaining": str(max(self.daily - self._today, 0)),
            "X-HubSpot-RateLimit-Interval-Milliseconds": "10000",
            "X-HubSpot-RateLimit-Max": str(self.ten_secondly),
            "X-HubSpot-RateLimit-Remaining": str(max(self.ten_secondly - len(self._recent), 0)),
        }

    def _roll(self, now: datetime) -> None:
        while self._recent and now - self._recent[0] >= _WINDOW:
            self._recent.popleft()
        if now.date() != self._day:
            self._day, self._today = now.date(), 0
